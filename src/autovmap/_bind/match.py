"""Rank trees against the values of a call: what is declared of each leaf, one level at a time.

Mappings are matched by key, whatever their order or type.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from jax.tree_util import DictKey, GetAttrKey, keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, a, is_sparse, kind_of
from autovmap._bind.leaves import is_no_node, not_a_node
from autovmap._bind.style import Style
from autovmap._bind.trees import UNNAMED, keyed_children, one_level
from autovmap._lines import did_you_mean
from autovmap._plan.leaf import shape_text
from autovmap._spec.ranks import (
    UNMAPPED,
    Absent,
    ByIndex,
    ByName,
    Each,
    NoArray,
    OfValue,
    Position,
    Rank,
    Tree,
    Undeclared,
    plain,
    undeclared_position,
)
from autovmap._spec.spec import Spec
from autovmap.errors import SpecError

Match: TypeAlias = tuple[str, Tree, bool]
"""A leaf's path, what the matched tree says of it, and whether it is a whole argument."""


def match(tree: Tree, value: Any, path: str, what: str) -> list[Match]:
    """What a prefix tree says of each leaf of a value, in JAX's order of the leaves.

    `what` opens messages: the function, and whether ranks or positions are matched.

    >>> from autovmap._spec.ranks import Core
    >>> for found in match(ByName((("b", Core(1)), ("a", UNMAPPED))), {"a": 1, "b": [2]}, "x", ""):
    ...     print(found)
    ("x['a']", Unmapped(), False)
    ("x['b'][0]", Core(rank=1, dims=(), shaped=False), False)
    """
    return _match(tree, value, path, what, True)


def _match(tree: Tree, value: Any, path: str, what: str, whole: bool) -> list[Match]:
    if value is None:
        return []  # an empty node, whatever its rank: an argument may be optional
    if isinstance(tree, Absent):
        raise SpecError(
            f"{what}: {path} is {_shown(value)}, but the example that `like` was given "
            f"has None there; give it an example with all parts"
        )
    if isinstance(tree, OfValue):
        tree = tree.node if type(value) is tree.node.container else tree.tree
    if not isinstance(tree, (ByName, ByIndex, Each)):
        return [(path + keys, tree, whole and not keys) for keys in _leaf_paths(value)]
    children = keyed_children(value)
    if children is None:
        raise SpecError(_too_deep(tree, value, path, what, whole))
    nodes: Sequence[Tree]
    if isinstance(tree, Each):
        nodes = [tree.child] * len(children)
    elif isinstance(tree, ByName):
        nodes = _by_name(tree, value, children, path, what)
    else:
        nodes = _by_index(tree, value, children, path, what)
    found: list[Match] = []
    for (key, child), node in zip(children, nodes, strict=True):
        found += _match(node, child, path + keystr((key,)), what, False)
    return found


def _leaf_paths(value: Any) -> list[str]:
    """The path of each leaf, from the value on."""
    flat, _ = tree_flatten_with_path(value)
    if not any(isinstance(key, UNNAMED) for keys, _ in flat for key in keys):
        return [keystr(keys) for keys, _ in flat]
    children = one_level(value)
    if children is None:
        return [""]
    return [label + path for label, child in children for path in _leaf_paths(child)]


def _too_deep(tree: Tree, value: Any, path: str, what: str, whole: bool) -> str:
    if kind_of(type(value)) is Kind.OTHER and is_no_node(value):
        return not_a_node(value, f"{what}: {path}", whole)
    if whole and isinstance(tree, ByIndex) and tree.container in (tuple, list):
        return _rank_as_shape(tree, value, path, what)
    declared, noun = f"it is declared as {plain(tree)!r}", _noun(what)
    remedy = f"give it a single {noun}"
    if isinstance(tree, ByName) and noun == "rank":
        names = ", ".join(repr(name) for name, _ in tree.children)
        remedy = f"pass it with {names} in it, or {remedy}"
    elif _is_shape(tree) and noun == "rank":
        remedy += f".\n{NO_SHAPE}\nDid you mean {len(plain(tree))}?"
    return f"{what}: {path} is a single leaf, {_shown(value)}, but {declared}; {remedy}"


NO_SHAPE = "A rank is a count of dims, not a shape: 0 for a scalar, 1 for a vector, 2 for a matrix."


