"""Ranks against the structure of an argument: rows 13 to 22 of faults.md."""

import collections
import concurrent.futures
import dataclasses
import time
import types
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optree
import pytest

from autovmap import SpecError, auto_vmap, like
from faults.saying import says
from faults.subjects import BATCH, Data, Pair


class Module(eqx.Module):
    """A module with a static field."""

    w: Any
    b: Any
    name: str = eqx.field(static=True, default="one")


@jax.tree_util.register_pytree_node_class
class Positive:
    """A node whose constructor refuses all but float arrays, as many validate."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, jax.Array) or not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError("value is no float array")
        self.value = value

    def tree_flatten(self) -> Any:
        return (self.value,), None

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> "Positive":
        return cls(*children)


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass
class ArrayInStatic:
    """A node with an array in its static data, which neither hashes nor compares."""

    value: Any
    static: Any

    def tree_flatten(self) -> Any:
        return (self.value,), self.static

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> "ArrayInStatic":
        return cls(*children, aux)


# Newer versions spell the global namespace "", which older ones refuse.
EVERYWHERE = vars(optree.registry)["__GLOBAL_NAMESPACE"]


@optree.dataclasses.dataclass(namespace=EVERYWHERE)
class OptreePair:
    """A node that only optree knows; a spec may be one."""

    w: Any
    b: Any


def call(rank: Any, value: Any) -> Any:
    """Call a function of one argument, ranked so, that sums up its leaves."""

    @auto_vmap(tree=rank)
    def total(tree: Any) -> Any:
        leaves = [x for x in jax.tree.leaves(tree) if isinstance(x, (jax.Array, float))]
        return sum(jnp.sum(x) for x in leaves)

    return total(value)


MIXED = {1: BATCH, "a": BATCH}
Row = tuple[str, Any, Any, tuple[str, ...]]

REFUSED: list[Row] = [
    (
        "13 no rank for a key",
        {"a": 1},
        {"a": BATCH, "b": BATCH},
        ("tree['b'] has no base rank", "['a', 'b']", "['a']", "float32[4,3]"),
    ),
    ("13 a rank for no key", {"a": 1, "b": 1}, {"a": BATCH}, ("tree", "['b'] declared but absent")),
    (
        "13 a renamed key, with both lists",
        {"a": 1, "c": 0},
        {"a": BATCH, "b": BATCH},
        (
            "tree",
            "['b'] present but not",
            "['c'] declared but",
            "has ['a', 'b']",
            "the declaration has ['a', 'c']",
        ),
    ),
    (
        "13 further down",
        {"t": [{"a": 1}]},
        {"t": [{"b": BATCH}]},
        ("tree['t'][0]", "['a']", "['b']"),
    ),
    ("13 integer keys", {0: 1}, {1: BATCH}, ("tree", "[0]", "[1]")),
    ("14 too few", [1, 1], [BATCH], ("tree is a list of 1 child,", "with 2", "[1, 1]")),
    ("14 too many", {"t": (1,)}, {"t": (BATCH, BATCH)}, ("tree['t'] is a tuple of 2", "with 1")),
    ("14 list for tuple", (1, 1), [BATCH, BATCH], ("tree is a list", "a tuple", "(1, 1)")),
    ("14 tuple for list", [1], (BATCH,), ("tree is a tuple", "a list", "[1]")),
    ("14 dict for tuple", (1,), {"a": BATCH}, ("tree is a dict", "a tuple")),
    ("14 list for dict", {"a": 1}, [BATCH], ("tree is a list", "no names", "{'a': 1}")),
    ("14 another class", Pair(1, 0), Data(BATCH, BATCH), ("tree is a Data", "a Pair", "'w': 1")),
    ("14 a tuple for a NamedTuple", (1, 0), Pair(BATCH, BATCH), ("tree is a Pair", "a tuple")),
    (
        "14 an unknown field",
        {"w": 1, "c": 0},
        Data(BATCH, BATCH),
        (
            "fields of tree",
            "['b'] present but not",
            "['c'] declared but",
            "(a Data) has ['w', 'b']",
            "['w', 'c']",
        ),
    ),
    ("14 a missing field", {"w": 1}, Pair(BATCH, BATCH), ("tree.b has no", "['w', 'b']")),
    ("14 a module's field", {"w": 1}, Module(BATCH, BATCH), ("tree.b has no", "None")),
    (
        "15 deeper than the argument",
        {"a": (1, 0)},
        {"a": BATCH},
        ("is a single leaf", "tree['a']", "(1, 0)", "give it a single rank"),
    ),
    (
        "15 in a NamedTuple",
        Pair({"a": 1}, 0),
        Pair(BATCH, BATCH),
        ("is a single leaf", "tree.w", "{'a': 1}"),
    ),
    (
        "18 a dict for an array",
        {"a": 1},
        BATCH,
        ("tree", "a single leaf", "float32[4,3]", "{'a': 1}", "single"),
    ),
    (
        "18 a tuple for an array",
        (1, 0),
        BATCH,
        ("tree", "a single leaf", "float32[4,3]", "(1, 0)", "single"),
    ),
    (
        "18 a list for a NumPy array",
        [1],
        np.ones(3),
        ("tree", "a single leaf", "float64[3]", "[1]"),
    ),
    (
        "20 keys that cannot be sorted",
        1,
        {"u": MIXED},
        ("tree['u']", "can't be sorted", "[1, 'a']"),
    ),
    ("20 at the top", 1, MIXED, ("keys of tree can't be sorted", "[1, 'a']", "no rank")),
    ("20 under ranks by key", {1: 1, "a": 1}, MIXED, ("keys of tree can't be sorted", "[1, 'a']")),
    ("21 deque", 1, collections.deque([BATCH]), ("tree is a deque", "not a JAX pytree node")),
    ("21 deque in a tree", 1, [collections.deque([BATCH])], ("tree[0] is a deque", "register")),
    ("21 struct_time", 0, time.gmtime(0), ("tree is a struct_time", "not a JAX pytree node")),
    ("21 set", 1, [{1.0}], ("tree[0] is a set", "not a JAX pytree node")),
    (
        "21 namespace",
        1,
        [types.SimpleNamespace(a=BATCH)],
        ("tree[0] is a SimpleNamespace", "not a"),
    ),
    ("21 an optree node", 1, [OptreePair(BATCH, BATCH)], ("tree[0]", "OptreePair", "not a JAX")),
    ("21 dict subclass", 1, [type("Sub", (dict,), {})(a=BATCH)], ("tree[0]", "Sub", "not a JAX")),
    ("21 list subclass", 1, [type("Sub", (list,), {})([BATCH])], ("tree[0]", "Sub", "not a JAX")),
    ("21 UserDict", 1, [collections.UserDict(a=BATCH)], ("tree[0]", "UserDict", "not a JAX")),
    ("21 mappingproxy", 1, [types.MappingProxyType({"a": BATCH})], ("tree[0]", "mappingproxy")),
]


@pytest.mark.parametrize(
    ("rank", "value", "parts"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED]
)
def test_refused(rank: Any, value: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(SpecError, match=says("total()", *parts)):
        call(rank, value)


SUM = BATCH.sum(-1)
WORKS: list[tuple[str, Any, Any, Any]] = [
    ("14 a dict ranks a dataclass", {"w": 1, "b": 0}, Data(BATCH, 1.0), SUM + 1),
    ("14 a dict in another order", {"b": 0, "w": 1}, Data(BATCH, 1.0), SUM + 1),
    ("14 a dict ranks a NamedTuple", {"b": 0, "w": 1}, Pair(BATCH, 1.0), SUM + 1),
    ("14 a dict ranks a module", {"b": 0, "w": 1}, Module(BATCH, 1.0), SUM + 1),
    ("14 an optree node ranks a module", OptreePair(1, 0), Module(BATCH, 1.0), SUM + 1),
    (
        "16 OrderedDict in another order",
        {"v": 1, "s": 0},
        collections.OrderedDict(s=jnp.ones(4), v=BATCH),
        SUM + 1,
    ),
    (
        "16 an OrderedDict as ranks",
        collections.OrderedDict(v=1, s=0),
        {"s": jnp.ones(4), "v": BATCH},
        SUM + 1,
    ),
    (
        "16 defaultdict",
        {"v": 1, "s": 0},
        collections.defaultdict(float, s=jnp.ones(4), v=BATCH),
        SUM + 1,
    ),
    ("17 a Na single leaf", {"a": 1, "b": 1}, {"a": BATCH, "b": None}, SUM),
    ("17 a Na single leaf under one rank", 1, [BATCH, None], SUM),
    ("17 a None where ranks go deeper", {"a": 1, "b": {"c": 1}}, {"a": BATCH, "b": None}, SUM),
    ("17 a None rank", {"a": 1, "b": None}, {"a": BATCH, "b": jnp.ones(2)}, SUM + 2),
    ("17 a None rank over a subtree", [1, None], [BATCH, {"z": jnp.ones(2)}], SUM + 2),
    ("17 ranks of what is empty", [1, {}, ()], [BATCH, {}, ()], SUM),
    ("17 no rank, whatever it holds", [1, {"a": None}], [BATCH, {"a": jnp.ones(2)}], SUM + 2),
    ("19 static fields differ", Module(1, 0, "two"), Module(BATCH, 1.0, "one"), SUM + 1),
    ("22 a validating constructor", 1, Positive(BATCH), SUM),
    ("22 an array in a static field", 1, ArrayInStatic(BATCH, np.ones(2)), SUM),
    ("22 both in a list", [1, 1], [Positive(BATCH), ArrayInStatic(BATCH, np.ones(2))], 2 * SUM),
]


@pytest.mark.parametrize(
    ("rank", "value", "expected"), [pytest.param(*row[1:], id=row[0]) for row in WORKS]
)
def test_right(rank: Any, value: Any, expected: Any) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(call(rank, value), expected)


def test_20_unsortable_keys_in_an_example() -> None:
    with pytest.raises(SpecError, match=r"the keys of example\['a'\]\[0\] can't be sorted"):
        like({"a": [{1: BATCH, "b": BATCH}]})


def test_20_unsortable_keys_under_no_rank() -> None:
    result = auto_vmap(x=1)(lambda x, extra: x * extra["a"] + extra[1])(BATCH, {1: 1.0, "a": 2.0})
    np.testing.assert_array_equal(result, 2 * BATCH + 1)


def test_20_what_is_refused_leaves_recursion_as_it_was() -> None:
    """JAX loses some depth each time that it fails inside of a tree, so it is asked once."""

    def refuse_many() -> tuple[int, int]:
        before = recursion_left()
        for _ in range(20):
            with pytest.raises(SpecError, match="can't be sorted"):
                call(1, MIXED)
        return before, recursion_left()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # what is lost is lost to the thread
        before, after = pool.submit(refuse_many).result()
    assert after >= before - 20


def recursion_left() -> int:
    """How deep a function can still call itself."""
    try:
        return 1 + recursion_left()
    except RecursionError:
        return 0


def nest(depth: int, leaf: Any, wrap: Callable[[Any], Any]) -> Any:
    """A leaf in so many containers."""
    for _ in range(depth):
        leaf = wrap(leaf)
    return leaf


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"a": x}], ids=["list", "dict"])
def test_22_a_very_deep_tree(wrap: Any) -> None:
    tree = nest(400, BATCH, wrap)
    np.testing.assert_array_equal(call(1, tree), SUM)


def test_22_a_deep_rank_tree() -> None:
    tree, rank = nest(100, BATCH, lambda x: [x]), nest(100, 1, lambda x: [x])
    np.testing.assert_array_equal(call(rank, tree), SUM)


@dataclasses.dataclass
class Unregistered:
    """A dataclass that JAX does not know."""

    content: Any


def test_21_does_not_depend_on_what_was_called_before() -> None:
    function = auto_vmap(tree=1)(lambda tree: tree[0].sum())
    function([BATCH, Unregistered(None)])
    with pytest.raises(SpecError, match=says("tree[1]", "Unregistered", "not a JAX pytree node")):
        function([BATCH, Unregistered(BATCH)])
