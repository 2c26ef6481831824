"""The oracle can fail: planted mistakes are caught."""

import jax
import jax.numpy as jnp
import pytest

from .loop import Normal, assert_same, loop, ranks_of

pytestmark = pytest.mark.libraries


def affine(w, x):
    return {"y": w @ x, "name": "affine"}


@pytest.mark.parametrize(
    "mistake",
    [
        lambda y: y.at[1, 0, 0].add(1e-3),  # a value
        lambda y: y[None],  # a shape
        lambda y: y.astype(jnp.float16),  # a dtype
        lambda y: y.mT,  # the batch dims of a square result
        lambda y: (y,),  # the structure
    ],
)
def test_a_planted_mistake_is_caught(mistake):
    normal = Normal()
    w, x = normal(2, 1, 2, 3), normal(2, 3)
    want = loop(affine, (2, 1), w, x)
    right = {"y": jnp.einsum("abij,bj->abi", jnp.broadcast_to(w, (2, 2, 2, 3)), x)}
    assert_same(right | {"name": "affine"}, want)
    with pytest.raises(AssertionError, match="Not equal"):
        assert_same({"y": mistake(right["y"]), "name": "affine"}, want)
    with pytest.raises(AssertionError, match="Not equal"):
        assert_same(right | {"name": "other"}, want)


def test_the_loop_is_nested_loops():
    normal = Normal()
    tree, y = {"a": normal(3, 1, 2), "b": normal(1)}, normal(4)
    got = loop(lambda tree, y: jnp.sum(tree["a"]) * tree["b"] + y, ([1, 0], 0), tree, y)
    want = [[jnp.sum(tree["a"][i, 0]) * tree["b"][0] + y[j] for j in range(4)] for i in range(3)]
    assert_same(got, jnp.array(want))


def test_ranks_of():
    assert ranks_of({"a": jnp.ones(3), "f": jnp.sin, "k": jax.random.key(0), "n": 1.0}) == [
        1,
        None,
        0,
        0,
    ]
