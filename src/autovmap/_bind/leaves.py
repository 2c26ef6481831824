"""What one leaf is: array, number, PRNG key, Ref, or something that no vmap can map."""

import collections
import dataclasses
import functools
import time
import types
from collections.abc import Iterator, Mapping, MutableSequence, Sequence, Set
from dataclasses import replace
from typing import Any, TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
import optree

from autovmap._bind.kinds import REF, Kind, a, chosen, is_key, kind_of, refuse_array, shown
from autovmap._plan.leaf import Leaf, describe, dims_text, list_hint, tuple_text
from autovmap._spec.ranks import (
    Core,
    Either,
    Key,
    NoArray,
    OneBatch,
    Rank,
    Tree,
    Undeclared,
    is_mapped,
)
from autovmap.errors import RankError, SpecError

INT32 = 2**31


ARRAY, NUMPY = Kind.ARRAY, Kind.NUMPY
OUTPUTS = (Kind.INT, Kind.NUMBER, Kind.CONVERTIBLE, Kind.REF)

Facts: TypeAlias = tuple[Any, ...]
"""What a plan depends on in one leaf: hashable, and the same for leaves that plan alike."""


def facts(leaf: Any) -> Facts:
    """Shape and dtype of a leaf, with its kind where that matters too.

    >>> facts(1.5)
    ((), 'float')
    """
    kind = kind_of(type(leaf))
    if kind is ARRAY:
        return (leaf.shape, leaf.dtype)
    if kind is NUMPY:
        if leaf.dtype.itemsize < 8:
            return (leaf.shape, leaf.dtype)
        return (leaf.shape, leaf.dtype, cast("Any", jax.config).jax_enable_x64)  # its dtype in JAX
    if kind is Kind.NUMBER:
        return ((), type(leaf).__name__)
    if kind is Kind.INT:
        small = -INT32 <= leaf < INT32
        if small:
            return ((), type(leaf).__name__)
        return ((), "int", kind, int(leaf), cast("Any", jax.config).jax_enable_x64)
    if kind is Kind.OTHER:
        return (type(leaf), _holds_arrays(leaf))
    return (tuple(leaf.shape), leaf.dtype, kind, is_ref(leaf))


def is_ref(leaf: Any) -> bool:
    """Whether a leaf is a Ref; a traced one is of a class that traced arrays have too."""
    return bool(REF) and isinstance(leaf, REF)


def to_jax(leaf: Any) -> Any:
    """NumPy arrays and the like as JAX arrays; Python numbers, Refs and the rest as they are.

    vmap hands unmapped NumPy arrays on raw: `.at` would fail, item assignment would change the
    caller's array, and the function would see another type batched than unbatched.
    """
    kind = kind_of(type(leaf))
    if kind is ARRAY or isinstance(leaf, jax.Array):  # a tracer is of another class
        return leaf
    if is_ref(leaf):
        return leaf
    if kind is Kind.CONVERTIBLE or (kind is Kind.NUMPY and leaf.dtype != jax.dtypes.float0):
        return jnp.asarray(leaf)
    return leaf


def as_array(value: Any) -> Any:
    """A number, or a list or tuple of scalars to any depth, as an array; all else as it is."""
    listed = type(value) in (list, tuple)
    if not listed:
        return jnp.asarray(value) if kind_of(type(value)) in (Kind.INT, Kind.NUMBER) else value
    return jnp.asarray(value) if jax.tree.leaves(value) and _holds_scalars(value) else value


def _holds_scalars(value: Any) -> bool:
    """Whether lists and tuples hold nothing but numbers and arrays without dims.

    Under jit a list of numbers is a list of such arrays.
    """
    if type(value) in (list, tuple):
        return all(map(_holds_scalars, value))
    kind = kind_of(type(value))
    if kind in (ARRAY, NUMPY, Kind.CONVERTIBLE):
        return value.shape == () and not is_key(value)
    return kind in (Kind.INT, Kind.NUMBER)


def is_array(leaf: Any) -> bool:
    """Whether an output leaf gets batch dims: arrays and Python numbers do."""
    kind = kind_of(type(leaf))
    if kind is ARRAY or kind in OUTPUTS:
        return True
    return kind is NUMPY and jax_holds(leaf.dtype)


@functools.lru_cache(maxsize=512)
def jax_holds(dtype: Any) -> bool:
    """Whether JAX has a dtype; it refuses the others late, and without a path."""
    if dtype == jax.dtypes.float0:
        return True
    numeric = jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_)
    return bool(numeric and dtype.isnative and dtype.char not in "gGmM")


