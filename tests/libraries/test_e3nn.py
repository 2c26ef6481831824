"""e3nn nests vmaps over all pairs of one cloud of points; its arrays are a type of their own."""

import functools

import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .by_hand import equal_and_beyond
from .loop import Normal, agrees, assert_same

e3nn = pytest.importorskip("e3nn_jax")

pytestmark = pytest.mark.libraries


def test_neighbours_within_several_radii():
    function = functools.partial(e3nn.radius_graph, size=6)
    ours = auto_vmap(pos=2, r_max=0)(function)
    points = Normal()(2, 4, 3)
    both = points[0], 1.5
    beyond = points[:, None], jnp.array([1.0, 1.5, 2.0])
    equal_and_beyond(ours, function, (2, 0), both=both, beyond=beyond)


def test_arrays_that_know_their_representation():
    """A type of theirs, with static data and a constructor that validates, goes through."""
    x = e3nn.IrrepsArray("2x0e + 1o", Normal()(2, 1, 5))
    y = e3nn.IrrepsArray("1o", Normal(1)(2, 3))

    @auto_vmap(x=1, y=1)
    def product(x, y):
        return e3nn.norm(e3nn.tensor_product(x, y)).simplify()

    found = agrees(product, product.__wrapped__, (1, 1), x, y)
    assert found.shape == (2, 2, found.irreps.dim)
    assert_same(product.jit()(x, y), found)
