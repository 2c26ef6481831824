"""How long one call on a whole grid takes, and a Python loop; a line on stderr meanwhile."""

# JAX's own types are partly unknown.
# pyright: reportUnknownMemberType=false

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import TypeVar, cast

import jax
import numpy as np

from autovmap._demo.maximise import Floats, Grid, LogLikelihood

R = TypeVar("R")


@dataclass(frozen=True)
class Timed:
    """Seconds to evaluate all points of a grid.

    Attributes:
        points: how many points the grid has.
        first: the first call, compiling included.
        later: a later call (the fastest of five).
        uncompiled: a call of the function as it is, without `jax.jit`.
        sample: how many of the points the compiled loop went over.
        loop: seconds a point in a loop over the plain function, compiled; compiling not counted.
        plain: the same, the function not compiled.
        disagreement: the largest relative difference between the call and the compiled loop.
    """

    points: int
    first: float
    later: float
    uncompiled: float
    sample: int
    loop: float
    plain: float
    disagreement: float

    @property
    def loop_ratio(self) -> float:
        """How many times as long as a later call a compiled loop over all points takes."""
        return self.loop * self.points / self.later


def clock(run: Callable[[], R]) -> tuple[R, float]:
    """What `run` returns, ready, and the seconds it took.

    >>> value, seconds = clock(lambda: 7)
    >>> value, 0 <= seconds < 1
    (7, True)
    """
    start = time.perf_counter()
    result = cast("R", jax.block_until_ready(run()))
    return result, time.perf_counter() - start


def time_call(run: Callable[[], R], again: int = 5) -> tuple[R, float, float]:
    """The result, the seconds of the first call and of the fastest of `again` later ones."""
    result, first = clock(run)
    return result, first, min((clock(run)[1] for _ in range(again)), default=first)


def time_loop(
    f: LogLikelihood, y: Floats, points: list[tuple[float, float]], repeat: int
) -> tuple[Floats, float]:
    """The values at the points, one call each, and the seconds a point: the fastest of `repeat`.

    Calls are dispatched one after the other and waited for at the end, as fast as a loop can be.
    A call beforehand, not timed, compiles.
    """
    series = jax.numpy.asarray(y)
    jax.block_until_ready(f(series, *points[0]))
    runs = [clock(lambda: [f(series, *point) for point in points]) for _ in range(repeat)]
    return np.array(runs[0][0]), min(seconds for _, seconds in runs) / len(points)


def sample_points(
    grid: Grid, values: Floats, size: int
) -> tuple[list[tuple[float, float]], Floats]:
    """Some points of a grid, chosen at random, and their values."""
    chosen = np.random.default_rng(0).permutation(values.size)[:size]
    row, column = np.unravel_index(chosen, values.shape)
    pairs = zip(grid.var_obs[row].tolist(), grid.var_level[column].tolist(), strict=True)
    return list(pairs), values[row, column]


@contextmanager
def progress(doing: str, after: float = 1.0) -> Generator[None, None, None]:
    """Say what is being done, once it has taken `after` seconds, and not at all before.

    >>> with progress("counting to three"):
    ...     sum(range(3))
    3
    """
    timer = Timer(after, _say, [doing])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(doing: str) -> None:
    print(f"... {doing}", file=sys.stderr, flush=True)