def _is_shape(tree: Tree) -> bool:
    """Whether a shape was given for a rank: a tuple of numbers that can hardly all be ranks."""
    if not isinstance(tree, ByIndex) or tree.container is not tuple:
        return False
    entries = cast("Sequence[Any]", plain(tree))
    return all(type(entry) is int for entry in entries) and max(entries, default=0) > 3


def _rank_as_shape(tree: ByIndex, value: Any, path: str, what: str) -> str:
    """A tuple of ranks for an array: a shape was given for a rank, or a call's ranks in one."""
    declared = plain(tree)
    if _of_axes(what):
        return (
            f"{what}: {path} is a single leaf, {_shown(value)}, but {declared!r} is a container of "
            f"positions; give it a single position"
        )
    entries = cast("Sequence[Any]", declared)
    meant = f"{path}={len(entries)}"
    if len(entries) > 1 and all(isinstance(entry, int) for entry in entries):
        meant += f" or, for several parameters, auto_vmap({', '.join(map(repr, entries))})"
    return (
        f"{what}: {path} is a single leaf, {_shown(value)}, but its base rank is {declared!r}; "
        f"give it a single rank.\n{NO_SHAPE}\nDid you mean {meant}?"
    )


def _of_axes(what: str) -> bool:
    """Whether positions are matched (`in_axes`, `out_axes`), not ranks."""
    return what.endswith("_axes")


def _noun(what: str) -> str:
    """What each leaf of a declaration is: a position, a fold of `f.reduce`, or a rank."""
    return "position" if _of_axes(what) else "fold" if what.endswith(": reduce") else "rank"


def _shown(value: Any) -> str:
    """An array by dtype and shape, anything else by its type."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{shape_text(tuple(value.shape))}]"
    return a(type(value).__name__)


def _by_name(
    tree: ByName, value: Any, children: Sequence[tuple[Any, Any]], path: str, what: str
) -> list[Tree]:
    """The subtrees for the children of a mapping, or of a node whose children are fields."""
    names: list[Hashable] = []
    for key, _ in children:
        if isinstance(key, DictKey):
            names.append(cast("Hashable", key.key))
        elif isinstance(key, GetAttrKey):
            names.append(key.name)
        else:
            raise SpecError(_without_names(tree, value, path, what))
    declared = dict(tree.children)
    unknown = [
        name
        for name, child in tree.children
        if name not in names and not isinstance(child, NoArray)  # a static field is one
    ]
    if unknown:
        raise SpecError(_unknown_names(unknown, tree, names, value, path, what))
    left_out = Undeclared(tuple(declared), tuple(names))
    return [tree.child(name, left_out) for name in names]


def _without_names(tree: ByName, value: Any, path: str, what: str) -> str:
    """A node without names for names: examples in a list, which were to be stacked, or another."""
    declared = f"it is declared by name, as {plain(tree)!r}"
    if (one := entries_of_one_type(value)) is not None:
        return (
            f"{what}: {path} is a {type(value).__name__} of {len(value)} {one}, but {declared}; "
            f"to batch them, stack them: {stacked(path)}"
        )
    names = ", ".join(repr(name) for name, _ in tree.children)
    return (
        f"{what}: {path} is {a(type(value).__name__)}, whose children have no names, but "
        f"{declared}; pass a dict or another node with {names}, give one rank for all of it, or "
        f"like(example)"
    )


def entries_of_one_type(value: Any) -> str | None:
    """The name of the type that all entries of a list or tuple are nodes of, or None."""
    if type(value) not in (list, tuple) or not value:
        return None
    kinds = {type(entry) for entry in value}
    return kinds.pop().__name__ if len(kinds) == 1 and keyed_children(value[0]) else None


def stacked(path: str) -> str:
    """What to write for examples in a list."""
    return f"jax.tree.map(lambda *x: jnp.stack(x), *{path})"


def _unknown_names(
    unknown: list[Hashable],
    tree: ByName,
    names: list[Hashable],
    value: Any,
    path: str,
    what: str,
) -> str:
    word = "keys" if isinstance(value, Mapping) else "fields"
    static = [n for n in unknown if word == "fields" and hasattr(value, str(n))]
    remedy = f" ({static!r}: static, and so needs no {_noun(what)})" if static else ""
    declared: list[Hashable] = [name for name, _ in tree.children]
    missing = [name for name in names if name not in declared]
    undeclared = [] if tree.others is not None else missing
    also = f"; {undeclared!r} present but not declared" if undeclared else ""
    rest = "" if tree.others is None else " and a rank for all others (...)"
    if undeclared:
        do = "Remove what is absent, and declare what is there"
    elif set(unknown) <= set(static):
        do = "Remove what is absent"
    else:
        do = f"Add what is absent to {path}, or remove it from the declaration"
    return (
        f"{what}: the {word} of {path} differ from the declaration: {unknown!r} declared but "
        f"absent{remedy}{also}.\n{path} ({a(type(value).__name__)}) has {names!r}; the declaration "
        f"has {declared!r}{rest}.\n{do}" + "".join(did_you_mean(name, missing) for name in unknown)
    )


def _by_index(
    tree: ByIndex, value: Any, children: Sequence[tuple[Any, Any]], path: str, what: str
) -> tuple[Tree, ...]:
    if type(value) is not tree.container:
        others = "by one rank for all of it, or by like(example)"
        if _noun(what) != "rank":
            others = f"or by one {_noun(what)} for all of it"
        raise SpecError(
            f"{what}: {path} is {a(type(value).__name__)}, but it is declared as "
            f"{a(tree.container.__name__)}: {plain(tree)!r}; declare it by its own type, {others}"
        )
    if len(children) != len(tree.children):
        count = f"{len(children)} child{'ren' * (len(children) != 1)}"
        raise SpecError(
            f"{what}: {path} is {a(type(value).__name__)} of {count}, but it is declared with "
            f"{len(tree.children)}: {plain(tree)!r}; give a {_noun(what)} for each child, or one "
            f"for all of it"
        )
    return tree.children


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the leaves of one structure lie, and what is declared of each."""

    paths: tuple[str, ...]
    ranks: tuple[Rank, ...]
    positions: tuple[int, ...]
    whole: tuple[bool, ...]
    groups: tuple[int | None, ...]
    ranked: tuple[int, ...]
    holders: tuple[str, ...] = ()
    """For messages: the types that hold leaves which lie deep inside an argument."""


