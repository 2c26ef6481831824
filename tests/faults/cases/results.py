"""Rows 47 and 62: results that hold arrays where JAX sees none, or differ between examples."""

import collections
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from autovmap import auto_vmap, named_vmap
from faults.cases.case import Case, Thunk, once, one_device
from faults.cases.ways import NAMED_WAYS, WAYS
from faults.subjects import Held

RETURNING: dict[str, Callable[[Any], Callable[..., Any]]] = {
    **{way: run for way, run in WAYS.items() if way != ".plan"},
    ".jit(partition=True)": lambda f: f.jit(partition=True),
    ".chunk(2, progress=...)": lambda f: f.chunk(2, progress=lambda done, total: None),
    ".chunk(2).jit()": lambda f: f.chunk(2).jit(),
    ".bucket().chunk(2)": lambda f: f.bucket().chunk(2),
    ".shard('d').chunk(2)": lambda f: f.shard("d", mesh=one_device()).chunk(2),
    ".plan_with_outputs": lambda f: f.plan_with_outputs,
}
"""Every way in which a function is called or traced."""


def dataclass(x: Any) -> Any:
    """An instance of a class that JAX was not told of."""
    return {"a": [Held(x)]}


def closure(x: Any) -> Any:
    """A function of what is left."""
    return lambda y: x * y


def partial(x: Any) -> Any:
    """Python's own partial."""
    return (x, functools.partial(jnp.add, x))


def method(x: Any) -> Any:
    """A method of such an instance."""
    return Held(x).get


def view(x: Any) -> Any:
    """The values of a dict, which are no list."""
    return {"a": x}.values()


def zipped(x: Any) -> Any:
    """An iterator of Python's own."""
    return zip([x], [x], strict=True)


def deque(x: Any) -> Any:
    """A container of Python's that JAX does not know."""
    return collections.deque([x])


def nested(x: Any) -> Any:
    """Deep inside, past what is no node."""
    return Held({"deep": [Held((1, lambda: x))]})


def static(x: Any) -> Any:
    """A node whose static data is a closure."""
    return jax.tree_util.Partial(lambda y: x * y, x)


def hidden(name: str, function: Any) -> Case:
    """A function that returns such a result, called in every way."""
    ways: dict[str, Thunk] = {}
    for way in RETURNING:
        ways[f"auto_vmap: {way}"] = _thunk(lambda: auto_vmap(x=0)(function), way, jnp.ones(3))
    for way in NAMED_WAYS:
        if way != ".plan":
            ways[f"named_vmap: {way}"] = _thunk(
                lambda: named_vmap("b -> b")(function), way, jnp.ones(3)
            )
    ways["size 1: call"] = _thunk(lambda: auto_vmap(x=0)(function), "call", jnp.ones((1, 1)))
    ways["size 1: .loop()"] = _thunk(lambda: auto_vmap(x=0)(function), ".loop()", jnp.ones(1))
    ways["one example: .jit()"] = _thunk(lambda: auto_vmap(x=0)(function), ".jit()", jnp.ones(()))
    return Case(47, name, ways)


def _thunk(declare: Thunk, way: str, x: Any) -> Thunk:
    def call() -> Any:
        argument = x * jnp.arange(x.size).reshape(x.shape) if x.ndim else x
        return RETURNING[way](declare())(argument)

    return call


def by_turns(x: Any, one: Any, other: Any) -> Any:
    """One thing for the first example, another for the others."""
    return one if x < 1 else other


def differing(name: str, one: Any, other: Any) -> Case:
    """A loop whose second example returns something else."""
    looped = auto_vmap(x=0)(by_turns).loop()
    return once(62, name, lambda: looped(jnp.arange(3.0), one, other))


CASES = [
    hidden("an unregistered dataclass", dataclass),
    hidden("a class as the function", Held),
    hidden("a closure", closure),
    hidden("a partial", partial),
    hidden("a bound method", method),
    hidden("the values of a dict", view),
    hidden("an iterator", zipped),
    hidden("a deque", deque),
    hidden("deep inside", nested),
    hidden("static data", static),
    differing("another structure", 1.0, {"a": (1.0,)}),
    differing("another key", {"a": 1.0}, {"b": 1.0}),
    differing("a missing part", {"a": [1.0, None]}, {"a": [1.0, 2.0]}),
    differing("another shape", {"a": [jnp.ones(2)]}, {"a": [jnp.ones((2, 3))]}),
    differing("another dtype", (1.0, jnp.ones(2)), (1.0, jnp.ones(2, int))),
    differing("another text", ["a", "b"], ["a", "c"]),
    differing(
        "other static data",
        jax.tree_util.Partial(jnp.sin, n=1.0),
        jax.tree_util.Partial(jnp.sin, m=1.0),
    ),
    differing("many parts", list(range(100)), list(range(101))),
]
