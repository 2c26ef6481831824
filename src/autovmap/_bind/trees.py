"""The one place that knows pytrees: a call to leaves with paths, and back.

JAX decides what an argument's leaves are. Ranks are matched one level at a time, mappings by
key whatever their order or type, and nodes of the user's are never rebuilt with ints inside.
"""

import dataclasses
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import jax
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, a, is_sparse, kind_of
from autovmap._bind.leaves import is_no_node, not_a_node
from autovmap._lines import did_you_mean
from autovmap._plan.leaf import root, shape_text
from autovmap._spec.ranks import (
    UNMAPPED,
    Absent,
    ByIndex,
    ByName,
    Children,
    Core,
    Each,
    NoArray,
    OfValue,
    Tree,
    Undeclared,
    plain,
)
from autovmap.errors import SpecError

UNNAMED = FlattenedIndexKey
"""What JAX calls the children of a node that was registered without the names of its fields."""


def one_level(node: Any) -> Children | None:
    """A node's children behind their labels, or None for what JAX takes for a leaf.

    >>> one_level({"a": 1, "b": (2, 3)})
    [("['a']", 1), ("['b']", (2, 3))]
    """
    keyed = _keyed_children(node)
    return None if keyed is None else [(keystr((key,)), child) for key, child in keyed]


def _keyed_children(node: Any) -> list[tuple[Any, Any]] | None:
    if node is None:
        return None
    flat, _ = tree_flatten_with_path(node, is_leaf=lambda child: child is not node)
    if len(flat) == 1 and not flat[0][0]:
        return None
    keyed = [(path[-1], child) for path, child in flat]
    return _by_field(node, keyed) if isinstance(keyed[0][0] if keyed else None, UNNAMED) else keyed


