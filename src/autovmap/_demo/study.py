"""The stages of the demo: each asks the decorated functions for something, and prints nothing."""

# JAX's own types are partly unknown.
# pyright: reportUnknownMemberType=false

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import jax
import numpy as np

from autovmap._demo.maximise import Floats, Grid, LogLikelihood, Peak, around_best, best, own_grids
from autovmap._demo.model import log_likelihood, simulate, smoothed_level
from autovmap._demo.timing import Timed, clock, sample_points, time_call, time_loop

VAR_OBS = (4_000.0, 40_000.0)
VAR_LEVEL = (30.0, 30_000.0)
LITERATURE = (15_099.0, 1_469.1)  # Durbin and Koopman, section 2.10
SHARED_POINTS = 40  # of an axis of the grid that all series share
OWN_POINTS = 20  # of an axis of a series' own grid
LOOP_SAMPLE = 1000  # points that the loop over the compiled function is timed on
PLAIN_SAMPLE = 20  # and the loop over the plain one, which traces every time


@dataclass(frozen=True)
class Surface:
    """The log-likelihood of the Nile's flow on a grid, and what that took."""

    grid: Grid
    values: Floats
    peak: Peak
    plan: str
    timed: Timed


@dataclass(frozen=True)
class Bootstrap:
    """Series drawn from the model, and the variances that are most likely for each.

    Attributes:
        peaks: one for each series.
        plan: of the call on the grid that all series share.
        points: how many log-likelihoods that call computes.
        seconds: how long it took, compiling included.
        at_edge: how many series like the smallest variance of the level best.
        levels: of each peak, the Nile's smoothed level: shape (series, years).
    """

    peaks: Peak
    plan: str
    points: int
    seconds: float
    at_edge: int
    levels: Floats


def double_precision() -> AbstractContextManager[object]:
    """`jax.enable_x64(True)`, which older versions of JAX keep in `jax.experimental`."""
    place: Any = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
    return place.enable_x64(True)


def compiled_likelihood() -> LogLikelihood:
    """The decorated function as any JAX user compiles it."""
    return cast("LogLikelihood", jax.jit(log_likelihood))


def study_surface(y: Floats, points: int) -> Surface:
    """One call on a grid of `points` by `points` variances, and the loops to compare it with."""
    grid = Grid.spanning(VAR_OBS, VAR_LEVEL, points)
    arguments = y, grid.var_obs[:, None], grid.var_level
    compiled = compiled_likelihood()
    result, first, later = time_call(lambda: compiled(*arguments))
    _, traced = clock(lambda: log_likelihood(*arguments))
    values = np.asarray(result)

    one = log_likelihood.__wrapped__
    sample, expected = sample_points(grid, values, LOOP_SAMPLE)
    looped, loop = time_loop(jax.jit(one), y, sample, repeat=5)
    _, plain = time_loop(one, y, sample[:PLAIN_SAMPLE], repeat=1)
    timed = Timed(
        points=values.size,
        first=first,
        later=later,
        uncompiled=traced,
        sample=len(sample),
        loop=loop,
        plain=plain,
        disagreement=float(np.max(np.abs(looped / expected - 1))),
    )
    plan = str(log_likelihood.plan(*arguments))
    return Surface(grid, values, best(grid, values), plan, timed)


def refine(y: Floats, surface: Surface, times: int = 2) -> tuple[Peak, ...]:
    """The peaks of ever finer grids around the best point so far."""
    compiled = compiled_likelihood()
    grid, values = surface.grid, surface.values
    peaks: list[Peak] = []
    for _ in range(times):
        grid = around_best(grid, values, surface.grid.var_obs.size)
        values = own_grids(compiled, y, grid)
        peaks.append(best(grid, values))
    return tuple(peaks)


def literature_peak(y: Floats) -> Peak:
    """The variances that the literature gives, and their log-likelihood by our filter."""
    value = np.asarray(log_likelihood(y, *LITERATURE))
    return Peak(np.array(LITERATURE[0]), np.array(LITERATURE[1]), value)


def level_at(y: Floats, peak: Peak) -> Floats:
    """The level of every year under a peak's variances, for each peak: shape (*batch, years)."""
    return np.asarray(smoothed_level(y, peak.var_obs, peak.var_level))


def study_bootstrap(y: Floats, peak: Peak, series: int, seed: int) -> Bootstrap:
    """Draw series from the model at its peak, and maximise the likelihood of all of them at once.

    First on one grid that all share, then twice on a finer grid of each one's own.
    """
    keys = jax.random.split(jax.random.key(seed), series)
    draws = np.asarray(simulate(keys, y, peak.var_obs, peak.var_level))

    grid = Grid.spanning(VAR_OBS, VAR_LEVEL, SHARED_POINTS)
    arguments = draws[:, None, None], grid.var_obs[:, None], grid.var_level
    compiled = compiled_likelihood()
    result, seconds, _ = time_call(lambda: compiled(*arguments), again=0)
    values = np.asarray(result)
    points = values.size
    for _ in range(2):
        grid = around_best(grid, values, OWN_POINTS)
        values = own_grids(compiled, draws, grid)

    peaks = best(grid, values)
    return Bootstrap(
        peaks=peaks,
        plan=str(log_likelihood.plan(*arguments)),
        points=points,
        seconds=seconds,
        at_edge=int(np.sum(peaks.var_level < 1.01 * VAR_LEVEL[0])),
        levels=level_at(y, peaks),
    )
