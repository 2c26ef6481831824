"""ott writes all pairs of points as two nested vmaps, of two sets without batch dims."""

import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .loop import Normal, assert_same

costs = pytest.importorskip("ott.geometry.costs")

pytestmark = pytest.mark.libraries


@pytest.mark.parametrize("cost", ["SqEuclidean", "Euclidean", "Cosine"])
def test_all_pairs(cost):
    function = getattr(costs, cost)()
    ours = auto_vmap(x=1, y=1)(lambda x, y: function(x, y)).outer("x", "y")
    normal = Normal()
    x, y = normal(5, 3), normal(7, 3)
    assert_same(ours(x, y), function.all_pairs(x, y))

    sets = normal(2, 4, 3)
    expected = jnp.stack([function.all_pairs(one, y) for one in sets])
    assert_same(ours(sets, y), expected)
    assert function.all_pairs(sets, sets).shape != ours(sets, sets).shape == (2, 4, 2, 4)