def _by_field(node: Any, keyed: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The children by field, of a dataclass that JAX was not told the names of.

    A child's field is the one that holds the very same object; where that is not so for every
    child, all keep their numbers.
    """
    if not dataclasses.is_dataclass(node):
        return keyed
    fields = [(f.name, getattr(node, f.name, None)) for f in dataclasses.fields(node)]
    named: list[tuple[Any, Any]] = []
    for _, child in keyed:
        found = next((field for field in fields if field[1] is child), None)
        if found is None:
            return keyed
        named.append((GetAttrKey(found[0]), child))
        fields = [field for field in fields if field is not found]
    return named


def like(example: Any) -> Tree:
    """The base ranks of an unbatched value: every array leaf's own number of dims.

    An array or `jax.ShapeDtypeStruct` has its rank, a Python number or typed PRNG key rank 0;
    other leaves (an activation function, a name) are not mapped. The example itself is not kept.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> params = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
    >>> @auto_vmap(params=like(params), x=1)
    ... def layer(params, x):
    ...     return params["w"] @ x + params["b"]
    >>> layer.ranks["params"]
    {'b': 1, 'w': 2}

    Args:
        example: a value of the argument's structure, without batch dims.

    Returns:
        A rank tree, to be given wherever a base rank can stand.

    Raises:
        SpecError: the keys of a dict can't be sorted.
    """
    try:
        return _ranks_of(example)
    except ValueError as error:
        refuse_unsortable({"example": example}, "like", error)
        raise


def _ranks_of(example: Any) -> Tree:
    if example is None:
        return Absent()
    children = _keyed_children(example)
    if children is None:
        shape = getattr(example, "shape", ())
        mapped = kind_of(type(example)) is not Kind.OTHER
        return Core(len(shape)) if mapped else UNMAPPED
    nodes = tuple(_ranks_of(child) for _, child in children)
    if isinstance(example, Mapping):
        return ByName(tuple((key.key, node) for (key, _), node in zip(children, nodes)))  # noqa: B905
    return ByIndex(type(example), tuple(keystr((key,)) for key, _ in children), nodes)


Match: TypeAlias = tuple[str, Tree, bool]
"""A leaf's path, what the matched tree says of it, and whether it is a whole argument."""


def match(tree: Tree, value: Any, path: str, what: str) -> list[Match]:
    """What a prefix tree says of each leaf of a value, in JAX's order of the leaves.

    `what` opens messages: the function, and whether ranks or positions are matched.

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
    children = _keyed_children(value)
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
    if whole:
        return (
            f"{what}: {path} is a single leaf, {_shown(value)}, but {declared}; "
            f"give it a single {noun}"
        )
    return (
        f"{what}: a leaf is here: {path}, {_shown(value)}, but {declared}, which goes deeper; give "
        f"it a single {noun}"
    )


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
        f"give it "
        f"a single rank.\nA rank is a count of dims, not a shape: 0 for a scalar, 1 for a "
        f"vector, 2 for a matrix.\nDid you mean {meant}?"
    )


def _of_axes(what: str) -> bool:
    """Whether positions are matched (`in_axes`, `out_axes`), not ranks."""
    return what.endswith("_axes")


def _noun(what: str) -> str:
    return "position" if _of_axes(what) else "rank"


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
            raise SpecError(
                f"{what}: {path} is {a(type(value).__name__)}, whose children have no names, but "
                f"it is declared by name, as {plain(tree)!r}; give one rank for all of it, or "
                f"like(example)"
            )
    declared = dict(tree.children)
    unknown = [
        name
        for name, child in tree.children
        if name not in names and not isinstance(child, NoArray)  # a static field is one
    ]
    if unknown:
        raise SpecError(_unknown_names(unknown, list(declared), names, value, path, what))
    left_out = Undeclared(tuple(declared), tuple(names))
    return [tree.child(name, left_out) for name in names]


def _unknown_names(
    unknown: list[Hashable],
    declared: list[Hashable],
    names: list[Hashable],
    value: Any,
    path: str,
    what: str,
) -> str:
    word = "keys" if isinstance(value, Mapping) else "fields"
    static = [n for n in unknown if word == "fields" and hasattr(value, str(n))]
    remedy = f" ({static!r}: static, and so needs no {_noun(what)})" if static else ""
    missing = [name for name in names if name not in declared]
    also = f"; {missing!r} present but not declared" if missing else ""
    if missing:
        do = "Remove what is absent, and declare what is there"
    elif set(unknown) <= set(static):
        do = "Remove what is absent"
    else:
        do = f"Add what is absent to {path}, or remove it from the declaration"
    return (
        f"{what}: the {word} of {path} differ from the declaration: {unknown!r} declared but "
        f"absent{remedy}{also}.\n{path} ({a(type(value).__name__)}) has {names!r}; the declaration "
        f"has {declared!r}.\n{do}" + "".join(did_you_mean(name, missing) for name in unknown)
    )


def _by_index(
    tree: ByIndex, value: Any, children: Sequence[tuple[Any, Any]], path: str, what: str
) -> tuple[Tree, ...]:
    if type(value) is not tree.container:
        others = "by one rank for all of it, or by like(example)"
        if _of_axes(what):
            others = "or by one position for all of it"
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
                f"{function}: {where} is a {type(node).__name__}, a sparse array, which can't be "
                f"mapped under a rank.\nPass it dense (.todense()), pass its data and indices as "
                f"arrays, or give it no rank"
            )


def flatten(values: Mapping[str, Any], function: str) -> tuple[list[Any], Any]:
    """The leaves of some values by path, and their treedef.

    Raises:
        SpecError: JAX can't flatten one, as where the keys of a dict can't be sorted.
    """
    try:
        return jax.tree.flatten(list(values.values()))
    except ValueError as error:
        refuse_unsortable(values, function, error)
        raise


def refuse_unsortable(values: Mapping[str, Any], function: str, error: Exception) -> None:
    """Name the dict whose keys can't be sorted, if that is why JAX can't flatten some values.

    It is looked for one level at a time: each time that JAX fails inside of a tree, it loses some
    of the thread's recursion depth.
    """
    for path, value in values.items():
        _find_unsortable(value, path, function, error)


def _find_unsortable(value: Any, path: str, function: str, error: Exception) -> None:
    try:
        children = one_level(value) or []
    except ValueError:
        if not isinstance(value, Mapping):
            return
        keys = list(cast("Mapping[Any, Any]", value))
        raise SpecError(
            f"{function}(): the keys of {path} can't be sorted, so JAX can't flatten it: {keys!r}; "
            f"use keys of one type, or give {root(path)} no rank"
        ) from error
    for label, child in children:
        _find_unsortable(child, path + label, function, error)


def fresh(value: Any) -> Any:
    """A value with a structure of its own, as JAX hands to each trace what it flattened.

    Some objects may be used once (`equinox.nn.State`), and a function may be traced twice. What
    JAX takes for a leaf, or can't flatten, stays what it is.

    >>> shared = {"a": [1]}
    >>> fresh(shared) == shared, fresh(shared) is shared
    (True, False)
    """
    if value is None or kind_of(type(value)) is not Kind.OTHER:
        return value
    try:
        leaves, treedef = jax.tree.flatten(value)
        leaf = jax.tree_util.treedef_is_leaf(treedef)
        return value if leaf else jax.tree.unflatten(treedef, leaves)
    except Exception:  # whatever an object that was never meant for JAX may raise
        return value


def holders(value: Any, fields: int = 0, holder: str = "") -> Iterator[str]:
    """For each leaf, the type that holds it, if it lies under fields of fields; else "".

    >>> list(holders({"a": (1, 2), "b": 3}))
    ['', '', '']
    """
    children = None if value is None else _keyed_children(value)
    if children is None:
        yield from [holder if fields > 1 else ""] * (value is not None)
        return
    for key, child in children:
        if isinstance(key, GetAttrKey):
            yield from holders(child, fields + 1, type(value).__name__)
        else:
            yield from holders(child, fields, holder)


def is_storable(treedef: Any) -> bool:
    """Whether a treedef may be kept: all that its nodes hold beside their children hashes.

    A treedef's own hash leaves that out. One that holds an array would keep it alive, and would
    make look-ups of other values of that node's type fail.
    """
    nodes = [treedef]
    while nodes:
        node = nodes.pop()
        data = node.node_data()
        try:
            hash(tuple(data[1]) if data is not None and isinstance(data[1], list) else data)
        except Exception:
            return False
        nodes += node.children()
    return True


def array_leaves(value: Any, path: str, kind: Any = jax.Array) -> Iterator[tuple[str, Any]]:
    """The JAX arrays in a value, or its Refs, by path; none where JAX can't flatten it."""
    try:
        flat, _ = tree_flatten_with_path(value)
    except Exception:  # whatever a node that was never meant for JAX may raise
        return
    for keys, leaf in flat:
        if isinstance(leaf, kind):
            yield path + keystr(keys), leaf
