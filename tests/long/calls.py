"""Calls of every kind with ever-new shapes, specs, functions and objects, each checked.

Most are cheap: planned, traced without compiling (`jax.eval_shape`), or with a body that calls no
primitive, as JAX takes milliseconds to compile each new shape. `REAL` runs all of them.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from autovmap import auto_vmap, like, named_vmap

REAL = False
NUMBER = itertools.count(2)
"""Ever-new sizes, for all threads."""


def fresh(rank: int = 1) -> tuple[Any, int]:
    """A function that is nobody else's, of x and a number, and its own number."""
    number = next(NUMBER)

    def function(x: Any, y: Any = 1.0) -> Any:
        return x * number + y

    function.__name__ = f"function_{number}"
    return function, number


def result_shape(function: Callable[..., Any], *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the result: traced, and run if all is to be real."""
    if REAL:
        return jax.block_until_ready(function(*(jnp.ones(shape) for shape in shapes))).shape
    return jax.eval_shape(
        function, *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
    ).shape


@auto_vmap(x=1)
def same(x: Any) -> Any:
    """No primitive: nothing is compiled."""
    return x


@auto_vmap(x=1, y=0)
def scaled(x: Any, y: Any) -> Any:
    """Two arguments that broadcast."""
    return x * y


total = auto_vmap(x=1)(lambda x: x.sum())
BUCKET = total.bucket()
PROGRAM = total.jit()
CHUNKED = total.chunk(2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Model:
    """An object that is a pytree, with a method."""

    w: Any

    @auto_vmap(x=1)
    def dot(self, x: Any) -> Any:
        """The weighted sum."""
        return (self.w * x).sum()


class Plain:
    """An object that is none, and that JAX knows nothing of."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    @auto_vmap(x=0)
    def times(self, x: Any) -> Any:
        """A product."""
        return self.scale * x


def planned(rng: random.Random) -> Iterator[Any]:
    """The plan of a known function for a new shape, and of a new one."""
    size, n = next(NUMBER), rng.randint(1, 9)
    plan = scaled.plan(jax.ShapeDtypeStruct((size, 1, n), "float32"), np.ones((n, 1, 3)[n > 5 :]))
    assert plan.batch_shape[-2] == size
    yield plan


def declared(rng: random.Random) -> Iterator[Any]:
    """A new function under a new spec, and its plan."""
    function, number = fresh()
    specs: list[dict[str, Any]] = [
        {"x": {f"k{number}": rng.randint(0, 1)}},
        {"x": like({f"k{number}": np.ones(rng.randint(1, 3))})},
        {"x": 1, "out_axes": rng.choice([0, -1]), "axis_name": f"axis_{number}"},
    ]
    kind = rng.randrange(3)
    decorated = auto_vmap(**specs[kind])(function)
    leaf = jax.ShapeDtypeStruct((number, 3), "float32")
    plan = decorated.plan({f"k{number}": leaf} if kind < 2 else leaf)
    assert plan.batch_shape[0] == number
    yield from (function, decorated)


def called(rng: random.Random) -> Iterator[Any]:
    """A known function on an ever-new shape, without a primitive."""
    # Not `jnp.asarray`, which compiles a program for each new shape.
    x = jax.device_put(np.ones((next(NUMBER) % 5000 + 2, rng.randint(2, 8), 2), np.float32))
    assert same(x).shape == x.shape
    yield x


def traced(rng: random.Random) -> Iterator[Any]:
    """A new function, plain, compiled or in chunks, on a new shape."""
    function, number = fresh()
    decorated = auto_vmap(x=1, y=0)(function)
    way = rng.choice([decorated, decorated.jit(), decorated.chunk(3)])
    assert result_shape(way, (number % 9 + 1, 1, 4), (5,)) == (number % 9 + 1, 5, 4)
    yield from (function, decorated)


def named(rng: random.Random) -> Iterator[Any]:
    """A new function under a new pattern."""
    function, number = fresh()
    decorated = named_vmap(f"b{number} (a [c]) -> a b{number} [c]", a=2)(function)
    assert result_shape(decorated, (number % 7 + 1, 6)) == (2, number % 7 + 1, 3)
    yield from (function, decorated)


def bucketed(rng: random.Random) -> Iterator[Any]:
    """A known program for ever-new sizes.

    Few are seen eight times: such a size gets a program of its own, of which JAX keeps 20 KB.
    """
    x = np.full((next(NUMBER) % 20_000 + 1, 2), 2.0, np.float32)
    found = BUCKET(x)
    assert found.shape == (len(x),)
    assert np.asarray(found)[-1] == 4.0
    yield x


def of_objects(rng: random.Random) -> Iterator[Any]:
    """Methods of ever-new objects: plain, compiled, and passed to a transformation."""
    number = float(next(NUMBER))
    model, x = Model(jnp.full(3, number)), np.ones((4, 3), np.float32)
    way = rng.choice([model.dot, model.dot.jit(), Plain(number).times])
    factor = 3 if way.__name__ == "dot" else 1
    assert np.asarray(way(x)).flat[0] == np.float32(factor * number)
    yield from (model, model.w, x)


def in_a_loop(rng: random.Random) -> Iterator[Any]:
    """A Python loop over the examples."""
    function, number = fresh()
    looped = auto_vmap(x=1)(function).loop()
    found = looped(np.ones((3, 2), np.float32))
    assert float(found[2, 1]) == number + 1
    yield from (function, looped)


def compiled(rng: random.Random) -> Iterator[Any]:
    """Compiled and run: a new function, or a known program for a new shape."""
    function, number = fresh()
    decorated = auto_vmap(x=1)(function)
    x = jnp.ones((number % 50 + 1, 2))
    new = (decorated.jit(), decorated.chunk(3), decorated.chunk(2).jit())
    way = rng.choice([*new, PROGRAM, CHUNKED])
    value = number + 1 if way in new else 2
    np.testing.assert_array_equal(np.asarray(way(x)).flat[-1], np.float32(value))
    yield from (function, decorated, x)


SHARES: dict[Callable[[random.Random], Iterator[Any]], float] = {
    planned: 0.56,
    declared: 0.152,
    called: 0.08,
    traced: 0.015,
    named: 0.0145,
    bucketed: 0.09,
    of_objects: 0.0695,
    in_a_loop: 0.018,
    compiled: 0.001,
}
"""How often each kind is called. A call gives what must not outlive it."""
