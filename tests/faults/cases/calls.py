"""Rows 39 to 44: how a function is called, what it raises, and what it returns."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Shaped

from faults.cases.case import Case
from faults.cases.ways import called, entries

BATCH = jnp.arange(12.0).reshape(4, 3)


class Odd(Exception):
    """A user's own error."""


def axpy(x: Any, y: Any = 0.0) -> Any:
    """A vector moved."""
    return x + y


def odd(x: Any, y: Any) -> Any:
    """A function that fails."""
    raise Odd("as it was")


def index(x: Any) -> Any:
    """A look-up that fails."""
    return {"a": x}["b"]


def assigned(x: Any) -> Any:
    """An assignment that no JAX array allows."""
    x[0] = 1.0
    return x


def chosen(x: Any) -> Any:
    """A Python if on a value."""
    if x > 0:
        return x
    return -x


def lazily(x: Any) -> Any:
    """A generator in the result."""
    return {"a": [(i for i in range(3))]}


VECTOR = Shaped[Array, "n"]
AXPY = entries(axpy, {"x": 1, "y": 0}, "(n),()->(n)", {"x": VECTOR, "y": float}, "b [n], -> b [n]")
ODD = entries(
    odd,
    {"x": 1, "y": 0},
    "(n),()->()",
    {"x": VECTOR, "y": Shaped[Array, ""]},
    "a b [n], b -> a b",
)
BOTH = {"x": VECTOR, "return": VECTOR}
INDEX = entries(index, {"x": 1}, "(n)->(n)", BOTH, "b [n] -> b [n]")
ASSIGNED = entries(assigned, {"x": 1}, "(n)->(n)", BOTH, "b [n] -> b [n]")
CHOSEN = entries(chosen, {"x": 0}, "()->()", {"x": Shaped[Array, ""]}, "b -> b")
LAZILY = entries(lazily, {"x": 0}, "()->()", {"x": Shaped[Array, ""]}, "b -> b")


def wrong(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Case:
    """A call that does not fit the function's parameters."""
    return called(39, name, AXPY, lambda: args, kwargs)


CASES = [
    wrong("missing", ()),
    wrong("unexpected", (BATCH,), {"b": 1}),
    wrong("too many", (BATCH, 0.0, 1.0)),
    wrong("twice", (BATCH,), {"x": BATCH}),
    called(42, "a user's own error", ODD, lambda: (jnp.ones((2, 5, 3)), jnp.ones(5))),
    called(
        42,
        "a stretched one",
        {"auto_vmap": ODD["auto_vmap"]},
        lambda: ({"a": [jnp.ones((2, 1, 3))]}, jnp.ones(5)),
    ),
    called(42, "with nothing batched", ODD, lambda: (jnp.ones((1, 1, 3)), jnp.ones(1))),
    called(42, "one of Python's", INDEX, lambda: (BATCH,)),
    called(42, "one of JAX's", ASSIGNED, lambda: (BATCH,)),
    called(43, "a generator", LAZILY, lambda: (jnp.ones(3),)),
    called(44, "a Python if", CHOSEN, lambda: (jnp.ones(3),)),
]
