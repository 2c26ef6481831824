"""The functions that the laws decorate: generic ones from recipes, and a handful of real ones.

A generic function flattens whatever it is given and answers with a container of a few outputs that
a `Recipe` names, so that hypothesis can print and shrink it. It uses few and cheap operations: JAX
compiles each for every new shape.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from jax import lax


class Result(NamedTuple):
    """A named tuple as result."""

    value: Any
    other: Any


@dataclass(frozen=True)
class Recipe:
    """What a generic function gives back: outputs, each an operation on two leaves, in a box."""

    outputs: tuple[tuple[str, int, int], ...]
    box: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = jax.tree.leaves((args, kwargs))
        arrays = [x for x in leaves if not isinstance(x, str)] or [jnp.float32(3)]
        values = [
            OPERATIONS[name](arrays[i % len(arrays)], arrays[j % len(arrays)])
            for name, i, j in self.outputs
        ]
        return BOXES[self.box](values)


def is_key(x: Any) -> bool:
    """Whether x is a typed key."""
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def total(x: Any) -> jax.Array:
    """The sum of a leaf as float32; of a key, a draw."""
    if is_key(x):
        return jax.random.uniform(x)
    return jnp.sum(jnp.real(jnp.asarray(x)).astype(jnp.float32))


def probe(x: Any) -> str:
    """What the function sees, said as a string, which no vmap can touch."""
    if isinstance(x, jax.Array):
        return f"{x.dtype}{x.shape}{'' if is_key(x) else x.weak_type}"
    return type(x).__name__


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "same": lambda x, y: x,
    "double": lambda x, y: x if is_key(x) else x + x,
    "total": lambda x, y: total(x),
    "mix": lambda x, y: total(x) - 2 * total(y),
    "turn": lambda x, y: jnp.transpose(x),
    "constant": lambda x, y: jnp.arange(2.0),
    "numpy": lambda x, y: np.arange(3, dtype=np.float32),
    "number": lambda x, y: 2.5,
    "integer": lambda x, y: 7,
    "flag": lambda x, y: True,
    "none": lambda x, y: None,
    "text": lambda x, y: "text",
    "probe": lambda x, y: probe(x),
    "shape": lambda x, y: jnp.shape(x) if not is_key(x) else x.shape,
}

BOXES: dict[str, Callable[[list[Any]], Any]] = {
    "bare": lambda values: values[0],
    "tuple": tuple,
    "list": list,
    "dict": lambda values: {f"z{9 - i}": value for i, value in enumerate(values)},
    "ordered": lambda values: OrderedDict((f"z{9 - i}", v) for i, v in enumerate(values)),
    "named": lambda values: Result(values[0], {"rest": values[1:], "none": None}),
}


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """A generic function's outputs."""
    index = st.integers(0, 5)
    names = [*OPERATIONS, "same", "mix", "mix", "double", "turn"]
    one = st.tuples(st.sampled_from(names), index, index)
    outputs = draw(st.lists(one, min_size=1, max_size=4))
    return Recipe(tuple(outputs), draw(st.sampled_from(list(BOXES))))


def plain(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """Parameters that take positions and keywords."""

    def function(first, second):
        return recipe(first, second)

    return function


def only(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """Positional-only parameters."""

    def function(first, second, /):
        return recipe(first, second)

    return function


def keyword(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """A keyword-only parameter."""

    def function(first, *, second):
        return recipe(first, second)

    return function


def defaulted(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """A default, which is ranked and may have batch dims like any argument."""

    def function(first, second=default):
        return recipe(first, second)

    return function


def star(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """Any number of positional arguments."""

    def function(first, *rest):
        return recipe(first, *rest)

    return function


def keywords(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """Any number of keyword arguments."""

    def function(first, **rest):
        return recipe(first, **rest)

    return function


def unranked(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """An argument of any type that has no rank, and comes to the function as it is."""

    def function(first, second, extra):
        return recipe(first, second), (type(extra).__name__, repr(extra))

    return function


def options(recipe: Recipe, default: Any) -> Callable[..., Any]:
    """Parameters that bear the names of options."""

    def function(out_axes, strict):
        return recipe(out_axes, strict)

    return function


TEMPLATES: dict[str, Callable[[Recipe, Any], Callable[..., Any]]] = {
    "plain": plain,
    "only": only,
    "keyword": keyword,
    "default": defaulted,
    "star": star,
    "keywords": keywords,
    "unranked": unranked,
    "options": options,
}


def well_posed(m: jax.Array) -> jax.Array:
    """A symmetric positive definite matrix of m's size."""
    return m @ m.T + 8 * jnp.eye(m.shape[0], dtype=m.dtype)


def newton(x):
    """A square root by a loop that ends at another step for each example."""
    return lax.while_loop(
        lambda y: jnp.abs(y * y - x) > 1e-3, lambda y: (y + x / y) / 2, x * 0 + 1 + x
    )


REAL: dict[str, tuple[Callable[..., Any], tuple[int | str, ...]]] = {
    "solve": (lambda m, b: jnp.linalg.solve(well_posed(m), b), (2, 1)),
    "cholesky": (lambda m: jnp.linalg.cholesky(well_posed(m)), (2,)),
    "where": (lambda c, x, y: jnp.where(c > 3, x, y), (0, 1, 1)),
    "scan": (lambda c, xs: lax.scan(lambda s, x: (s + x, s * x), c, xs), (0, 1)),
    "while": (newton, (0,)),
    "cond": (lambda c, x: lax.cond(c > 3, jnp.sin, jnp.cos, x), (0, 1)),
    "normal": (lambda k, s: s * jax.random.normal(k, (2,)), ("key", 0)),
    "sort": (lambda x: {"sorted": jnp.sort(x), "first": jnp.argmin(x), "none": None}, (1,)),
    "gather": (lambda x, i: x[i.astype(int) % x.shape[0]], (1, 0)),
    "scatter": (lambda x, v: x.at[0].set(v), (1, 0)),
    "gradient": (jax.grad(lambda x, m: x @ well_posed(m) @ x), (1, 2)),
    "einsum": (lambda a, b: jnp.einsum("ijk,kl->jl", a, b), (3, 2)),
}
REAL_CORES: dict[int | str, tuple[int, ...]] = {0: (), 1: (3,), 2: (3, 3), 3: (2, 1, 3), "key": ()}
