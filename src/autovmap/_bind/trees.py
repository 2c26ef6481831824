"""The one place that knows pytrees: a call to leaves with paths, and back.

JAX decides what an argument's leaves are, and nodes of the user's are never rebuilt with ints
inside.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, cast

import jax
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of
from autovmap._plan.leaf import root
from autovmap._spec.ranks import UNMAPPED, Absent, ByIndex, ByName, Children, Core, Tree
from autovmap.errors import SpecError

UNNAMED = FlattenedIndexKey
"""What JAX calls the children of a node that was registered without the names of its fields."""


def one_level(node: Any) -> Children | None:
    """A node's children behind their labels, or None for what JAX takes for a leaf.

    >>> one_level({"a": 1, "b": (2, 3)})
    [("['a']", 1), ("['b']", (2, 3))]
    """
    keyed = keyed_children(node)
    return None if keyed is None else [(keystr((key,)), child) for key, child in keyed]


def keyed_children(node: Any) -> list[tuple[Any, Any]] | None:
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
    children = keyed_children(example)
    if children is None:
        shape = getattr(example, "shape", ())
        mapped = kind_of(type(example)) is not Kind.OTHER
        return Core(len(shape)) if mapped else UNMAPPED
    nodes = tuple(_ranks_of(child) for _, child in children)
    keys = [key for key, _ in children]
    # What is a mapping for Python may have fields, or no names at all, for JAX.
    if isinstance(example, Mapping) and all(isinstance(k, (DictKey, GetAttrKey)) for k in keys):
        names = [key.key if isinstance(key, DictKey) else key.name for key in keys]
        return ByName(tuple(zip(names, nodes, strict=True)))
    return ByIndex(type(example), tuple(keystr((key,)) for key, _ in children), nodes)


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

    The children of a type that is registered without names are fields too.

    >>> list(holders({"a": (1, 2), "b": 3}))
    ['', '', '']
    """
    children = None if value is None else keyed_children(value)
    if children is None:
        yield from [holder if fields > 1 else ""] * (value is not None)
        return
    for key, child in children:
        if isinstance(key, (GetAttrKey, FlattenedIndexKey)):
            yield from holders(child, fields + 1, type(value).__name__)
        else:
            yield from holders(child, fields, holder)


def array_leaves(value: Any, path: str, kind: Any = jax.Array) -> Iterator[tuple[str, Any]]:
    """The JAX arrays in a value, or its Refs, by path; none where JAX can't flatten it."""
    try:
        flat, _ = tree_flatten_with_path(value)
    except Exception:  # whatever a node that was never meant for JAX may raise
        return
    for keys, leaf in flat:
        if isinstance(leaf, kind):
            yield path + keystr(keys), leaf
