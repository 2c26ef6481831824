"""Rows 47 to 62: what was found by trying the library as a new user would."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from autovmap import auto_vmap, like
from autovmap.compat.functorch import vmap as functorch_vmap
from autovmap.compat.jax import vectorize
from autovmap.compat.jax import vmap as jax_vmap
from faults.cases.case import Case, Thunk, once
from faults.cases.ways import called, entries

BATCH = jnp.arange(12.0).reshape(4, 3)


@dataclasses.dataclass
class Box:
    """A class that JAX was not told of."""

    w: Any
    b: Any


class Env:
    """A class of a method whose object is ranked by field."""

    def __init__(self) -> None:
        self.w = BATCH
        self.b = jnp.ones(4)

    @auto_vmap(self={"w": 1, "b": 0}, x=1)
    def act(self, x: Any) -> Any:
        """A vector scaled and moved."""
        return self.w * x + self.b


class Unhashable:
    """An object with no hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "Unhashable()"


def boxed(e: Any, x: Any) -> Any:
    """What an object holds, applied."""
    return (e.w * x).sum() + e.b


def first(x: Any, y: Any = 0.0) -> Any:
    """The first of two."""
    return x


def activated(model: Any, x: Any) -> Any:
    """A model with an activation function."""
    return model["act"](model["w"] * x)


def sine(x: Any) -> Any:
    """The sine of an array."""
    return jnp.sin(x)


def drawn(k: Any) -> Any:
    """A draw."""
    return jax.random.normal(k)


def noisy(k: Any, x: Any) -> Any:
    """A number, and noise."""
    return x + jax.random.normal(k)


def needing(x: Any, y: Any) -> Any:
    """A function that needs both of its arguments."""
    if y is None:
        raise ValueError("y is needed")
    return x @ y


def product(x: Any, y: Any) -> Any:
    """An inner product."""
    return x @ y


def scaled(s: Any, v: Any) -> Any:
    """A vector scaled."""
    return s * v


def three(s: Any, v: Any, m: Any) -> Any:
    """The second of three."""
    return v


def both(v: Any, w: Any) -> Any:
    """The first of two, of which one may have no rank."""
    return v


def inner(a: Any, b: Any) -> Any:
    """An inner product for signatures."""
    return a @ b


def linear(model: Any, x: Any) -> Any:
    """A linear model."""
    return model["w"] @ x + model["b"]


def repeated(x: Any, n: int = 3) -> Any:
    """A vector, so many times."""
    return jnp.concatenate([x] * n)


def filled(x: Any, n: Any) -> Any:
    """So many zeros, moved."""
    return jnp.zeros(n) + x.sum()


def plain(x: Any, c: Any) -> Any:
    """The first of two, the other of any type."""
    return x


def relu(x: Any) -> Any:
    """An activation function."""
    return jnp.maximum(x, 0)


def promoted() -> Any:
    """A call that JAX is told to refuse."""
    with jax.numpy_rank_promotion("raise"):
        return vectorize(scaled)(BATCH, jnp.ones(3))


def mixed() -> Any:
    """Parameters and an activation function in one dict."""
    return {"w": jnp.ones(3), "act": relu}


def each(row: int, name: str, ways: Mapping[str, Thunk]) -> Case:
    """One mistake, made in several ways."""
    return Case(row, name, ways)


def declared(row: int, name: str, function: Any, *args: Any, **kwargs: Any) -> Case:
    """A declaration that is refused."""
    return once(row, name, lambda: auto_vmap(*args, **kwargs)(function))


