"""The oracle: a Python loop over real examples, and a strict comparison with its result.

It shares no code with autovmap. It is told the base rank of every leaf by the test (not worked out
from a decorator's spec), finds the batch shape with `np.broadcast_shapes`, slices every leaf with
plain NumPy indexing, calls the plain function once for each index, and stacks.

>>> expected = loop(lambda x, y: x @ y, [[1], [1]], (np.ones((5, 3)), np.ones((2, 1, 3))))
>>> expected.batch, expected.leaves[0].values.shape
((2, 5), (2, 5))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Rank = int | str | None
"""Of one leaf: its base rank, "key" for a PRNG key, None where it is not mapped."""

# Reductions are summed in another order under vmap; the widest error seen is a few ulp.
TOLERANCE = {"float16": 1e-2, "bfloat16": 6e-2, "float32": 3e-5, "complex64": 3e-5}


@dataclass(frozen=True)
class Leaf:
    """One leaf of the expected result: an array's values, or anything else as it is."""

    array: bool
    values: Any
    dtype: Any = None
    weak: bool = False
    kind: type = object


@dataclass(frozen=True)
class Expected:
    """What a call must give: its structure, and a row a leaf."""

    batch: tuple[int, ...]
    structure: Any
    leaves: list[Leaf]


def is_number(x: Any) -> bool:
    """Whether x is a Python number (NumPy scalars derive from float and complex, too)."""
    return isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic)


def is_array(x: Any) -> bool:
    """Whether x is a leaf that JAX computes with."""
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype.kind not in "SUO"
    return isinstance(x, jax.Array) or is_number(x)


def is_key(x: Any) -> bool:
    """Whether x is an array of typed PRNG keys."""
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def core_ndim(x: Any, rank: Rank) -> int:
    """How many dims of a leaf belong to one example."""
    if rank == "key":
        return 0 if is_key(x) else 1
    return np.ndim(x) if rank is None and not is_key(x) else int(rank or 0)


def batch_of(x: Any, rank: Rank) -> tuple[int, ...]:
    """The batch shape of one leaf."""
    if rank is None or not is_array(x):
        return ()
    shape = tuple(x.shape) if hasattr(x, "shape") else ()
    return shape[: len(shape) - core_ndim(x, rank)]


def example_of(x: Any, rank: Rank, index: tuple[int, ...], empty: bool) -> Any:
    """The leaf as the function sees it in one example; ones where the batch has no example."""
    if not is_array(x) or is_number(x):
        return x
    if rank is None:
        return x if isinstance(x, jax.Array) else jnp.asarray(x)
    batch = batch_of(x, rank)
    if empty and 0 in batch:
        if is_key(x):
            return jax.random.key(0)
        return jnp.broadcast_to(jnp.ones_like(x, shape=()), x.shape[len(batch) :])
    own = index[len(index) - len(batch) :]
    own = tuple(0 if size == 1 else i for i, size in zip(own, batch, strict=True))
    if is_key(x) or (isinstance(x, jax.Array) and x.weak_type):
        return x[own]  # NumPy knows neither keys nor weak types
    return jnp.asarray(np.asarray(x)[own])


