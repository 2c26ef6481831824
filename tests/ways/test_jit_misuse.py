"""Every method of a compiled function says of a wrong call what the call itself says.

No assertion of the library's is in the reach of a caller's arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap

X = jnp.ones((2, 3))


def with_static(x: Any, n: int = 1) -> Any:
    return x.sum() * n


def by_keyword(x: Any, *, w: Any) -> Any:
    return x.sum() * w


def by_position(x: Any, /, w: Any) -> Any:
    return x.sum() * w


def keywords_alone(*, x: Any) -> Any:
    return x.sum()


def of_any(x: Any, *rest: Any, **options: Any) -> Any:
    return x.sum()


@jax.tree_util.register_dataclass
@dataclass
class Model:
    w: Any

    @auto_vmap(x=1)
    def method(self, x: Any, n: int = 1) -> Any:
        return x.sum() * self.w * n


class Config:
    """Static as a method's object."""

    @auto_vmap(x=1)
    def method(self, x: Any, n: int = 1) -> Any:
        return x.sum() * n

    @classmethod
    def made(cls, x: Any) -> Any:
        return x.sum()


FACES: dict[str, Callable[[], Any]] = {
    "static": lambda: auto_vmap(x=1)(with_static),
    "keyword": lambda: auto_vmap(x=1)(by_keyword),
    "position": lambda: auto_vmap(x=1)(by_position),
    "keywords alone": lambda: auto_vmap(x=1)(keywords_alone),
    "any": lambda: auto_vmap(x=1)(of_any),
    "chunk": lambda: auto_vmap(x=1)(with_static).chunk(1),
    "method": lambda: Model.method,
    "bound": lambda: Model(jnp.ones(())).method,
    "bound, class": lambda: auto_vmap(x=1)(Config.made),
}
MISUSES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "an unknown keyword": ((X,), {"zz": 1}),
    "a keyword of nothing": ((), {"zz": X}),
    "nothing": ((), {}),
    "too many": ((X, 1, 2, 3, 4), {}),
    "one given twice": ((X,), {"x": X}),
    "all by keyword": ((), {"x": X, "w": 1.0}),
    "a string": (("a",), {}),
    "an object": ((object(),), {}),
    "an array for a static": ((X,), {"n": X}),
    "a list for a static": ((X,), {"n": [1]}),
    "a mask": ((np.ma.masked_array(np.ones((2, 3))),), {}),
    "a byte order": ((np.ones((2, 3), ">f4"),), {}),
    "keys that can't be sorted": (({1: X, "a": X},), {}),
}
METHODS = ("__call__", "lower", "trace", "eval_shape")


def outcome(face: Any, method: str, call: tuple[tuple[Any, ...], dict[str, Any]]) -> str:
    args, kwargs = call
    try:
        (face if method == "__call__" else getattr(face, method))(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "a result"


@pytest.mark.parametrize("misuse", MISUSES)
@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("partition", [False, True])
def test_each_method_says_what_the_call_says(face: str, misuse: str, partition: bool) -> None:
    f, call = FACES[face](), MISUSES[misuse]
    found = {method: outcome(f.jit(partition=partition), method, call) for method in METHODS}
    said = found["__call__"]
    assert set(found.values()) == {said}
    assert "AssertionError" not in said
    plain = outcome(f, "__call__", call)
    if plain.startswith("TypeError") and "()" in plain:  # the arguments do not fit
        assert said == plain
    if said != "a result" and not plain.startswith("AttributeError"):  # the function's own
        assert said.startswith("SpecError") or said == plain


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("misuse", ["an unknown keyword", "nothing", "too many", "one given twice"])
def test_a_warm_program_says_the_same(method: str, misuse: str) -> None:
    f = auto_vmap(x=1)(lambda x: x.sum())
    jitted = f.jit()
    for _ in range(2):
        jitted(X)
    assert outcome(jitted, method, MISUSES[misuse]) == outcome(f, "__call__", MISUSES[misuse])
