"""Base ranks as a tree of frozen nodes.

A rank tree is a pytree prefix of an argument. Its nodes are a closed set: `Core`, `Key` and
`Unmapped` cover every leaf below them; `ByName` and `ByIndex` go one level down.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class CoreDim:
    """A core dim that a signature, an annotation or a pattern tells more of than that it is there.

    Dims of one `name` have one size, in all arguments and results of a call; a `size` is fixed.
    An `optional` dim is dropped, from everything, where an operand has too few dims for it.
    `at` is its place in the `text` that says it, for a caret.
    """

    name: str | None = None
    size: int | None = None
    optional: bool = False
    at: int | None = field(default=None, compare=False)
    text: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        text = self.name or ("_" if self.size is None else str(self.size))
        return text + "?" * self.optional


@dataclass(frozen=True, slots=True)
class Core:
    """Every array leaf below has this base rank; `dims` tells more of its core dims, if known.

    `shaped` says that it was declared as a core shape (`"(n,3)"`), as which it prints again.
    """

    rank: int
    dims: tuple[CoreDim, ...] = ()
    shaped: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """The leaf is one PRNG key: a typed one of rank 0, or a raw one of rank 1."""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Nothing below is mapped."""


@dataclass(frozen=True, slots=True, repr=False)
class FromSelf:
    """A rank, or a rank tree, that the object of a method is asked for at each call."""

    function: Callable[[Any], Any]

    def __repr__(self) -> str:
        return "<from self>"


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
    """A child for each value that `*args` takes, and one for all further ones.

    `node` is what a value of that type itself is matched with instead, where one was declared by
    name: `xs=(0, 1)` ranks the members of each value that is a tuple.
    """

    children: tuple["Tree", ...]
    further: "Tree" = Unmapped()
    node: "ByIndex | None" = None

    def child(self, at: int) -> "Tree":
        """What is declared of a value."""
        tree = self.children[at] if at < len(self.children) else self.further
        return tree if self.node is None else OfValue(tree, self.node)


@dataclass(frozen=True, slots=True)
class OfValue:
    """`node` for a value of the node's type, `tree` for any other."""

    tree: "Tree"
    node: "ByIndex"


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
    """A child for each key of a mapping, or for each field of a dataclass or module.

    `others` is for every key or field that is not declared: `{"w": 2, ...: None}`.
    """

    children: tuple[tuple[Hashable, "Tree"], ...]
    others: "Tree | None" = None

    def child(self, name: Hashable, missing: "Tree") -> "Tree":
        """What is declared of a key or field: by its name, or as one of the others."""
        for declared, tree in self.children:
            if declared == name:
                return tree
        return missing if self.others is None else self.others

    @property
    def trees(self) -> tuple["Tree", ...]:
        """All that is declared, the others last."""
        named = tuple(tree for _, tree in self.children)
        return named if self.others is None else (*named, self.others)


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


Rank: TypeAlias = (
    Core | Key | Unmapped | FromSelf | NoArray | Either | Absent | Undeclared | OneBatch
)
Tree: TypeAlias = Rank | Position | Mark | ByName | ByIndex | ByValue | OfValue | Each
Children: TypeAlias = list[tuple[str, Any]]
"""A node's children, each behind the label with which its path goes on (`.w`, `[0]`)."""
OneLevel: TypeAlias = Callable[[Any], Children | None]
"""The children of a node that only JAX knows, or None for a leaf."""

UNMAPPED = Unmapped()
UNRANKED = (Unmapped, NoArray, Undeclared)
NODES = (
    *(Core, Key, Unmapped, FromSelf, NoArray, Either, Absent, Undeclared, OneBatch),
    *(Position, Mark, ByName, ByIndex, ByValue, OfValue, Each),
)


def core_text(dims: Iterable[CoreDim]) -> str:
    """Core dims as a signature writes them.

    >>> core_text([CoreDim("n"), CoreDim(size=3), CoreDim("m", optional=True)])
    '(n,3,m?)'
    """
    return f"({','.join(map(str, dims))})"


