"""Trees of ranks against trees of leaves, each wrong at random; and a model of what is right.

The model shares no code with autovmap: it reads ranks off a raw declaration by the rules of
docs/ranks.md, and batch shapes by `np.broadcast_shapes`.
"""

import collections
import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import oracle

Ranks = list[int | str | None]


class Refused(Exception):
    """By the model this is a mistake."""


class Cell(NamedTuple):
    """A node with fields."""

    w: Any
    b: Any


class Thing:
    """What JAX knows nothing of."""

    def __repr__(self) -> str:
        return "Thing()"


SIZES = (1, 2)
"""The sizes of right batch dims: few, so that shapes repeat and programs are found again."""
CORE = 2
"""The size of every core dim."""

JUNK_RANKS: tuple[Any, ...] = (
    *(-1, -7, True, False, 1.0, 0.5, "keys", "1", "", b"key", 1j, object, Thing(), np.ones(1)),
    *({1}, collections.deque([1]), range(2), np.float32(1), float("nan"), jnp.int32, slice(1)),
)
"""What no base rank is."""


def junk_leaves() -> list[Any]:
    """Leaves that no rank fits, made anew at each use.

    No dict whose keys can't be sorted: each time that JAX fails to flatten one inside of a tree it
    loses some of the thread's recursion depth, and after many thousands none is left.
    """
    return [
        np.array([1, None], dtype=object),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.zeros(2, dtype=[("a", "f4")]),
        np.ones((2, 2), ">f4"),
        np.ones((2, 2), np.longdouble),
        np.array(["a"]),
        np.ma.masked_array(np.ones((2, 2))),
        collections.deque([np.ones(2)]),
        {1.0},
        collections.UserDict(a=1),
        2**70,
    ]


PASSENGERS: tuple[Any, ...] = ("relu", b"x", Thing(), jnp.tanh, int, object())
"""Leaves that pass through inside a tree, and are refused as a whole argument."""


def a_rank(rng: random.Random, depth: int) -> Any:
    """A right declaration."""
    kind = rng.random()
    if depth == 0 or kind < 0.5:
        return rng.choice((0, 0, 1, 1, 2, np.int64(1), None))
    children = [a_rank(rng, depth - 1) for _ in range(rng.randint(1, 2))]
    if kind < 0.75:
        return dict(zip(rng.sample("abc", len(children)), children, strict=True))
    if kind < 0.85 and len(children) == 2:
        return Cell(*children)
    return children if kind < 0.95 else tuple(children)


def a_value(rng: random.Random, rank: Any, batch: Sequence[int]) -> Any:
    """A value of the structure that a declaration says, with batch dims that broadcast."""
    if isinstance(rank, dict):
        keys = rng.sample(list(rank), len(rank))
        return {key: a_value(rng, rank[key], batch) for key in keys}
    if isinstance(rank, Cell):
        return Cell(*(a_value(rng, child, batch) for child in rank))
    if isinstance(rank, (list, tuple)):
        return type(rank)(a_value(rng, child, batch) for child in rank)
    if rng.random() < 0.15:  # one rank for a whole subtree
        return [a_value(rng, rank, batch), a_leaf(rng, rank or 0, batch)]
    return None if rng.random() < 0.05 else a_leaf(rng, rank or 0, batch)


def a_leaf(rng: random.Random, rank: int, batch: Sequence[int]) -> Any:
    """An array of this rank with some of the batch dims, some of them 1; or a number."""
    if rank == 0 and rng.random() < 0.15:
        return rng.choice((2.0, 3, True))
    own = [size if rng.random() < 0.7 else 1 for size in batch[rng.randint(0, len(batch)) :]]
    return an_array((*own, *[CORE] * rank), rng.random() < 0.5)


@functools.lru_cache(maxsize=512)
def an_array(shape: tuple[int, ...], jax_array: bool) -> Any:
    """An array of a shape, NumPy's or JAX's."""
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    return jnp.asarray(array) if jax_array else array


def edited(rng: random.Random, node: Any, change: Any, at: float = 0.4) -> Any:
    """A tree with one of its nodes changed, somewhere."""
    if isinstance(node, (dict, list, tuple)) and len(node) and rng.random() > at:
        if isinstance(node, dict):
            key = rng.choice(list(node))
            return {**node, key: edited(rng, node[key], change, at)}
        i = rng.randrange(len(node))
        parts = [edited(rng, x, change, at) if j == i else x for j, x in enumerate(node)]
        return Cell(*parts) if isinstance(node, Cell) else type(node)(parts)
    return change(rng, node)


def wrong_rank(rng: random.Random, node: Any) -> Any:
    """A declaration changed: junk, another rank, another structure."""
    if isinstance(node, dict) and node and rng.random() < 0.5:
        items = list(node.items())
        key, value = items.pop(rng.randrange(len(items)))
        return dict(items) if rng.random() < 0.5 else {**dict(items), f"{key}z": value}
    return rng.choice(
        (rng.choice(JUNK_RANKS), {"a": node}, [node], (node,), 1, 2, 3, {}, [], (), None, [node, 1])
    )


