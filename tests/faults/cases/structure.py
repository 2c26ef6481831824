"""Rows 13 to 22: ranks against the structure of an argument."""

import collections
import dataclasses
import time
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from autovmap import auto_vmap, like
from faults.cases.case import Case
from faults.cases.ways import called
from faults.subjects import BATCH, Data, Pair


@dataclasses.dataclass
class Unregistered:
    """A dataclass that JAX does not know."""

    w: Any


class Module(eqx.Module):
    """A module with a static field."""

    w: Any
    b: Any
    name: str = eqx.field(static=True, default="one")


def total(tree: Any) -> Any:
    """The sum of all arrays."""
    return sum(jnp.sum(x) for x in jax.tree.leaves(tree) if isinstance(x, jax.Array))


def refused(row: int, name: str, rank: Any, value: Any) -> Case:
    """A tree that is not as its rank says, in every way of calling."""
    declared = {"auto_vmap": lambda: auto_vmap(tree=rank)(total)}
    return called(row, name, declared, lambda: (value,))


def placed(row: int, name: str, axes: Any, value: Any) -> Case:
    """A tree that is not as `in_axes` says."""
    declared = {"in_axes": lambda: auto_vmap(tree=1, in_axes={"tree": axes})(total)}
    return called(row, name, declared, lambda: (value,))


def result(row: int, name: str, axes: Any) -> Case:
    """A result that is not as `out_axes` says."""
    declared = {"out_axes": lambda: auto_vmap(x=1, out_axes=axes)(parts)}
    return called(row, name, declared, lambda: (BATCH,))


def parts(x: Any) -> Any:
    """A result of two parts."""
    return {"a": x, "b": x.sum()}


MIXED = {1: BATCH, "a": BATCH}
FIELDS = types.SimpleNamespace(a=BATCH)

CASES = [
    refused(13, "no rank for a key", {"a": 1}, {"a": BATCH, "b": BATCH}),
    refused(13, "a rank for no key", {"a": 1, "b": 1}, {"a": BATCH}),
    refused(13, "a renamed key", {"a": 1, "c": 0}, {"a": BATCH, "b": BATCH}),
    refused(13, "further down", {"t": [{"a": 1}]}, {"t": [{"b": BATCH}]}),
    refused(13, "keys that are ints", {0: 1}, {1: BATCH}),
    refused(13, "no rank at all", {}, {"a": BATCH}),
    refused(13, "no rank at all, further down", {"a": {}, "b": None}, {"a": {"c": BATCH}, "b": 1}),
    refused(13, "of an example", like({"a": jnp.ones(3)}), {"b": BATCH}),
    placed(13, "in in_axes", {"a": 1}, {"b": BATCH}),
    result(13, "in out_axes", {"a": 1, "c": 0}),
    result(13, "left out in out_axes", {"a": 1}),
    refused(14, "too few ranks", [1, 1], [BATCH]),
    refused(14, "too many ranks", {"t": (1,)}, {"t": (BATCH, BATCH)}),
    refused(14, "a list for a tuple", (1, 1), [BATCH, BATCH]),
    refused(14, "a tuple for a list", [1], (BATCH,)),
    refused(14, "a dict for a tuple", (1,), {"a": BATCH}),
    refused(14, "a list for a dict", {"a": 1}, [BATCH]),
    refused(14, "another class", Pair(1, 0), Data(BATCH, BATCH)),
    refused(14, "a NamedTuple for a tuple", (1, 0), Pair(BATCH, BATCH)),
    refused(14, "an unknown field", {"w": 1, "c": 0}, Data(BATCH, BATCH)),
    refused(14, "a missing field", {"w": 1}, Pair(BATCH, BATCH)),
    refused(14, "a module's missing field", {"w": 1}, Module(BATCH, BATCH)),
    refused(14, "a static field", {"w": 1, "b": 1, "name": 0}, Module(BATCH, BATCH)),
    refused(14, "an example without a part", like({"a": None}), {"a": BATCH}),
    placed(14, "in in_axes", [0, 0], [BATCH]),
    result(14, "in out_axes", (0, 1)),
    refused(15, "in a dict", {"a": (1, 0)}, {"a": BATCH}),
    refused(15, "in a NamedTuple", Pair({"a": 1}, 0), Pair(BATCH, BATCH)),
    refused(15, "a number", {"a": [0]}, {"a": 2.0}),
    placed(15, "in in_axes", {"a": {"b": 0}}, {"a": BATCH}),
    result(15, "in out_axes", {"a": [0], "b": 0}),
    refused(18, "a dict for an array", {"a": 1}, BATCH),
    refused(18, "a tuple for an array", (1, 0), BATCH),
    refused(18, "a list for a NumPy array", [1], np.ones(3)),
    refused(18, "an empty tuple for an array", (), BATCH),
    refused(18, "a dict for a number", {"a": 0}, 2.0),
    placed(18, "in in_axes", {"a": 1}, BATCH),
    called(
        18,
        "in out_axes",
        {"out_axes": lambda: auto_vmap(tree=1, out_axes=(0, 0))(total)},
        lambda: (BATCH,),
    ),
    refused(20, "in a dict", 1, {"u": MIXED}),
    refused(20, "at the top", 1, MIXED),
    refused(20, "under ranks by key", {1: 1, "a": 1}, MIXED),
    refused(21, "a deque", 1, collections.deque([BATCH])),
    refused(21, "a deque in a list", 1, [collections.deque([BATCH])]),
    refused(21, "a struct_time", 0, time.gmtime(0)),
    refused(21, "a set", 1, [{1.0}]),
    refused(21, "a namespace", 1, [FIELDS]),
    refused(21, "a dataclass that JAX does not know", 1, Unregistered(BATCH)),
    refused(21, "a subclass of dict", 1, [type("Sub", (dict,), {})(a=BATCH)]),
    refused(21, "a UserDict", 1, [collections.UserDict(a=BATCH)]),
    refused(21, "a mappingproxy", 1, [types.MappingProxyType({"a": BATCH})]),
]
