"""interpax's `interp1d` is of one grid: query points of any shape, values of any columns."""

import functools

import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .by_hand import equal_and_beyond
from .loop import Normal

interpax = pytest.importorskip("interpax")

pytestmark = pytest.mark.libraries


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_a_grid_for_each_curve(method):
    theirs = functools.partial(interpax.interp1d, method=method)
    ours = auto_vmap(xq=0, x=1, f=1)(theirs)
    grid, values = jnp.linspace(0.0, 1.0, 6), Normal()(2, 1, 6)
    at = jnp.array([0.05, 0.5, 0.9])
    both = at, grid, values[0, 0]
    beyond = at, jnp.stack([grid, grid**2])[:, None], values
    equal_and_beyond(ours, theirs, (0, 1, 1), both=both, beyond=beyond)
