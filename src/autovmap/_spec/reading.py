"""Rank trees and trees of axis positions, read from what a user wrote."""

import numbers
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import optree

from autovmap._lines import is_array, value_text
from autovmap._spec.gufunc import read_core_shape
from autovmap._spec.ranks import (
    NODES,
    UNMAPPED,
    ByIndex,
    ByName,
    ByValue,
    Children,
    Core,
    Each,
    FromSelf,
    Key,
    OneBatch,
    OneLevel,
    PerValue,
    Position,
    Tree,
)
from autovmap.errors import SpecError


def read_rank(raw: Any, path: str, one_level: OneLevel) -> Tree:
    """Read a rank tree as a user wrote it: ints, None, "key", core shapes, containers of these.

    >>> from autovmap._spec.ranks import plain
    >>> plain(read_rank({"s": 0, "v": (1, None), ...: "(n, 3)"}, "x", lambda node: None))
    {'s': 0, 'v': (1, None), Ellipsis: '(n,3)'}
    """
    return read_tree(raw, path, one_level, _rank_leaf)


def read_positions(raw: Any, path: str, one_level: OneLevel) -> Tree:
    """Read a tree of axis positions: ints (negative ones too), None, containers of these."""
    return read_tree(raw, path, one_level, _position_leaf)


def read_axes(raw: Any, path: str, one_level: OneLevel, unmapped: Tree = UNMAPPED) -> Tree:
    """Read the `in_axes` of a vmap: each int says which dim is the one batch dim."""

    def leaf(raw: Any, path: str) -> Tree:
        found = _position_leaf(raw, path)
        return OneBatch(found.index) if isinstance(found, Position) else unmapped

    return read_tree(raw, path, one_level, leaf)


ReadLeaf: TypeAlias = Callable[[Any, str], Tree]


SCALARS = (int, str, type(None))


def read_tree(raw: Any, path: str, one_level: OneLevel, leaf: ReadLeaf) -> Tree:
    """Read a prefix tree as a user wrote it; `leaf` reads its leaves."""
    if isinstance(raw, SCALARS):  # as most are; to ask JAX and optree takes longer than all else
        return leaf(raw, path)
    if isinstance(raw, NODES):
        return raw
    if isinstance(raw, PerValue):
        children = [read_tree(one, f"{path}[{i}]", one_level, leaf) for i, one in enumerate(raw)]
        return ByValue(tuple(children), read_tree(raw.further, path, one_level, leaf))
    if isinstance(raw, list) and raw[1:] == [...]:
        return Each(read_tree(raw[0], f"{path}[...]", one_level, leaf))
    if isinstance(raw, Mapping):
        named = dict(cast("Mapping[Hashable, Any]", raw))
        others = None
        if ... in named:
            others = read_tree(named.pop(...), f"{path}[...]", one_level, leaf)
        read = (
            (key, read_tree(value, f"{path}[{key!r}]", one_level, leaf))
            for key, value in named.items()
        )
        return ByName(tuple(read), others)
    children = None if raw is None else _children(raw, one_level)
    if children is None:
        return leaf(raw, path)
    labels = tuple(label for label, _ in children)
    nodes = tuple(read_tree(child, path + label, one_level, leaf) for label, child in children)
    kind: type = type(raw)
    if labels and one_level(raw) is None and all(label.startswith(".") for label in labels):
        # A node that only optree knows: no argument of that type reaches JAX as a node, but one
        # with fields of the same names may.
        return ByName(tuple(zip((label[1:] for label in labels), nodes, strict=True)))
    return ByIndex(kind, labels, nodes)


def _children(raw: Any, one_level: OneLevel) -> Children | None:
    """The children of a spec node, by JAX, or else by optree for what only optree knows."""
    found = one_level(raw)
    if found is not None:
        return found
    accessors, nodes, treedef = optree.tree_flatten_with_accessor(
        raw, is_leaf=lambda node: node is not raw, none_is_leaf=True
    )
    if treedef.is_leaf():
        return None
    return [(accessor.codify(""), node) for accessor, node in zip(accessors, nodes, strict=True)]


def _rank_leaf(raw: Any, path: str) -> Tree:
    if raw is None:
        return UNMAPPED
    if isinstance(raw, str) and raw == "key":
        return Key()
    if isinstance(raw, str) and raw.lstrip().startswith("("):
        dims = read_core_shape(raw, path)
        return Core(len(dims), dims, shaped=True)
    if callable(raw) and not isinstance(raw, type):
        return FromSelf(raw)
    if isinstance(raw, bool) or not isinstance(raw, numbers.Integral):
        if is_array(raw) and not isinstance(raw, np.generic):  # those are told by their type
            raise SpecError(
                f"{path}: got {value_text(raw)}, an array; give its number of dims for one "
                f"example, or take it from an example with like(...)"
            )
        raise SpecError(
            f"{path}: got {value_text(raw)} of type {type(raw).__name__}; a base rank is a "
            f'non-negative int, None (not mapped), "key", a core shape like "(n,3)", or a '
            f"container of these"
        )
    if raw < 0:
        raise SpecError(f"{path}: got {int(raw)}; a base rank is a non-negative int or None")
    return Core(int(raw))


def _position_leaf(raw: Any, path: str) -> Tree:
    if raw is None:
        return UNMAPPED
    if isinstance(raw, bool) or not isinstance(raw, numbers.Integral):
        raise SpecError(
            f"{path}: got {value_text(raw)} of type {type(raw).__name__}; a position is an int, "
            f"None, or a container of these"
        )
    return Position(int(raw))
