"""The stages' results as text of at most 80 columns."""

from textwrap import fill, indent

import numpy as np

from autovmap._demo.maximise import Floats, Peak
from autovmap._demo.model import Nile
from autovmap._demo.study import OWN_POINTS, PLAIN_SAMPLE, VAR_LEVEL, Bootstrap, Surface

WHAT_AND_HOW = """\
Each flow is the river's level that year plus noise, and from one year to the
next the level changes a little. Which variances of the noise (var_obs) and of
the change (var_level) make these flows most likely? A Kalman filter knows the
likelihood. It is written for ONE series and two numbers:

    @auto_vmap(y=1, var_obs=0, var_level=0)
    def log_likelihood(y, var_obs, var_level): ...    # lax.scan over years
"""


def opening(nile: Nile) -> str:
    """What the data is, and what the model asks of it."""
    years = f"{nile.year[0]} to {nile.year[-1]}"
    return _lines(
        f"The flow of the Nile at Aswan, {years}, in 10^8 m^3 a year",
        "",
        WHAT_AND_HOW,
    )


def surface_section(surface: Surface) -> str:
    """The plan of the call on the grid, and its time against the loops'."""
    rows, columns = surface.values.shape
    timed = surface.timed
    same = f"within {timed.disagreement:.0e}" if timed.disagreement else "to the last bit"
    return _lines(
        _heading(f"1. A grid of {rows} x {columns} variances, in one call"),
        "    log_likelihood(y, var_obs[:, None], var_level)",
        "",
        _plan(surface.plan),
        "",
        f"Seconds for these {timed.points:,} points, in double precision:",
        "",
        _seconds("jax.jit(log_likelihood), once it is compiled", timed.later),
        _seconds("its first call, which compiles", timed.first),
        _seconds("log_likelihood as it is, not compiled", timed.uncompiled),
        _seconds("a Python loop, the plain function compiled", timed.loop * timed.points),
        _seconds("a Python loop, the plain function as it is", timed.plain * timed.points),
        "",
        _paragraph(
            f"The loops are timed on a sample of the points and scaled up. The compiled one took"
            f" {1e6 * timed.loop:,.0f} us a point on {timed.sample:,} points (the best of five"
            f" runs, as for the call, compiling not counted): {_ratio(timed.loop_ratio)} as long"
            f" as the one call, whose values it equals {same}. The last one, run on"
            f" {PLAIN_SAMPLE} points, traces and compiles the scan at every point."
        ),
        "",
    )


def peak_section(peaks: tuple[Peak, ...], literature: Peak, points: int) -> str:
    """The peak of each grid, finer and finer, against the literature's."""
    names = [f"a grid of {points} x {points}", "a finer one around it", "a still finer one"]
    rows = [*zip(names, peaks, strict=True), ("Durbin and Koopman", literature)]
    found = peaks[-1]
    return _lines(
        _heading("2. The most likely variances"),
        f"    {'':22}{'var_obs':>12}{'var_level':>14}{'log-likelihood':>20}",
        *(
            f"    {name:22}{peak.var_obs:>12,.1f}{peak.var_level:>14,.2f}"
            f"{peak.log_likelihood:>20.7f}"
            for name, peak in rows
        ),
        f"    {'difference':22}{_percent(found.var_obs, literature.var_obs):>12}"
        f"{_percent(found.var_level, literature.var_level):>14}"
        f"{found.log_likelihood - literature.log_likelihood:>+20.1e}",
        "",
    )


def bootstrap_section(found: Peak, bootstrap: Bootstrap) -> str:
    """How far the variances of series drawn from the model scatter."""
    series, own = bootstrap.peaks.var_obs.size, OWN_POINTS
    return _lines(
        _heading(f"3. How sure is that? {series:,} series drawn from the model"),
        "    log_likelihood(series[:, None, None], var_obs[:, None], var_level)",
        "",
        _plan(bootstrap.plan),
        "",
        _paragraph(
            f"{bootstrap.points:,} log-likelihoods in {bootstrap.seconds:.2g} s, compiling"
            " included. The filter's gains depend on the variances alone, so they are worked out"
            " once for all series. Then twice more on a finer grid of each series' own:"
        ),
        "",
        f"    log_likelihood(series[:, None, None],    # ({series}, 1, 1, 100)",
        f"                   var_obs[:, :, None],      # ({series}, {own}, 1)",
        f"                   var_level[:, None, :])    # ({series}, 1, {own})",
        "",
        f"    {'':12}{'the Nile':>12}{'median series':>18}{'nine of ten lie between':>28}",
        _scatter("var_obs", found.var_obs, bootstrap.peaks.var_obs),
        _scatter("var_level", found.var_level, bootstrap.peaks.var_level),
        "",
        _at_edge(bootstrap.at_edge, series),
    )


def _lines(*lines: str) -> str:
    return "\n".join(lines)


def _heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}\n"


def _plan(plan: str) -> str:
    return indent(plan.rstrip(), "    ")


def _paragraph(text: str) -> str:
    return fill(text, width=78)


def _seconds(name: str, seconds: float) -> str:
    shown = f"{seconds:,.3f}" if seconds < 100 else f"{seconds:,.0f}    "  # points in one column
    return f"    {name:54}{shown:>12}".rstrip()


def _ratio(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _percent(value: Floats, reference: Floats) -> str:
    return f"{100 * float(value / reference - 1):+.3f} %"


def _scatter(name: str, found: Floats, values: Floats) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    between = f"{low:,.0f} and {high:,.0f}"
    return f"    {name:12}{found:>12,.0f}{middle:>18,.0f}{between:>28}"


def _at_edge(count: int, series: int) -> str:
    if not count:
        return ""
    return _lines(
        _paragraph(
            f"{count} of the {series:,} are most likely with a level that hardly changes:"
            f" var_level at the grid's end, {VAR_LEVEL[0]:g}."
        ),
        "",
    )
