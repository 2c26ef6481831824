"""The ways of running: compiled, in chunks, in buckets, over a mesh, as a loop."""