OBJECTS = [
    called(
        48,
        "a dict of ranks for an object",
        entries(boxed, {"e": {"w": 1, "b": 0}, "x": 1}),
        lambda: (Box(BATCH, jnp.ones(4)), BATCH),
    ),
    called(
        48,
        "one rank for an object",
        entries(boxed, {"e": 1, "x": 1}),
        lambda: (Box(BATCH, jnp.ones(4)), BATCH),
    ),
    each(
        48,
        "the object of a method",
        {
            "call": lambda: Env().act(BATCH),
            ".plan": lambda: Env().act.plan(BATCH),
            ".jit()": lambda: Env().act.jit()(BATCH),
            "Env.act.jit()": lambda: Env.act.jit()(Env(), BATCH),
            ".jit(partition=True)": lambda: Env().act.jit(partition=True)(BATCH),
            ".chunk(2)": lambda: Env().act.chunk(2)(BATCH),
            ".bucket()": lambda: Env().act.bucket()(BATCH),
        },
    ),
    each(
        49,
        "arrays and a function in one argument",
        {
            ".jit(), no rank": lambda: auto_vmap(x=1)(activated).jit()(mixed(), BATCH),
            ".jit(), one rank": lambda: auto_vmap(model=1, x=1)(activated).jit()(mixed(), BATCH),
            ".jit(), like": lambda: auto_vmap(model=like(mixed()), x=1)(activated).jit()(
                mixed(), BATCH
            ),
            ".chunk(2).jit()": lambda: auto_vmap(x=1)(activated).chunk(2).jit()(mixed(), BATCH),
        },
    ),
]

LISTS = [
    called(50, "a list of numbers", entries(sine, {"x": 0}), lambda: ([1.0, 2.0],)),
    called(50, "a tuple of one", entries(sine, {"x": 0}), lambda: ((1.0,),)),
    called(
        50,
        "a list of keys",
        entries(drawn, {"k": "key"}),
        lambda: (list(jax.random.split(jax.random.key(0), 2)),),
    ),
    called(50, "a list of vectors", entries(sine, {"x": 1}), lambda: ([jnp.ones(3)] * 2,)),
    called(50, "None", entries(needing, {"x": 1, "y": 1}), lambda: (BATCH, None)),
]

FORGOTTEN = [
    called(51, "in the body", entries(product, {"x": 1}), lambda: (BATCH, BATCH)),
    called(
        51,
        "under strict",
        {"auto_vmap": lambda: auto_vmap(x=1, strict=True)(product)},
        lambda: (BATCH, BATCH),
    ),
]

KEYS = [
    called(
        52,
        "a raw key under a number",
        {"auto_vmap": lambda: auto_vmap(k=1, x=0, randomness="different")(noisy)},
        lambda: (jax.random.PRNGKey(0), jnp.ones(3)),
    ),
    called(
        52,
        "a key that nobody declared",
        {"auto_vmap": lambda: auto_vmap(x=0, randomness="error")(noisy)},
        lambda: (jax.random.key(0), jnp.ones(3)),
    ),
    called(
        52,
        "one key for several draws",
        {"auto_vmap": lambda: auto_vmap(k="key", x=0)(noisy).batch(3)},
        lambda: (jax.random.key(0), 1.0),
    ),
    called(
        52,
        "a typed key under the rank of a vector",
        entries(noisy, {"k": 1, "x": 0}),
        lambda: (jax.random.key(0), jnp.ones(3)),
    ),
    called(52, "a seed", entries(noisy, {"k": "key", "x": 0}), lambda: (0, jnp.ones(3))),
    called(
        52,
        "several seeds",
        entries(noisy, {"k": "key", "x": 0}),
        lambda: (jnp.arange(3), jnp.ones(3)),
    ),
]

PLACES = [
    declared(53, "in_axes for all", lambda v: v, v=1, in_axes=5),
    declared(53, "in_axes of one", both, v=1, w=0, in_axes={"w": 1}),
    declared(53, "in_axes in a tree", lambda v: v, v={"a": 1, "b": 0}, in_axes={"v": {"b": 1}}),
    declared(53, "in_axes of what has no rank", both, v=1, in_axes={"w": 1}),
    declared(53, "in_axes by position of what has no rank", both, v=1, in_axes=(0, 1)),
    once(
        53,
        "in_axes by replace",
        lambda: auto_vmap(v=1)(both).replace(in_axes={"w": 1}),
    ),
    declared(53, "out_axes beside a signature", inner, "(n),(n)->()", out_axes=2),
    declared(53, "out_axes of several", lambda a: a, "(n)->(),()", out_axes=(0, 0, 0)),
]

