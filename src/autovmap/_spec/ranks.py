"""Base ranks as a tree of frozen nodes, read from what a user wrote.

A rank tree is a pytree prefix of an argument. Its nodes are a closed set: `Core`, `Key` and
`Unmapped` cover every leaf below them; `ByName` and `ByIndex` go one level down.
"""

import numbers
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import optree

from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class CoreDim:
    """A core dim that a signature, an annotation or a pattern tells more of than that it is there.

    Dims of one `name` have one size, in all arguments and results of a call; a `size` is fixed.
    An `optional` dim is dropped, from everything, where an operand has too few dims for it.
    `at` is its place in the text, for a caret.
    """

    name: str | None = None
    size: int | None = None
    optional: bool = False
    at: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        text = self.name or ("_" if self.size is None else str(self.size))
        return text + "?" * self.optional


@dataclass(frozen=True, slots=True)
class Core:
    """Every array leaf below has this base rank; `dims` tells more of its core dims, if known."""

    rank: int
    dims: tuple[CoreDim, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """The leaf is one PRNG key: a typed one of rank 0, or a raw one of rank 1."""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Nothing below is mapped."""


@dataclass(frozen=True, slots=True)
class NoArray:
    """Not mapped, and an array with dims is refused; with `inside`, one within the value too."""

    why: str
    inside: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of a union, for these dtypes (names or patterns; none: any)."""

    dtypes: tuple[Any, ...]
    rank: "Core | Key"


@dataclass(frozen=True, slots=True)
class Either:
    """A leaf's dtype tells its base rank; `numbers` and `others` (no arrays) may stand there."""

    choices: tuple[Choice, ...]
    numbers: bool = False
    others: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing can be here: the example of `like` had None in this place."""


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A key or field that the declaration leaves out: no array may be below."""

    declared: tuple[Hashable, ...]
    names: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class OneBatch:
    """One batch dim at this axis, whatever the rank: what an `in_axes` of `jax.vmap` says.

    Where `axis` is None nothing is mapped, but a typed PRNG key still counts as one key.
    """

    axis: int | None


@dataclass(frozen=True, slots=True)
class ByValue:
    """A child for each value that `*args` takes, and one for all further ones."""

    children: tuple["Tree", ...]
    further: "Tree" = Unmapped()


class PerValue(tuple[Any, ...]):
    """Plain ranks of the values of `*args`, one each; a plain tuple would rank a tuple.

    >>> PerValue([1, 0])
    per_value(1, 0)
    """

    further: Any = None
    """The rank of all further values."""

    def __repr__(self) -> str:
        further = [f"further={self.further!r}"] * (self.further is not None)
        return f"per_value({', '.join([*map(repr, self), *further])})"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a block of batch dims sits among the core dims (leaf of `in_axes`, `out_axes`)."""

    index: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What another prefix tree says at a leaf: of `f.reduce`, how outputs are folded."""

    value: Hashable


@dataclass(frozen=True, slots=True)
class ByName:
    """A child for each key of a mapping, or for each field of a dataclass or module."""

    children: tuple[tuple[Hashable, "Tree"], ...]


@dataclass(frozen=True, slots=True)
class ByIndex:
    """A child for each child of a node of type `container`; `labels` say how paths go on."""

    container: type
    labels: tuple[str, ...]
    children: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Each:
    """One tree for every child, however many there are: `[tree, ...]`."""

    child: "Tree"


Rank: TypeAlias = Core | Key | Unmapped | NoArray | Either | Absent | Undeclared | OneBatch
Tree: TypeAlias = Rank | Position | Mark | ByName | ByIndex | ByValue | Each
Children: TypeAlias = list[tuple[str, Any]]
"""A node's children, each behind the label with which its path goes on (`.w`, `[0]`)."""
OneLevel: TypeAlias = Callable[[Any], Children | None]
"""The children of a node that only JAX knows, or None for a leaf."""

UNMAPPED = Unmapped()
UNRANKED = (Unmapped, NoArray, Undeclared)
NODES = (
    *(Core, Key, Unmapped, NoArray, Either, Absent, Undeclared, OneBatch),
    *(Position, Mark, ByName, ByIndex, ByValue, Each),
)


def read_rank(raw: Any, path: str, one_level: OneLevel) -> Tree:
    """Read a rank tree as a user wrote it: ints, None, "key", containers of these.

    >>> read_rank({"s": 0, "v": (1, None)}, "x", lambda node: None)  # doctest: +ELLIPSIS
    ByName(children=(('s', Core(rank=0, dims=())), ('v', ByIndex(container=<class 'tuple'>, ...
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


def read_tree(raw: Any, path: str, one_level: OneLevel, leaf: ReadLeaf) -> Tree:
    """Read a prefix tree as a user wrote it; `leaf` reads its leaves."""
    if isinstance(raw, NODES):
        return raw
    if isinstance(raw, PerValue):
        children = [read_tree(one, f"{path}[{i}]", one_level, leaf) for i, one in enumerate(raw)]
        return ByValue(tuple(children), read_tree(raw.further, path, one_level, leaf))
    if isinstance(raw, list) and raw[1:] == [...]:
        return Each(read_tree(raw[0], f"{path}[...]", one_level, leaf))
    if isinstance(raw, Mapping):
        items = cast("Mapping[Hashable, Any]", raw).items()
        return ByName(
            tuple(
                (key, read_tree(value, f"{path}[{key!r}]", one_level, leaf)) for key, value in items
            )
        )
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
    if isinstance(raw, bool) or not isinstance(raw, numbers.Integral):
        raise SpecError(
            f"{path}: got {raw!r} of type {type(raw).__name__}; a base rank is a "
            f'non-negative int, None (not mapped), "key", or a container of these'
        )
    if raw < 0:
        raise SpecError(f"{path}: got {int(raw)}; a base rank is a non-negative int or None")
    return Core(int(raw))


def _position_leaf(raw: Any, path: str) -> Tree:
    if raw is None:
        return UNMAPPED
    if isinstance(raw, bool) or not isinstance(raw, numbers.Integral):
        raise SpecError(
            f"{path}: got {raw!r} of type {type(raw).__name__}; a position is an int, None, "
            f"or a container of these"
        )
    return Position(int(raw))


def plain(tree: Tree) -> Any:
    """A rank tree as a user may write it: ints, None, "key", dicts, tuples and lists.

    >>> plain(ByName((("s", Core(0)), ("rng", Key()))))
    {'s': 0, 'rng': 'key'}
    """
    match tree:
        case Core(rank=value) | Position(index=value) | OneBatch(axis=value) | Mark(value=value):
            return value
        case Key():
            return "key"
        case Unmapped() | NoArray() | Absent() | Undeclared():
            return None
        case Either(choices=choices):
            ranks = {plain(choice.rank) for choice in choices}
            return ranks.pop() if len(ranks) == 1 else tree
        case Each(child=child):
            return [plain(child), ...]
        case ByName(children=named):
            return {key: plain(child) for key, child in named}
        case ByValue(children=children, further=further):
            if is_mapped(further) and all(child == further for child in children):
                return plain(further)
            values = PerValue(plain(child) for child in children)
            values.further = plain(further)
            return values
        case ByIndex(container=container, labels=labels, children=children):
            values = [plain(child) for child in children]
            if container in (tuple, list):
                return container(values)
            return dict(zip((label.removeprefix(".") for label in labels), values, strict=True))


def leaves_of(tree: Tree) -> Iterator[Rank | Position | Mark]:
    """What the tree says at its leaves, in order."""
    match tree:
        case ByName(children=named):
            for _, child in named:
                yield from leaves_of(child)
        case ByIndex(children=children):
            for child in children:
                yield from leaves_of(child)
        case ByValue(children=children, further=further):
            for child in (*children, further):
                yield from leaves_of(child)
        case Each(child=child):
            yield from leaves_of(child)
        case leaf:
            yield leaf


def is_mapped(tree: Tree) -> bool:
    """Whether any leaf below can be mapped."""
    return any(not isinstance(leaf, UNRANKED) for leaf in leaves_of(tree))


def is_matched(tree: Tree) -> bool:
    """Whether values are matched with the tree: something is mapped, or a node is to be empty.

    >>> is_matched(UNMAPPED), is_matched(ByName((("a", ByName(())),)))
    (False, True)
    """
    match tree:
        case ByName(children=named):
            return not named or any(is_matched(child) for _, child in named)
        case ByIndex(children=children):
            return not children or any(map(is_matched, children))
        case _:
            return is_mapped(tree)


def undeclared_position(path: str, tree: Undeclared, what: str) -> str:
    """What to say of a leaf that `in_axes` or `out_axes` leaves out beside others."""
    return (
        f"{what}: {path} has no position; of {list(tree.names)!r} are declared "
        f"{list(tree.declared)!r}. Declare where its batch dims sit, or None"
    )