def layout_of(spec: Spec, style: Style, values: Sequence[Any]) -> Layout:
    """The layout of the ranked values of a call."""
    function, extent = f"{spec.function}()", spec.extent
    found: list[Match] = []
    positions: list[int | None] = []
    groups: list[int | None] = []
    for value, slot in zip(values, style.slots, strict=True):
        own = match(slot.rank, value, slot.path, function)
        ranked = [path for path, rank, _ in own if rank != UNMAPPED]
        refuse_sparse(value, slot.path, ranked, function)
        found += own
        where = f"{function}: in_axes"
        at = match(slot.positions, value, slot.path, where)
        for (_, rank, _), (path, tree, _) in zip(found[len(positions) :], at, strict=True):
            if isinstance(tree, Undeclared) and rank != UNMAPPED:
                raise SpecError(undeclared_position(path, tree, where))
        group = extent.group_of(slot.parameter) if extent.groups else None
        groups += [group] * len(at)
        positions += [tree.index if isinstance(tree, Position) else None for _, tree, _ in at]
    ranks = tuple([cast("Rank", tree) for _, tree, _ in found])
    both = zip(ranks, positions, strict=True)
    return Layout(
        paths=tuple([path for path, _, _ in found]),
        ranks=ranks,
        positions=tuple([position or 0 for position in positions]),
        whole=tuple([whole for _, _, whole in found]),
        groups=tuple(groups),
        ranked=tuple(
            [i for i, (rank, at) in enumerate(both) if rank != UNMAPPED and at is not None]
        ),
    )


def refuse_sparse(value: Any, path: str, ranked: Sequence[str], function: str) -> None:
    """Refuse JAX's sparse arrays under a rank: their leaves do not have an example's shape.

    `ranked` are the paths of the leaves that have a rank.

    Raises:
        SpecError: with the path.
    """
    sparse = lambda node: is_sparse(type(node))  # noqa: E731
    for keys, node in tree_flatten_with_path(value, is_leaf=sparse)[0]:
        where = path + keystr(keys)
        if sparse(node) and any(leaf.startswith(where) for leaf in ranked):
            raise SpecError(
                f"{function}: {where} is {a(type(node).__name__)}, a sparse array, which can't be "
                f"mapped under a rank.\nPass it dense (.todense()), pass its data and indices as "
                f"arrays, or give it no rank"
            )