def loop(
    fn: Callable[..., Any],
    arg_ranks: Sequence[Sequence[Rank] | None],
    args: Sequence[Any],
    kwarg_ranks: Mapping[str, Sequence[Rank] | None] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Expected:
    """Call `fn` on every example in turn.

    Args:
        fn: the plain function.
        arg_ranks: for each argument the ranks of its leaves, in the order of `jax.tree.leaves`;
            None for an argument that is not mapped, which is not looked into.
        args: the arguments, with any batch dims.
        kwarg_ranks: as arg_ranks, by keyword.
        kwargs: the keyword arguments.
    """
    kwargs, kwarg_ranks = kwargs or {}, kwarg_ranks or {}
    pairs = [*zip(arg_ranks, args, strict=True)]
    pairs += [(kwarg_ranks[name], value) for name, value in kwargs.items()]
    shapes = [
        batch_of(leaf, rank)
        for ranks, value in pairs
        if ranks is not None
        for rank, leaf in zip(ranks, jax.tree.leaves(value), strict=True)
    ]
    batch = np.broadcast_shapes(*shapes)
    empty = 0 in batch

    def call(index: tuple[int, ...]) -> Any:
        def pick(ranks: Sequence[Rank] | None, value: Any) -> Any:
            if ranks is None:
                return value
            leaves, structure = jax.tree.flatten(value)
            found = zip(leaves, ranks, strict=True)
            return structure.unflatten(example_of(x, r, index, empty) for x, r in found)

        picked = [pick(r, a) for r, a in zip(arg_ranks, args, strict=True)]
        return fn(*picked, **{name: pick(kwarg_ranks[name], v) for name, v in kwargs.items()})

    results = [call((0,) * len(batch))] if empty else [call(i) for i in np.ndindex(*batch)]
    structure = jax.tree.structure(results[0])
    rows = [jax.tree.leaves(result) for result in results]
    assert all(jax.tree.structure(result) == structure for result in results)
    return Expected(batch, structure, [stack(column, batch) for column in zip(*rows, strict=True)])


def stack(column: Sequence[Any], batch: tuple[int, ...]) -> Leaf:
    """One output leaf of all examples, as one leaf with the batch shape in front."""
    first = column[0]
    if not is_array(first):
        return Leaf(False, first, kind=type(first))
    plain = [to_numpy(x) for x in column]
    if 0 in batch:
        values = np.zeros(batch + plain[0].shape, plain[0].dtype)
    else:
        values = np.stack(plain).reshape(batch + plain[0].shape)
    dtype = first.dtype if is_key(first) else jnp.asarray(first).dtype
    return Leaf(True, values, dtype, weak(first), type(first))


def to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """The values of a leaf, in NumPy; of a typed key, its data."""
    return np.asarray(jax.random.key_data(x) if is_key(x) else jnp.asarray(x))


def weak(x: Any) -> bool:
    """Whether JAX lets x give way to another dtype."""
    return False if is_key(x) else bool(jnp.asarray(x).weak_type)


def compare(actual: Any, expected: Expected, compiled: bool = False) -> None:
    """Raise AssertionError unless the result of a call is what the loop gave.

    What is `compiled` gives JAX arrays where a plain call without a batch gives numbers.
    """
    structure = jax.tree.structure(actual)
    assert structure == expected.structure, f"structure {structure}, not {expected.structure}"
    found = jax.tree_util.tree_leaves_with_path(actual)
    for (path, got), want in zip(found, expected.leaves, strict=True):
        if compiled and want.array:
            want = replace(want, kind=jax.Array)
        compare_leaf(f"out{jax.tree_util.keystr(path)}", got, want, expected.batch)


def compare_leaf(name: str, got: Any, want: Leaf, batch: tuple[int, ...]) -> None:
    """The check of one leaf."""
    if not want.array:
        assert type(got) is want.kind, f"{name}: {type(got)}, not {want.kind}"
        assert got == want.values, f"{name}: {got!r}, not {want.values!r}"
        return
    if not batch and not issubclass(want.kind, jax.Array):
        assert type(got) is want.kind, f"{name}: {type(got)}, not {want.kind}, without a batch"
    elif batch:
        assert isinstance(got, jax.Array), f"{name}: {type(got)} is no jax.Array"
    dtype = got.dtype if is_key(got) else jnp.asarray(got).dtype
    assert dtype == want.dtype, f"{name}: dtype {dtype}, not {want.dtype}"
    assert weak(got) == want.weak, f"{name}: weak type {weak(got)}, not {want.weak}"
    values = to_numpy(got)
    assert values.shape == want.values.shape, f"{name}: {values.shape}, not {want.values.shape}"
    tolerance = TOLERANCE.get(str(values.dtype), 0)
    wide = np.complex128 if np.iscomplexobj(values) else np.float64
    np.testing.assert_allclose(
        values.astype(wide),
        want.values.astype(wide),
        rtol=tolerance,
        atol=tolerance,
        err_msg=name,
    )