SHAPES_AS_RANKS = [
    called(
        54,
        "the ranks in a tuple",
        {"auto_vmap": lambda: auto_vmap((0, 1, 2))(three)},
        lambda: (1.0, jnp.ones(3), jnp.ones((3, 3))),
    ),
    called(54, "a shape for a vector", entries(sine, {"x": (3,)}), lambda: (BATCH,)),
    called(54, "a shape for a scalar", entries(sine, {"x": ()}), lambda: (jnp.ones(3),)),
]

SIGNATURES = [
    declared(57, "fewer operands", inner, "(n)->()"),
    each(
        57,
        "a tuple for a shape",
        {
            ".plan": lambda: auto_vmap(s=0, v=1)(scaled).plan(1.0, (5, 3)),
            ".jit().plan": lambda: auto_vmap(s=0, v=1)(scaled).jit().plan(1.0, (5, 3)),
            ".plan_with_outputs": lambda: auto_vmap(s=0, v=1)(scaled).plan_with_outputs(
                1.0, (5, 3)
            ),
        },
    ),
]

STATICS = [
    each(
        58,
        "a static number in another jit",
        {
            "f": lambda: jax.jit(auto_vmap(x=1)(repeated))(BATCH, 2),
            "f.jit()": lambda: jax.jit(auto_vmap(x=1)(repeated).jit())(BATCH, 2),
            "f.chunk(2)": lambda: jax.jit(auto_vmap(x=1)(repeated).chunk(2))(BATCH, 2),
            "f.bucket()": lambda: jax.jit(auto_vmap(x=1)(repeated).bucket())(BATCH, 2),
        },
    ),
    each(
        58,
        "a number that nothing makes static",
        {
            "jax.jit(f)": lambda: jax.jit(auto_vmap(x=1)(filled))(BATCH, 2),
            "f.jit()": lambda: auto_vmap(x=1)(filled).jit()(BATCH, 2),
        },
    ),
    each(
        60,
        "what is static, and has no hash",
        {
            ".jit(), a list": lambda: auto_vmap(x=1)(repeated).jit()(BATCH, [2]),
            ".jit(static_argnames='c'), a dict": lambda: auto_vmap(x=1)(plain).jit(
                static_argnames="c"
            )(BATCH, {"a": 1}),
            ".jit(), an array": lambda: auto_vmap(x=1)(repeated).jit()(BATCH, jnp.ones(3)),
            ".chunk(2), an array": lambda: auto_vmap(x=1)(repeated).chunk(2)(BATCH, jnp.ones(3)),
        },
    ),
    each(
        60,
        "what is not a pytree, and has no hash",
        {
            f"{way}, {name}": lambda make=make, value=value: make(auto_vmap(x=1)(plain))(
                BATCH, value
            )
            for way, make in {
                ".jit()": lambda f: f.jit(),
                ".jit(partition=True)": lambda f: f.jit(partition=True),
                ".chunk(2)": lambda f: f.chunk(2),
                ".bucket()": lambda f: f.bucket(),
            }.items()
            for name, value in {"a set": {1, 2}, "an object": Unhashable()}.items()
        },
    ),
]

CLASHES = [
    called(
        59,
        "parts of one model",
        entries(linear, {"model": {"w": 2, "b": 1}, "x": 1}),
        lambda: ({"w": jnp.ones((5, 4, 3)), "b": jnp.ones((2, 4))}, jnp.ones(3)),
    ),
    called(
        59,
        "parts of one model under one rank",
        entries(linear, {"model": 0, "x": 1}),
        lambda: ({"w": jnp.ones((4, 3)), "b": jnp.ones(4)}, jnp.ones(3)),
    ),
    called(
        59,
        "a tree and an array",
        entries(linear, {"x": 1, "model": {"w": 2, "b": 1}}),
        lambda: ({"w": jnp.ones((10, 4, 3)), "b": jnp.ones((10, 4))}, jnp.ones((100, 3))),
    ),
]

