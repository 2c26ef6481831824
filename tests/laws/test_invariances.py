"""Laws that a call obeys whatever it computes: order, dims of 1, nesting, gradients."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import auto_vmap
from functions import REAL, REAL_CORES, Recipe, plain, recipes
from oracle import is_array, is_key
from strategies import Node, Tree, batches, cases, parts, specs, trees

NESTED = ["where", "scan", "gather"]
SMOOTH = ["where", "scan", "gather"]


def assert_equal(found: Any, wanted: Any, tolerance: float = 0) -> None:
    """Structure, dtypes and values are the same."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        if is_key(one):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        if not is_array(one):
            assert one == other
            continue
        assert jnp.result_type(one) == jnp.result_type(other)
        one, other = np.asarray(one), np.asarray(other)
        if one.dtype.kind not in "fc":
            one, other = one.astype(complex), other.astype(complex)  # bfloat16, int4
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def reordered(value: Any) -> Any:
    """The same tree with the keys of each dict the other way round."""
    if type(value) is dict:
        return {key: reordered(value[key]) for key in reversed(value)}
    if type(value) in (list, tuple):
        return type(value)(map(reordered, value))
    return value


@cases(0.1)
@given(data=st.data(), recipe=recipes())
def test_the_order_of_keywords_and_of_keys_does_not_matter(
    data: st.DataObject, recipe: Recipe
) -> None:
    batch = data.draw(batches())
    first, second = data.draw(trees(batch)), data.draw(trees(batch))
    ranks = {"first": data.draw(specs(first)), "second": data.draw(specs(second))}
    f = auto_vmap(**ranks)(plain(recipe, None))
    g = auto_vmap(**reordered(dict(reversed(ranks.items()))))(plain(recipe, None))
    one, two = first.build(), second.build()
    expected = f(first=one, second=two)
    assert_equal(f(second=two, first=one), expected)
    assert_equal(f(one, second=two), expected)
    assert_equal(g(second=reordered(two), first=reordered(one)), expected)


def widened(tree: Tree, place: int) -> Tree:
    """The same leaves with a batch dim of 1 before the last `place` batch dims, if they have so
    many."""
    if isinstance(tree, Node):
        children = tuple((name, widened(child, place)) for name, child in tree.children)
        return replace(tree, children=children)
    fixed = tree.kind in ("none", "str", "number", "scalar") or tree.rank is None
    if fixed or len(tree.batch) < place:
        return tree
    at = len(tree.batch) - place
    return replace(tree, batch=(*tree.batch[:at], 1, *tree.batch[at:]))


def has(tree: Tree, place: int) -> bool:
    """Whether `widened` changes a leaf."""
    return tree != widened(tree, place)


@cases(0.1)
@given(data=st.data(), recipe=recipes(), place=st.integers(0, 3))
def test_a_batch_dim_of_1_adds_a_dim_of_1(data: st.DataObject, recipe: Recipe, place: int) -> None:
    batch = data.draw(batches())
    first, second = data.draw(trees(batch)), data.draw(trees(batch))
    ranks = {"first": data.draw(specs(first)), "second": data.draw(specs(second))}
    recipe = replace(recipe, outputs=tuple(o for o in recipe.outputs if o[0] not in ("probe",)))
    if not recipe.outputs or not (has(first, place) or has(second, place)):
        return
    f = auto_vmap(**ranks)(plain(recipe, None))
    narrow = f(first.build(), second.build())
    wide = f(widened(first, place).build(), widened(second, place).build())
    block = len(f.plan(first.build(), second.build()).batch_shape)

    def with_dim(leaf: Any) -> Any:
        if not is_array(leaf):
            return leaf
        leaf = leaf if is_key(leaf) else jnp.asarray(leaf)
        return leaf.reshape((*leaf.shape[: block - place], 1, *leaf.shape[block - place :]))

    assert_equal(wide, jax.tree.map(with_dim, narrow))


def arguments(
    ranks: tuple[int | str, ...], shapes: list[tuple[int, ...]], seed: int = 0
) -> list[jax.Array]:
    """Positive floats of these batch shapes."""
    rng = np.random.default_rng(seed)
    pairs = zip(ranks, shapes, strict=True)
    return [jnp.asarray(rng.uniform(1, 5, s + REAL_CORES[r]), jnp.float32) for r, s in pairs]


@pytest.mark.parametrize("name", NESTED)
@cases(0.02)
@given(data=st.data())
def test_mapped_twice_is_mapped_once_with_more_dims(name: str, data: st.DataObject) -> None:
    function, ranks = REAL[name]
    most = data.draw(batches())[:2]
    outer = data.draw(st.sampled_from([(2,), (3,), (1,), (2, 1)]))
    own = [data.draw(parts(most)) for _ in ranks]
    inner = np.broadcast_shapes(*own)
    full = [outer + (1,) * (len(inner) - len(shape)) + shape for shape in own]
    args = arguments(ranks, full)
    once = auto_vmap(*ranks)(function)
    expected = once(*args)
    cores = [REAL_CORES[rank] for rank in ranks]
    narrow = [x.reshape(outer + s + core) for x, s, core in zip(args, own, cores, strict=True)]
    by_jax: Callable[..., Any] = once
    for _ in outer:
        by_jax = jax.vmap(by_jax)
    assert_equal(by_jax(*narrow), expected, 1e-4)
    deeper = auto_vmap(*(len(inner) + int(r) for r in ranks))(once)
    assert_equal(deeper(*args), expected, 1e-4)
    assert_equal(auto_vmap(*ranks)(once)(*args), expected, 1e-4)


@pytest.mark.parametrize("name", SMOOTH)
@cases(0.02)
@given(data=st.data())
def test_the_gradient_of_a_batch_is_the_batch_of_gradients(name: str, data: st.DataObject) -> None:
    function, ranks = REAL[name]
    batch = data.draw(batches())
    shapes = [data.draw(parts(batch)) for _ in ranks]
    args = arguments(ranks, shapes, len(batch))
    whole = np.broadcast_shapes(*shapes)

    def total(out: Any) -> Any:
        floats = [x for x in jax.tree.leaves(out) if jnp.issubdtype(x.dtype, jnp.inexact)]
        return sum((jnp.sin(x).sum() for x in floats), start=jnp.float32(0))

    f = auto_vmap(*ranks)(function)
    found = jax.grad(lambda args: total(f(*args)))(args)
    one = jax.jit(jax.grad(lambda args: total(function(*args))))
    expected = [np.zeros(x.shape, np.float64) for x in args]
    for index in np.ndindex(*whole):
        own = [
            tuple(i % size for i, size in zip(index[len(index) - len(s) :], s, strict=True))
            for s in shapes
        ]
        gradients = one([x[at] for x, at in zip(args, own, strict=True)])
        for total_, at, gradient in zip(expected, own, gradients, strict=True):
            total_[at] += np.asarray(gradient)
    for one_, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one_, other, rtol=2e-3, atol=2e-3)
    # The gradient itself, decorated, is that of each example.
    if 0 not in whole:
        each = f.lift(lambda g: jax.grad(lambda *args: total(g(*args))))(*args)
        shape = whole + REAL_CORES[ranks[0]]
        assert each.shape == shape
        summed = np.asarray(each, np.float64)
        lead = len(whole) - len(shapes[0])
        summed = summed.sum(tuple(range(lead)))
        ones = [i for i, size in enumerate(shapes[0]) if size == 1]
        np.testing.assert_allclose(
            summed.sum(tuple(ones), keepdims=True), expected[0], rtol=2e-3, atol=2e-3
        )