def planned_leaf(leaf: Any, rank: Rank, path: str, whole: bool, function: str) -> Leaf | None:
    """What the planner is told of a leaf under a rank; None for one that passes through.

    `whole` says that the leaf is a whole argument, not a part of a tree.

    Raises:
        SpecError: nothing of this type or dtype can be mapped.
        RankError: a number, or an array of too few dims, under a rank of one or more.
    """
    where = f"{function}(): {path}"
    kind = kind_of(type(leaf))
    if isinstance(rank, OneBatch) and rank.axis is None:
        one_key = kind in (ARRAY, Kind.CONVERTIBLE, Kind.STRUCT) and is_key(leaf) and leaf.ndim == 0
        return Leaf(path, (), str(leaf.dtype), 0, key=True) if one_key else None
    if isinstance(rank, NoArray):
        refuse_array(leaf, rank, path, function)
        return None
    if kind is Kind.OTHER:
        if isinstance(leaf, Iterator):
            raise SpecError(
                f"{where} is {a(type(leaf).__name__)}, an iterator, which JAX can't map; pass an "
                f"array of its values, as in jnp.array(list({path}))"
            )
        parts = is_no_node(leaf) and not _is_like_array(leaf) if whole else _holds_arrays(leaf)
        if parts or _is_container(leaf):
            raise SpecError(not_a_node(leaf, where, whole))
        if whole and not (isinstance(rank, Either) and rank.others):
            remedy = f"pass jnp.asarray({path})" if _is_like_array(leaf) else f"give {path} no rank"
            raise SpecError(
                f"{where} is {shown(leaf)} of type {type(leaf).__name__}, which has no dims to "
                f"map; {remedy}"
            )
        return None
    if isinstance(rank, Undeclared):
        raise SpecError(
            f"{where} has no base rank; it is {shown(leaf)}. Ranks are declared for "
            f"{list(rank.declared) or 'none'} of {list(rank.names)!r}; declare one for it too, or "
            f"None if it is not mapped"
        )
    if kind is Kind.MASKED:
        raise SpecError(
            f"{where} is a masked array, {shown(leaf)}, and JAX would drop the mask; pass "
            f"{path}.filled(value)"
        )
    if kind is Kind.NUMPY and not jax_holds(leaf.dtype):
        # Text holds no numbers to convert to, as dates and objects may.
        do = "" if leaf.dtype.kind in "US" else "convert it, for example by .astype(), or "
        raise SpecError(
            f"{where} has dtype {leaf.dtype} and shape {leaf.shape}, which JAX does not support; "
            f"{do}give {path} no rank"
        )
    if kind is Kind.INT and not -INT32 <= leaf < INT32:
        _refuse_overflow(leaf, where)
    if isinstance(rank, Either):
        rank = chosen(rank, leaf, where)
    found = _leaf(leaf, rank, path, function)
    if kind in (Kind.INT, Kind.NUMBER) and found.rank > sum(dim.optional for dim in found.dims):
        wanted = (
            f"; pass an array with at least {dims_text(found.rank)}, or declare a lower base rank"
        )
        raise RankError(
            f"{where} is the Python number {leaf!r}, of rank 0, below its base rank {found.rank}"
            f"{list_hint(path) or wanted}"
        )
    return found


def _is_like_array(leaf: Any) -> bool:
    """Whether JAX makes an array of something that it takes for no leaf of its own."""
    text = isinstance(leaf, np.generic)  # of NumPy's scalars only text gets here
    return isinstance(leaf, range) or (hasattr(type(leaf), "__array__") and not text)


def _leaf(leaf: Any, rank: Rank, path: str, function: str) -> Leaf:
    kind = kind_of(type(leaf))
    if kind in (Kind.INT, Kind.NUMBER):
        shape, dtype, typed = (), type(leaf).__name__, False
    else:
        shape, dtype = tuple(leaf.shape), str(leaf.dtype)
        if kind is Kind.NUMPY and leaf.dtype != jax.dtypes.float0:
            dtype = str(jax.dtypes.canonicalize_dtype(leaf.dtype))  # as the function will see it
        typed = is_key(leaf)
    if isinstance(rank, OneBatch):
        return _one_batch(Leaf(path, shape, dtype, 0, key=typed), rank, function)
    if not isinstance(rank, Key):
        base = getattr(rank, "rank", 0)
        dims = rank.dims if isinstance(rank, Core) else ()
        key = typed and base == 0
        return Leaf(path, shape, dtype, base, key=key, dims=dims, fixed=is_ref(leaf))
    if typed:
        return Leaf(path, shape, dtype, 0, key=True)
    found = Leaf(path, shape, dtype, 1, key=True)
    if dtype != "uint32" or not shape or not any(n == 2 or n == 4 for n in shape):
        seeds = ""
        if "int" in dtype:
            one = f"; if it is a seed, pass jax.random.key({path})"
            many = f"; if these are seeds, pass {len(shape) * 'jax.vmap('}"
            many += f"jax.random.key{len(shape) * ')'}({path})"
            seeds = many if shape else one
        raise SpecError(
            f'{function}(): {path} is {describe(found)}, but its rank is "key"; a PRNG key is '
            f"either typed (jax.random.key) or raw (jax.random.PRNGKey), which is uint32[2] or "
            f"uint32[4] for one key{seeds}"
        )
    return found


