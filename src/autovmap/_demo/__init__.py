"""`python -m autovmap demo`: maximum likelihood for the Nile's flow, on grids and bootstrap series.

The folder, in the order in which the data flows: `data` (the series), `model` (three decorated
functions, each written for one series), `maximise` (grids and their best points), `timing`,
`study` (the stages, each a call and a frozen result), `report` (results as text), `picture`
(results as a PNG), and `run` (all of it in order, with `progress`).
"""
