"""Whether the results of two examples of a loop fit together: the first place where they do not."""

import enum
from typing import Any, cast

import jax
import jax.numpy as jnp

from autovmap._bind.kinds import kind_text, shown
from autovmap._bind.leaves import is_array
from autovmap._bind.trees import one_level
from autovmap._run.grouping import CONTAINERS

TELLING = (str, bytes, bool, int, float, complex, type(None), enum.Enum, type)
"""Types of data whose `==` tells whether two values are the same."""
NUMBERS = (bool, int, float, complex)

MANY = 8
"""More children than these are counted, not listed."""


def difference(first: Any, other: Any, path: str = "result", within: bool = False) -> str | None:
    """What no vmapped call could return both of, at the first place where two results differ.

    Static data of pytree nodes is compared only where its `==` tells: that of the functions and
    arrays which many libraries keep there says no of one thing made twice. `within` says that both
    stand in an object, where a number is the same for all examples.

    >>> difference({"a": (1.0, "x")}, {"a": (2.0, "y")})
    "result['a'][1] is 'y', but 'x'"
    >>> difference({"a": 1.0, "b": 2.0}, {"a": 1.0})
    "result has the children ['a'], but the children ['a'], ['b']"
    """
    children, others = one_level(first), one_level(other)
    if children is None and others is None:
        return _between_leaves(first, other, path, within)
    if children is None or others is None or type(first) is not type(other):
        return f"{path} is {_text(other)}, but {_text(first)}"
    labels, other_labels = [label for label, _ in children], [label for label, _ in others]
    if labels != other_labels:
        return f"{path} has {_listed(other_labels)}, but {_listed(labels)}"
    data, other_data = _static_data(first), _static_data(other)
    if _differ(data, other_data):
        return (
            f"the static data of {path}, a {type(first).__name__}, is {shown(other_data)}, but "
            f"{shown(data)}"
        )
    within = within or not isinstance(first, CONTAINERS)
    for (label, one), (_, two) in zip(children, others, strict=True):
        found = difference(one, two, path + label, within)
        if found is not None:
            return found
    return None


def _between_leaves(first: Any, other: Any, path: str, within: bool) -> str | None:
    arrays = is_array(first), is_array(other)
    numbers = within and isinstance(first, NUMBERS) and isinstance(other, NUMBERS)
    if numbers:
        return f"{path} is {other!r}, but {first!r}" if _differ(first, other) else None
    if all(arrays):
        same = (jnp.shape(first), jnp.result_type(first)) == (
            jnp.shape(other),
            jnp.result_type(other),
        )
    else:
        same = not any(arrays) and not _differ(first, other)
    return None if same else f"{path} is {_text(other)}, but {_text(first)}"


def _differ(first: Any, other: Any) -> bool:
    """Whether two values that are not arrays differ by their types or by a plain `==`."""
    if type(first) is not type(other):
        return True
    if isinstance(first, TELLING):
        both_nan = first != first and other != other
        return bool(first != other) and not both_nan
    if isinstance(first, dict):
        one, two = cast("dict[Any, Any]", first), cast("dict[Any, Any]", other)
        return list(one) != list(two) or any(_differ(one[key], two[key]) for key in one)
    if isinstance(first, (tuple, list)):
        parts, others = cast("list[Any]", first), cast("list[Any]", other)
        return len(parts) != len(others) or any(map(_differ, parts, others))
    return False


def _static_data(node: Any) -> Any:
    treedef = cast("Any", jax.tree.structure(node, is_leaf=lambda child: child is not node))
    return treedef.node_data()[1]


def _text(value: Any) -> str:
    if is_array(value):
        return kind_text(jnp.asarray(value))
    return shown(value) if isinstance(value, TELLING) else f"a {type(value).__name__}"


def _listed(labels: list[str]) -> str:
    if len(labels) > MANY:
        return f"{len(labels)} children"
    return f"the children {', '.join(labels)}" if labels else "no children"