def _one_batch(leaf: Leaf, rank: OneBatch, function: str) -> Leaf:
    """A leaf of which one dim is a batch dim, as `jax.vmap` says it."""
    ndim = len(leaf.shape)
    if rank.axis is None or not -ndim <= rank.axis < ndim:
        raise RankError(
            f"{function}(): in_axes asks vmap to map its argument along axis {rank.axis} of "
            f"{leaf.path}, which is {describe(leaf)} and has {dims_text(ndim)}"
        )
    return replace(leaf, rank=ndim - 1, position=rank.axis % ndim, key=leaf.key and ndim == 1)


def _refuse_overflow(leaf: int, where: str) -> None:
    try:
        jnp.asarray(leaf)
    except OverflowError as error:
        raise SpecError(
            f"{where} is the Python int {leaf}, which does not fit into an integer of JAX here; "
            f"pass an array of a dtype that can hold it, or enable 64 bits (jax_enable_x64)"
        ) from error


def is_no_node(leaf: Any) -> bool:
    """Whether JAX takes a container, or an object with parts, for a single leaf."""
    if _is_container(leaf):
        return True
    parts = getattr(leaf, "__dict__", None) or getattr(type(leaf), "__slots__", None)
    if not parts or isinstance(leaf, type):
        return False
    return not callable(leaf) or any(map(is_array, getattr(leaf, "__dict__", {}).values()))


def _is_container(leaf: Any) -> bool:
    """Whether it is one to Python or optree, and not to JAX: its arrays would stay unmapped."""
    return (
        isinstance(leaf, (collections.deque, time.struct_time, Mapping, MutableSequence, Set))
        or not cast("Any", optree.tree_structure(leaf, none_is_leaf=True)).is_leaf()
    )


def not_a_node(leaf: Any, where: str, whole: bool) -> str:
    """What to do about a leaf that is one only as JAX was not told of its parts."""
    return (
        f"{where} is {a(type(leaf).__name__)}, which is not a JAX pytree node; "
        f"register its type (jax.tree_util.register_dataclass, register_pytree_node), or pass a "
        f"list, tuple or dict{', or give it no rank' if whole else ''}"
    )


def refuse_no_node(value: Any, rank: Tree, where: str) -> None:
    """Refuse an object under a rank that JAX takes for a single leaf, where it would be static."""
    if is_mapped(rank) and kind_of(type(value)) is Kind.OTHER and is_no_node(value):
        raise SpecError(not_a_node(value, where, whole=True))


def _holds_arrays(leaf: Any) -> bool:
    """Whether a leaf is an instance of a class of fields that JAX was not told of, with arrays."""
    plain = isinstance(leaf, types.SimpleNamespace) or dataclasses.is_dataclass(leaf)
    if not plain or isinstance(leaf, type):
        return False
    return any(is_array(value) for value in getattr(leaf, "__dict__", {}).values())


def refuse_structs(leaf: Any, path: str, function: str) -> None:
    """Refuse a `jax.ShapeDtypeStruct` in a call: it has a shape, but no values."""
    if kind_of(type(leaf)) is Kind.STRUCT:
        raise SpecError(
            f"{function}(): {path} is a jax.ShapeDtypeStruct, {shown(leaf)}, which has no values; "
            f"for shapes alone use jax.eval_shape({function}, ...) or {function}.plan(...)"
        )


def refuse_shape(value: Any, rank: Tree, path: str, function: str) -> None:
    """Refuse a tuple of ints for an array's shape in a plan: to JAX it is a pytree of numbers."""
    if not (isinstance(rank, Core) and rank.rank and type(value) in (tuple, list) and value):
        return
    entries = cast("Sequence[Any]", value)
    if all(kind_of(type(entry)) is Kind.INT for entry in entries):
        raise RankError(
            f"{function}.plan(): {path} is the {type(value).__name__} {shown(value)}, a pytree of "
            f"numbers; for an array of that shape give "
            f"jax.ShapeDtypeStruct({tuple_text(tuple(entries))}, dtype)"
        )


def refuse_short_ref(leaf: Any, planned: Leaf, batch: tuple[Any, ...], function: str) -> None:
    """Refuse a Ref that lacks batch dims: it can't be stretched, as that would copy it."""
    if is_ref(leaf) and planned.batch != batch:
        raise SpecError(
            f"{function}(): {planned.path} is the Ref {describe(planned)} with base rank "
            f"{planned.rank}, and would have to be broadcast to the batch shape {batch}; give it "
            f"all batch dims, or no rank if all examples share it"
        )
