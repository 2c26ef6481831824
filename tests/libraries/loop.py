"""The oracle of the library tests: a plain Python loop over the broadcast batch shape.

It shares no code with autovmap. Ranks are said leaf by leaf, NumPy broadcasts the batch shapes,
every example is cut out by indexing, and what the function returns is stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def loop(function: Callable[..., Any], ranks: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function` once for each example and stack the results.

    `ranks` has one entry for each argument, in the order of the call, keyword arguments last:
    None (not mapped), an int (of every array leaf), "key", or a list of these, one for each leaf
    (`ranks_of(example)` makes such a list).
    """
    arguments = [_Argument(a, r) for a, r in zip([*args, *kwargs.values()], ranks, strict=True)]
    batch_shape = np.broadcast_shapes(*(s for a in arguments for s in a.batch_shapes()))
    results = []
    for index in np.ndindex(batch_shape):
        example = [argument.example(index) for argument in arguments]
        named = dict(zip(kwargs, example[len(args) :], strict=True))
        results.append(jax.tree.flatten(function(*example[: len(args)], **named)))

    structure = results[0][1]
    assert all(other == structure for _, other in results)
    stacked = [
        _stack(leaves, batch_shape)
        for leaves in zip(*(leaves for leaves, _ in results), strict=True)
    ]
    return jax.tree.unflatten(structure, stacked)


def ranks_of(example: Any) -> list[int | None]:
    """The rank of each leaf of an argument for one example; None for what is no array."""
    return [jnp.ndim(leaf) if _is_array(leaf) else None for leaf in jax.tree.leaves(example)]


def assert_same(got: Any, want: Any, *, rtol: float = 2e-5, atol: float = 2e-5) -> None:
    """Structure, shapes, dtypes and values agree; what is no array is equal."""
    assert jax.tree.structure(got) == jax.tree.structure(want), "Not equal: structures"
    for (path, g), w in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(want), strict=True):
        where = jax.tree_util.keystr(path)
        if not _is_array(w):
            assert g == w, f"Not equal: what is no array, at {where}"
            continue
        if isinstance(g, (bool, int, float, complex)) and _in_an_object(path):
            assert bool((w == g).all()), f"Not equal: {g}, at {where}"  # it stays a number there
            continue
        seen = (g.shape, g.dtype) if isinstance(g, jax.Array) else g
        assert seen == (w.shape, w.dtype), f"Not equal: {seen}, {w.shape} {w.dtype}, at {where}"
        if jnp.issubdtype(w.dtype, jax.dtypes.prng_key):
            g, w = jax.random.key_data(g), jax.random.key_data(w)
        if jnp.issubdtype(w.dtype, jnp.inexact):
            np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, err_msg=where)
        else:
            np.testing.assert_array_equal(g, w, err_msg=where)


def agrees(
    decorated: Callable[..., Any],
    function: Callable[..., Any],
    ranks: Sequence[Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Assert that the decorated function's result is the loop's, and return it."""
    result = decorated(*args, **kwargs)
    assert_same(result, loop(function, ranks, *args, **kwargs))
    return result


class Normal:
    """Standard normal float32 arrays, a new one at each call: `Normal()(3, 1)`."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> jax.Array:
        return jnp.asarray(self.rng.standard_normal(shape, dtype=np.float32))


class _Argument:
    """One argument, flat, with a rank for each leaf."""

    def __init__(self, value: Any, rank: Any) -> None:
        self.leaves, self.structure = jax.tree.flatten(value)
        each = rank if isinstance(rank, list) else [rank] * len(self.leaves)
        self.ranks = [
            _number(r, leaf) if _is_array(leaf) else None
            for r, leaf in zip(each, self.leaves, strict=True)
        ]

    def batch_shapes(self) -> Iterator[tuple[int, ...]]:
        for leaf, rank in zip(self.leaves, self.ranks, strict=True):
            if rank is not None:
                yield jnp.shape(leaf)[: jnp.ndim(leaf) - rank]

    def example(self, index: tuple[int, ...]) -> Any:
        cut = []
        for leaf, rank in zip(self.leaves, self.ranks, strict=True):
            batch = () if rank is None else jnp.shape(leaf)[: jnp.ndim(leaf) - rank]
            own = index[len(index) - len(batch) :]
            at = tuple(0 if n == 1 else i for i, n in zip(own, batch, strict=True))
            cut.append(_apart(leaf, at) if batch else leaf)
        return jax.tree.unflatten(self.structure, cut)


def _in_an_object(path: Any) -> bool:
    """Whether a path leads through more than dicts, lists and tuples."""
    builtin = (jax.tree_util.DictKey, jax.tree_util.SequenceKey)
    return any(not isinstance(key, builtin) for key in path)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic, bool, int, float, complex))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _is_for_numpy(leaf: Any) -> bool:
    """Whether NumPy can cut and stack an array; JAX would compile a program for each shape."""
    return not isinstance(leaf, jax.core.Tracer) and not _is_key(leaf)


def _apart(leaf: Any, at: tuple[int, ...]) -> Any:
    by_numpy = isinstance(leaf, jax.Array) and _is_for_numpy(leaf)
    return jnp.asarray(np.asarray(leaf)[at]) if by_numpy else leaf[at]


def _number(rank: Any, leaf: Any) -> int | None:
    if rank != "key":
        return rank
    return 0 if _is_key(leaf) else 1


def _stack(leaves: tuple[Any, ...], batch_shape: tuple[int, ...]) -> Any:
    if not _is_array(leaves[0]):
        assert all(leaf == leaves[0] for leaf in leaves)
        return leaves[0]
    arrays = [jnp.asarray(leaf) for leaf in leaves]
    if all(map(_is_for_numpy, arrays)):
        stacked = jnp.asarray(np.stack([np.asarray(array) for array in arrays]))
    else:
        stacked = jnp.stack(arrays)
    return stacked.reshape(batch_shape + stacked.shape[1:])
