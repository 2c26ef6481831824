"""Maximum likelihood on grids of variances: for one series, or for each of many at once.

A grid has one axis for each variance, of shape (*batch, points): with no batch, one grid for
whatever series are tried on it; with a batch, a grid of its own for every series.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
LogLikelihood: TypeAlias = Callable[[ArrayLike, ArrayLike, ArrayLike], Array]


@dataclass(frozen=True)
class Grid:
    """The variances to try; every one of the one axis meets every one of the other.

    >>> grid = Grid.spanning((1.0, 100.0), (10.0, 1000.0), 3)
    >>> grid.var_obs.round(6).tolist(), grid.var_level.round(6).tolist()
    ([1.0, 10.0, 100.0], [10.0, 100.0, 1000.0])
    """

    var_obs: Floats
    var_level: Floats

    @classmethod
    def spanning(
        cls,
        var_obs: tuple[Floats | float, Floats | float],
        var_level: tuple[Floats | float, Floats | float],
        points: int,
    ) -> "Grid":
        """From low to high in equal ratios; low and high may have batch dims."""
        return cls(*(np.geomspace(*ends, points, axis=-1) for ends in (var_obs, var_level)))


@dataclass(frozen=True)
class Peak:
    """The best point of each grid; every field has the batch shape."""

    var_obs: Floats
    var_level: Floats
    log_likelihood: Floats


def best(grid: Grid, values: Floats) -> Peak:
    """The grid's point with the highest value.

    >>> grid = Grid.spanning((1.0, 100.0), (1.0, 100.0), 3)
    >>> peak = best(grid, np.array([[0, 1, 2], [3, 9, 4], [5, 6, 7.0]]))
    >>> float(peak.var_obs.round(6)), float(peak.var_level.round(6)), float(peak.log_likelihood)
    (10.0, 10.0, 9.0)
    """
    row, column = _where_highest(values)
    return Peak(_at(grid.var_obs, row), _at(grid.var_level, column), values.max(axis=(-2, -1)))


def around_best(grid: Grid, values: Floats, points: int) -> Grid:
    """A finer grid, two steps to each side of the best point but never beyond the old one's ends.

    >>> grid = Grid.spanning((1.0, 1e6), (1.0, 1e6), 7)
    >>> finer = around_best(grid, -np.abs(np.arange(49.0).reshape(7, 7) - 21), 5)
    >>> finer.var_obs[[0, -1]].round().tolist(), finer.var_level[[0, -1]].round().tolist()
    ([10.0, 100000.0], [1.0, 100.0])
    """
    ends = [
        (_at(axis, np.maximum(index - 2, 0)), _at(axis, np.minimum(index + 2, axis.shape[-1] - 1)))
        for axis, index in zip((grid.var_obs, grid.var_level), _where_highest(values), strict=True)
    ]
    return Grid.spanning(ends[0], ends[1], points)


def own_grids(f: LogLikelihood, y: Floats, grid: Grid) -> Floats:
    """The log-likelihood of every series of `y`, each on its own grid: one call.

    `y` has shape (*batch, years), the grid's axes (*batch, points), the result
    (*batch, points, points).
    """
    rows, columns = grid.var_obs[..., :, None], grid.var_level[..., None, :]
    return np.asarray(f(y[..., None, None, :], rows, columns))


def _where_highest(values: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    flat = values.reshape(*values.shape[:-2], -1).argmax(axis=-1)
    return flat // values.shape[-1], flat % values.shape[-1]


def _at(axis: Floats, index: NDArray[np.intp]) -> Floats:
    """axis[..., index], where the axis may lack the index's batch dims."""
    axis = np.broadcast_to(axis, (*np.shape(index), axis.shape[-1]))
    return np.take_along_axis(axis, np.asarray(index)[..., None], axis=-1)[..., 0]