def wrong_value(rng: random.Random, node: Any) -> Any:
    """A value changed: junk, another shape, another structure."""
    if getattr(node, "shape", ()) and rng.random() < 0.4:  # another batch size, or core size
        return an_array((3, *node.shape[1:]), rng.random() < 0.5)
    shape = tuple(rng.choice((0, 1, 2, 3, 3)) for _ in range(rng.randint(0, 3)))
    return rng.choice(
        (
            *(rng.choice(junk_leaves()), rng.choice(PASSENGERS), {"a": node}, [node], (node, node)),
            *(None, {}, [], [1.0, 2.0], an_array(shape, False), an_array(shape, True)),
        )
    )


def model(rank: Any, value: Any) -> Ranks:
    """The rank of each leaf of a value, in JAX's order; None for one that is not mapped.

    Raises:
        Refused: the declaration is none, or the value does not fit it.
    """
    check_rank(rank)
    if not is_looked_into(rank):
        return []
    return fit(rank, value, True)


def is_looked_into(rank: Any) -> bool:
    """Whether a value matters: something in it is mapped, or has to be empty."""
    if isinstance(rank, dict):
        return not rank or any(map(is_looked_into, rank.values()))
    if isinstance(rank, (list, tuple)):
        return not rank or any(map(is_looked_into, rank))
    return rank is not None


def check_rank(rank: Any) -> None:
    """Whether a declaration is one."""
    if isinstance(rank, dict):
        for child in rank.values():
            check_rank(child)
    elif isinstance(rank, (list, tuple)):
        for child in rank:
            check_rank(child)
    elif isinstance(rank, collections.deque):
        pass  # a container, though no argument of that type fits it
    elif rank is not None and rank != "key":
        whole = isinstance(rank, (int, np.integer)) and not isinstance(rank, (bool, np.bool_))
        if not whole or rank < 0:
            raise Refused("no base rank")


def children(value: Any) -> tuple[list[Any], list[Any]] | None:
    """The names and the children of a node, in JAX's order; None for a leaf."""
    if type(value) is dict:
        names = sorted(value)
        return names, [value[name] for name in names]
    if isinstance(value, Cell):
        return list(value._fields), list(value)
    if type(value) in (list, tuple):
        return list(range(len(value))), list(value)
    return None


def fit(rank: Any, value: Any, whole: bool) -> Ranks:
    """The ranks of the leaves below a node."""
    if value is None:
        return []
    if isinstance(rank, collections.deque):
        raise Refused("no argument of this type is a pytree")
    found = children(value)
    if not isinstance(rank, (dict, list, tuple)):
        if found is None:
            return [leaf_rank(rank, value, whole)]
        return [r for child in found[1] for r in fit(rank, child, False)]
    if found is None:
        raise Refused("a declaration that goes deeper")
    names, values = found
    if isinstance(rank, dict):
        if (names and type(value) in (list, tuple)) or not set(rank) <= set(names):
            raise Refused("a key that is absent")
        return [
            r
            for name, child in zip(names, values, strict=True)
            for r in (fit(rank[name], child, False) if name in rank else left_out(child))
        ]
    if type(rank) is not type(value) or len(rank) != len(values):
        raise Refused("another structure")
    return [r for sub, v in zip(rank, values, strict=True) for r in fit(sub, v, False)]


def left_out(value: Any) -> Ranks:
    """What a declaration leaves out holds no array."""
    leaves = jax.tree.leaves(value)
    for leaf in leaves:
        if oracle.is_array(leaf) or hasattr(leaf, "shape") or is_container(leaf):
            raise Refused("an array without a rank")
    return [None] * len(leaves)


def is_container(leaf: Any) -> bool:
    """Whether a leaf is a container that JAX does not know."""
    return isinstance(leaf, (collections.deque, set, Mapping))


def leaf_rank(rank: Any, leaf: Any, whole: bool) -> int | str | None:
    """The rank of one leaf, if it can be mapped so."""
    if rank is None:
        return None
    if is_container(leaf):
        raise Refused("a container that JAX does not know")
    if not hasattr(leaf, "shape") and not oracle.is_number(leaf):
        if whole:
            raise Refused("no array")
        return None
    if oracle.is_number(leaf):
        if rank == "key" or rank > 0 or (isinstance(leaf, int) and abs(leaf) > 2**31):
            raise Refused("a number that does not fit")
        return int(rank)
    if isinstance(leaf, np.ma.MaskedArray) or (
        isinstance(leaf, np.ndarray) and not (leaf.dtype.isnative and leaf.dtype.char in "fdi?l")
    ):
        raise Refused("a dtype that JAX has not")
    if rank == "key" or np.ndim(leaf) < rank:
        raise Refused("too few dims")
    return int(rank)


def total(x: Any, y: Any = 0.0) -> Any:
    """The sum of all arrays and numbers, and how many there are."""
    leaves = [leaf for leaf in jax.tree.leaves((x, y)) if oracle.is_array(leaf)]
    return sum((jnp.sum(leaf) for leaf in leaves), jnp.float32(0)), len(leaves)
