"""jaxkd takes `query` as (d,) or (Q, d), by `atleast_2d` and `if query.ndim == 1`."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .by_hand import equal_and_beyond
from .loop import Normal

jaxkd = pytest.importorskip("jaxkd")

pytestmark = pytest.mark.libraries


def test_neighbors_by_all_distances():
    @auto_vmap(points=2, query=1)
    def ours(points, query):
        distances = jnp.linalg.norm(points - query, axis=-1)
        distances, indices = jax.lax.top_k(-distances, 2)
        return indices, -distances

    theirs = partial(jaxkd.extras.query_neighbors_pairwise, k=2)
    normal = Normal()
    points = normal(9, 3)
    both = points, normal(5, 3)
    equal_and_beyond(ours, theirs, (2, 1), both=both, beyond=(points, normal(4, 5, 3)))


def test_neighbors_in_a_tree():
    normal = Normal()
    tree = jaxkd.build_tree(normal(9, 3))

    @auto_vmap(query=1)
    def ours(query):
        return jaxkd.query_neighbors(tree, query, k=2)

    theirs = partial(jaxkd.query_neighbors, tree, k=2)
    equal_and_beyond(ours, theirs, (1,), both=(normal(5, 3),), beyond=(normal(4, 5, 3),))


def test_count_within_radii():
    @auto_vmap(points=2, query=1, r=0)
    def ours(points, query, r):
        return jnp.sum(jnp.linalg.norm(points - query, axis=-1) <= r)

    def theirs(points, query, r):
        return jaxkd.extras.count_neighbors_pairwise(points, query, r=r)

    normal = Normal()
    points, radii = normal(9, 3), jnp.linspace(0.5, 3.0, 5)
    both = points, normal(3), radii
    equal_and_beyond(ours, theirs, (2, 1, 0), both=both, beyond=(points, normal(5, 3), radii))