METHODS = [
    each(
        56,
        "a method called as something else",
        {
            text: lambda make=make: make(auto_vmap(s=0, v=1)(scaled))
            for text, make in {
                "f.jit(x)": lambda f: f.jit(BATCH),
                "f.jit(static_argnums=0)": lambda f: f.jit(static_argnums=0),
                "f.jit(donate_argnums=0)": lambda f: f.jit(donate_argnums=0),
                "f.jit(static_argname='s')": lambda f: f.jit(static_argname="s"),
                "f.jit().jit(x)": lambda f: f.jit().jit(BATCH),
                "f.chunk(batch_size=3)": lambda f: f.chunk(batch_size=3),
                "f.chunk(2.0, x)": lambda f: f.chunk(2.0, BATCH),
                "f.shard()": lambda f: f.shard(),
                "f.loop(x)": lambda f: f.loop(BATCH),
                "f.bucket(size=64)": lambda f: f.bucket(size=64),
                "f.batch(size=3)": lambda f: f.batch(size=3),
                "f.lift()": lambda f: f.lift(),
                "Env().act.jit(x)": lambda f: Env().act.jit(BATCH),
                "Env().act.chunk(batch_size=3)": lambda f: Env().act.chunk(batch_size=3),
            }.items()
        },
    ),
]


class Moved:
    """A class whose methods call their object otherwise."""

    @vectorize
    def by(this, x: Any) -> Any:
        """A scalar moved."""
        return x + 1


FOREIGN = [
    each(
        61,
        "in the words of jax.vmap",
        {
            "an axis that is not there": lambda: jax_vmap(first, in_axes=5)(BATCH),
            "a short in_axes": lambda: jax_vmap(first, in_axes=(0,))(BATCH, BATCH),
            "sizes": lambda: jax_vmap(first)(BATCH, jnp.ones((5, 3))),
            "a keyword's size": lambda: jax_vmap(first)(BATCH, y=jnp.ones((5, 3))),
            "a keyword's number": lambda: jax_vmap(first)(BATCH, y=2.0),
            "a zip": lambda: jax_vmap(first)(zip([1], [2], strict=True)),
            "a generator": lambda: jax_vmap(first)(i for i in range(3)),
        },
    ),
    each(
        61,
        "in the words of torch.func.vmap",
        {
            "out_dims=(0,)": lambda: functorch_vmap(first, out_dims=(0,))(BATCH),
            "out_dims=5": lambda: functorch_vmap(first, out_dims=5)(BATCH),
            "out_dims='a'": lambda: functorch_vmap(first, out_dims="a")(BATCH),
            "a short in_dims": lambda: functorch_vmap(first, in_dims=(0,))(BATCH, BATCH),
            "an axis that is not there": lambda: functorch_vmap(first, in_dims=5)(BATCH),
            "sizes": lambda: functorch_vmap(first)(BATCH, jnp.ones((5, 3))),
        },
    ),
    each(
        61,
        "in the words of jnp.vectorize",
        {
            "excluded={1.5}": lambda: vectorize(first, excluded={1.5}),
            "too few arguments": lambda: vectorize(inner, signature="(n),(n)->()")(BATCH),
            "rank promotion": promoted,
            "a zip": lambda: vectorize(first)(zip([1], [2], strict=True)),
            "a method of `this`": lambda: Moved().by(BATCH),
        },
    ),
]

CASES = [
    *METHODS,
    *FOREIGN,
    *OBJECTS,
    *LISTS,
    *FORGOTTEN,
    *KEYS,
    *PLACES,
    *SHAPES_AS_RANKS,
    *SIGNATURES,
    *STATICS,
    *CLASHES,
]