def plain(tree: Tree) -> Any:
    """A rank tree as a user may write it: ints, core shapes, None, "key", dicts, tuples, lists.

    >>> plain(ByName((("s", Core(0)), ("rng", Key()))))
    {'s': 0, 'rng': 'key'}
    """
    match tree:
        case Core(dims=dims, shaped=True):
            return core_text(dims)
        case Core(rank=value) | Position(index=value) | OneBatch(axis=value) | Mark(value=value):
            return value
        case Key():
            return "key"
        case FromSelf():
            return tree
        case Unmapped() | NoArray() | Absent() | Undeclared():
            return None
        case Either(choices=choices):
            ranks = {plain(choice.rank) for choice in choices}
            return ranks.pop() if len(ranks) == 1 else tree
        case Each(child=child):
            return [plain(child), ...]
        case ByName(children=named, others=others):
            declared: dict[Any, Any] = {key: plain(child) for key, child in named}
            return declared if others is None else {**declared, ...: plain(others)}
        case OfValue(node=node) | ByValue(node=ByIndex() as node):
            return plain(node)
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
        case Core() | Position() | Unmapped():  # most are no trees
            yield tree
        case ByName():
            for child in tree.trees:
                yield from leaves_of(child)
        case ByIndex(children=children):
            for child in children:
                yield from leaves_of(child)
        case ByValue(children=children, further=further):
            for child in (*children, further):
                yield from leaves_of(child)
        case OfValue(tree=own, node=node):
            yield from leaves_of(own)
            yield from leaves_of(node)
        case Each(child=child):
            yield from leaves_of(child)
        case leaf:
            yield leaf


def answered(tree: Tree, answers: Mapping[FromSelf, Tree]) -> Tree:
    """The tree with what the object answered in the places of the questions.

    >>> rank = FromSelf(lambda self: self.ndim)
    >>> plain(answered(ByName((("a", rank), ("b", Core(0)))), {rank: Core(2)}))
    {'a': 2, 'b': 0}
    """
    match tree:
        case FromSelf():
            return answers[tree]
        case ByName(children=named, others=others):
            children = tuple((key, answered(child, answers)) for key, child in named)
            return ByName(children, None if others is None else answered(others, answers))
        case ByIndex(children=children):
            return replace(tree, children=tuple(answered(child, answers) for child in children))
        case ByValue(children=children, further=further):
            values = tuple(answered(child, answers) for child in children)
            return ByValue(values, answered(further, answers))
        case Each(child=child):
            return Each(answered(child, answers))
        case _:
            return tree


def dims_of(leaf: Tree) -> tuple[CoreDim, ...]:
    """What is known of the core dims under a leaf of the tree."""
    return leaf.dims if isinstance(leaf, Core) else ()


def is_mapped(tree: Tree) -> bool:
    """Whether any leaf below can be mapped."""
    if isinstance(tree, (Core, Unmapped)):  # as most are: nothing lies below
        return isinstance(tree, Core)
    return any(not isinstance(leaf, UNRANKED) for leaf in leaves_of(tree))


def is_matched(tree: Tree) -> bool:
    """Whether values are matched with the tree: something is mapped, or a node is to be empty.

    >>> is_matched(UNMAPPED), is_matched(ByName((("a", ByName(())),)))
    (False, True)
    """
    match tree:
        case ByName():
            return not tree.trees or any(map(is_matched, tree.trees))
        case ByIndex(children=children):
            return not children or any(map(is_matched, children))
        case _:
            return is_mapped(tree)


def undeclared_position(path: str, tree: Undeclared, what: str) -> str:
    """What to say of a leaf that `in_axes` or `out_axes` leaves out beside others."""
    return (
        f"{what}: {path} has no position. Positions are declared for "
        f"{list(tree.declared) or 'none'} of {list(tree.names)!r}; declare where its batch dims "
        f"go, or None"
    )
