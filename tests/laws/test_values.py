"""The law: a call on batches gives what a loop over the examples gives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import BatchShapeError, auto_vmap
from functions import REAL, REAL_CORES
from oracle import compare, loop
from strategies import Case, batches, cases, generic, parts

COUNT = itertools.count(1)


@cases(2)
@given(generic())
def test_generic_functions_equal_the_loop(case: Case) -> None:
    """Any tree of arguments, any spec that ranks it, any signature, any output."""
    if next(COUNT) % 500 == 0:
        jax.clear_caches()  # thousands of small programs take gigabytes
    positions, options = case.ranks
    args, kwargs = case.call()
    result = auto_vmap(*positions, **options)(case.function())(*args, **kwargs)
    compare(result, case.expected())


SHAPES = [(), (1,), (2,), (0,), (1, 2), (2, 1), (1, 1), (3, 2), (3, 1, 2, 1), (1, 3, 1, 1)]


@pytest.mark.parametrize("first", SHAPES, ids=str)
def test_every_pair_of_these_batch_shapes_equals_the_loop(first: tuple[int, ...]) -> None:
    """Ones and missing dims at each place, in front, in the middle and at the end."""

    def function(x, tree):
        y = tree["y"]
        constants = {"text": "text", "number": 1.5, "integer": 7, "array": jnp.arange(2)}
        return x * y, (x, None), {"y": y, "constants": constants}

    decorated = auto_vmap(x=0, tree={"y": 1})(function)
    x = jnp.arange(np.prod(first, dtype=int), dtype=jnp.float32).reshape(first)
    for second in SHAPES:
        y = jnp.arange(2.0 * np.prod(second, dtype=int)).reshape((*second, 2)) + 1
        try:
            expected = loop(function, [[0], [1]], (x, {"y": y}))
        except ValueError:
            with pytest.raises(BatchShapeError, match="has size"):
                decorated(x, {"y": y})
        else:
            compare(decorated(x, {"y": y}), expected)


@pytest.mark.parametrize("name", REAL)
@cases(0.06)
@given(data=st.data())
def test_real_functions_equal_the_loop(name: str, data: st.DataObject) -> None:
    """Linear algebra, control flow, keys, gathers: on float arguments of every batch shape."""
    function, ranks = REAL[name]
    batch = data.draw(batches())
    shapes = [data.draw(parts(batch)) for _ in ranks]
    seed = data.draw(st.integers(0, 3))
    rng = np.random.default_rng(seed)
    args = [
        jax.random.split(jax.random.key(seed), shape)
        if rank == "key"
        else jnp.asarray(rng.uniform(1, 5, shape + REAL_CORES[rank]), jnp.float32)
        for rank, shape in zip(ranks, shapes, strict=True)
    ]
    compare(auto_vmap(*ranks)(function)(*args), loop(function, [[rank] for rank in ranks], args))


@cases(0.1)
@given(generic())
def test_batches_grow_by_ones_without_a_change(case: Case) -> None:
    """A size-1 axis in front of every argument only adds the axis to the result."""
    positions, options = case.ranks
    decorated = auto_vmap(*positions, **options)(case.function())
    args, kwargs = case.call()
    compare(decorated(*args, **kwargs), case.expected())
    grown = [grow(tree.build(), tree.ranks) for tree in case.args]
    named = kwargs | {name: grow(tree.build(), tree.ranks) for name, tree in case.kwargs.items()}
    ranks = {name: tree.ranks for name, tree in case.kwargs.items()} | {"extra": None}
    if case.default is not None:
        named["second"] = case.default.build()
        ranks["second"] = case.default.ranks
    expected = loop(case.function(), [t.ranks for t in case.args], grown, ranks, named)
    compare(decorated(*grown, **named), expected)


def grow(tree, ranks):
    """Five batch dims of 1 in front of every mapped array."""
    leaves, structure = jax.tree.flatten(tree)
    grown = [
        x if rank is None or isinstance(x, str | int | float | complex) else x[(None,) * 5]
        for x, rank in zip(leaves, ranks, strict=True)
    ]
    return structure.unflatten(grown)
