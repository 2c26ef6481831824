"""Which leaves of a result get batch dims."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.leaves import is_array

NUMBERS = frozenset((Kind.INT, Kind.NUMBER))
CONTAINERS = (tuple, list, Mapping, collections.deque)
"""Nodes that only hold what a function returns; any other node is an object, a model for one."""


def batched(leaves: Sequence[Any], treedef: Any, whole: bool = False) -> list[bool]:
    """For each leaf of a result, whether it gets batch dims.

    Arrays do, and Python numbers. But a number inside an object configures it (the rate of a
    dropout, a bool that is branched on): it is the same for every example, and stays a number.

    >>> leaves, treedef = jax.tree.flatten((1, {"a": 2.0, "b": "x"}))
    >>> batched(leaves, treedef)
    [True, True, False]

    Args:
        leaves: the leaves.
        treedef: the result's structure.
        whole: whether numbers inside objects get batch dims too, as under `jax.vmap`.
    """
    found = [is_array(leaf) for leaf in leaves]
    if whole or NUMBERS.isdisjoint(map(kind_of, map(type, leaves))):
        return found
    inside: list[bool] = []
    _mark(treedef, False, inside)
    return [
        array and not (within and kind_of(type(leaf)) in NUMBERS)
        for array, within, leaf in zip(found, inside, leaves, strict=True)
    ]


def _mark(treedef: Any, within: bool, inside: list[bool]) -> None:
    """For each leaf, whether it stands inside an object."""
    data = treedef.node_data()
    if data is None:
        inside += [within] * treedef.num_leaves  # a leaf
        return
    within = within or not issubclass(data[0], CONTAINERS)
    for child in treedef.children():
        _mark(child, within, inside)


def of_result(result: Any) -> list[bool]:
    """The same, of a result."""
    return batched(*jax.tree.flatten(result))


def is_batched(leaf: Any) -> bool:
    """Whether a leaf of a batched result has batch dims: it is an array, and no number any more."""
    return is_array(leaf) and kind_of(type(leaf)) not in NUMBERS
