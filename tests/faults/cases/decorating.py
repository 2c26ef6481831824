"""Rows 1 to 12: what is wrong before any argument is seen."""

import builtins
import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from autovmap import auto_vmap, named_vmap
from autovmap.compat.functorch import vmap as functorch_vmap
from autovmap.compat.jax import vectorize, vmap
from faults.cases.case import Case, Thunk, once, one_device
from faults.subjects import async_generator, clashing, coroutine, generator, plain, varied


def bare(x, y=0):
    return x


class Thing:
    """A class with a method."""

    def method(self, x: Any) -> Any:
        """A method of one argument."""
        return x


def told(row: int, name: str, *args: Any, function: Any = plain, **kwargs: Any) -> Case:
    """A declaration that is refused."""
    return once(row, name, lambda: auto_vmap(*args, **kwargs)(function))


def each_entry(row: int, name: str, function: Any) -> Case:
    """Something that nothing can decorate, by each entry point."""
    ways: dict[str, Thunk] = {
        "auto_vmap": lambda: auto_vmap(x=1)(function),
        "signature": lambda: auto_vmap("(n)->(n)")(function),
        "annotations": lambda: auto_vmap(...)(function),
        "named_vmap": lambda: named_vmap("a -> a")(function),
        "compat.jax.vmap": lambda: vmap(function),
        "compat.jax.vectorize": lambda: vectorize(function),
        "compat.functorch.vmap": lambda: functorch_vmap(function),
    }
    return Case(row, name, ways)


def chains(row: int, name: str, texts: Mapping[str, Any]) -> Case:
    """Chains of ways to run that make no sense."""
    ways = {text: lambda make=make: make(DECORATED) for text, make in texts.items()}
    return Case(row, name, ways)


DECORATED = auto_vmap(x=1)(plain)

RANKS = [
    told(1, "by name", x=-1),
    told(1, "in a tree", x={"a": [-1]}),
    told(1, "by position", 0, (1, -2)),
    told(1, "in ranks", ranks={"x": np.int64(-3)}),
    told(1, "below a signature", "(n)->(n)", y=-1),
    told(2, "a bool", x=True),
    told(2, "a float", x=1.5),
    told(2, "a string", x="1"),
    told(2, "a string in a tree", x=("keys",)),
    told(2, "an array", x=np.ones(2)),
    told(2, "a function", x=plain),
    told(2, "a type", x=int),
    told(2, "a string by position", "keys"),
    once(2, "the function in front", lambda: auto_vmap(plain, x=1, out_axes=1)),
    once(2, "the function in front, ranks by position", lambda: auto_vmap(Thing.method, 1, 0)),
    once(2, "the function in front, ranks=", lambda: auto_vmap(plain, ranks={"x": 1})),
    once(2, "a static method in front", lambda: auto_vmap(staticmethod(plain), 1)),
    told(3, "an unknown name", z=1),
    told(3, "no parameters at all", z=1, function=lambda: 0),
    told(3, "in ranks", ranks={"z": 1}),
    told(3, "a keyword of **kwargs", z=1, function=varied),
    told(3, "in in_axes", x=1, in_axes={"z": 1}),
    told(3, "beside a signature", "(n)->(n)", z=1),
    told(3, "not a string", ranks={0: 1}),
    told(4, "three for two", 0, 1, 2),
    told(4, "keyword-only ones do not count", 0, 1, function=lambda x, *, y: x),
    told(4, "three for two, and keywords", 0, 1, 2, function=lambda x, y, **kw: x),
    once(4, "in a class body self is left out", lambda: auto_vmap(0, 1)(Thing.method)),
    told(4, "in_axes", 0, in_axes=(0, 0, 0)),
    told(4, "a signature", "(n),(n),(n)->()"),
    once(4, "a pattern", lambda: named_vmap("a, b, c -> a b c")(plain)),
    told(5, "by position and by name", 0, x=1),
    told(5, "in ranks too", x=1, ranks={"x": 1}),
    told(5, "by a signature and by name", "(n)->(n)", x=1),
    once(6, "a function", lambda: auto_vmap(bare)),
    once(6, "a lambda", lambda: auto_vmap(lambda z: z)),
    once(6, "options alone", lambda: auto_vmap(out_axes=1)(bare)),
    once(6, "a leading ellipsis", lambda: auto_vmap(..., y=0)(bare)),
    told(7, "a dict by position", {"x": 1, "y": 0}),
    told(7, "of one of them", {"y": 0}),
]

CALLABLES = [
    each_entry(8, "a number", 3),
    each_entry(8, "a string", "plain"),
    each_entry(8, "a property", property(plain)),
    each_entry(8, "None", None),
    each_entry(8, "an array", np.ones((4, 3), "f4")),
    each_entry(9, "max", builtins.max),
    each_entry(9, "iter", builtins.iter),
    each_entry(10, "async", coroutine),
    each_entry(10, "a generator", generator),
    each_entry(10, "an async generator", async_generator),
    each_entry(10, "a partial of an async function", functools.partial(coroutine)),
    each_entry(10, "a static method", staticmethod(generator)),
]

OPTIONS = [
    told(11, "an axis name twice", x=0, axis_name=("a", "b", "a")),
    told(11, "an spmd axis name twice", x=0, spmd_axis_name=("a", "a")),
    told(11, "an option's name is a parameter's", x=1, out_axes=0, function=clashing),
    told(11, "ranks that are no mapping", ranks=3),
    told(11, "ranks that are a list", ranks=["x"]),
    told(11, "randomness", x=0, randomness="other"),
    told(11, "strict", x=0, strict=1),
    told(11, "stretch_outputs", x=0, stretch_outputs=None),
    told(11, "out_axes", x=0, out_axes=1.5),
    told(11, "in_axes", x=0, in_axes=[0]),
    told(11, "in_axes of one parameter", x=0, in_axes={"x": {"a": "b"}}),
    once(11, "in_axes in a pattern", lambda: named_vmap("a -> a", in_axes=1)),
    once(11, "out_axes in a pattern", lambda: named_vmap("a -> a", out_axes=1)),
    once(11, "axis_name in a pattern", lambda: named_vmap("a -> a", axis_name="a")),
    once(11, "strict=False in a pattern", lambda: named_vmap("a -> a", strict=False)),
    chains(
        11,
        "chains that make no sense",
        {
            "f.loop().chunk(2)": lambda f: f.loop().chunk(2),
            "f.chunk(2).loop()": lambda f: f.chunk(2).loop(),
            "f.bucket().loop()": lambda f: f.bucket().loop(),
            "f.shard('d').loop()": lambda f: f.shard("d").loop(),
            "f.loop().jit()": lambda f: f.loop().jit(),
            "f.bucket().jit()": lambda f: f.bucket().jit(),
            "f.chunk(2, progress=True).jit()": lambda f: f.chunk(2, progress=True).jit(),
            "f.chunk(2, progress=True).bucket()": lambda f: f.chunk(2, progress=True).bucket(),
            "f.chunk(2, progress=True).shard('d')": lambda f: f.chunk(2, progress=True).shard("d"),
            "f.replace(stretch_outputs=False).bucket()": lambda f: f.replace(
                stretch_outputs=False
            ).bucket(),
            "f.replace(axis_name='i').loop()": lambda f: f.replace(axis_name="i").loop(),
            "f.replace(axis_name='i').bucket()": lambda f: f.replace(axis_name="i").bucket(),
            "f.replace(axis_name='i').shard('d')": lambda f: f.replace(axis_name="i").shard("d"),
            "f.stats()": lambda f: f.stats(),
            "f.iter(x)": lambda f: f.iter(jnp.ones(3)),
            "f.tune(x)": lambda f: f.tune(jnp.ones(3)),
            "f.bucket().chunk(2).tune(x)": lambda f: f.bucket().chunk(2).tune(jnp.ones(3)),
        },
    ),
    chains(
        11,
        "what a method is given",
        {
            "f.chunk()": lambda f: f.chunk(),
            "f.chunk(0)": lambda f: f.chunk(0),
            "f.chunk(True)": lambda f: f.chunk(True),
            "f.chunk(2.0)": lambda f: f.chunk(2.0),
            "f.chunk('all')": lambda f: f.chunk("all"),
            "f.chunk(2, memory='1GiB')": lambda f: f.chunk(2, memory="1GiB"),
            "f.chunk(memory='lots')": lambda f: f.chunk(memory="lots"),
            "f.chunk(memory=0)": lambda f: f.chunk(memory=0),
            "f.chunk(2, remat=1)": lambda f: f.chunk(2, remat=1),
            "f.chunk(2, progress=1)": lambda f: f.chunk(2, progress=1),
            "f.bucket(0)": lambda f: f.bucket(0),
            "f.bucket([])": lambda f: f.bucket([]),
            "f.bucket([8, -1])": lambda f: f.bucket([8, -1]),
            "f.bucket(promote=0)": lambda f: f.bucket(promote=0),
            "f.shard(0)": lambda f: f.shard(0),
            "f.shard((0,))": lambda f: f.shard((0,)),
            "f.shard(None)": lambda f: f.shard(None),
            "f.shard((None,))": lambda f: f.shard((None,)),
            "f.shard(('d', 'd'))": lambda f: f.shard(("d", "d")),
            "f.shard('d', mesh=1)": lambda f: f.shard("d", mesh=1),
            "f.shard('e')(x)": lambda f: f.shard("e", mesh=one_device())(jnp.ones((2, 3))),
            "f.shard('d')(x), no mesh set": lambda f: f.shard("d")(jnp.ones((2, 3))),
            "f.shard((None, 'd'))(x)": lambda f: f.shard((None, "d"), mesh=one_device())(
                jnp.ones((2, 3))
            ),
            "f.jit(static_argnames='x')": lambda f: f.jit(static_argnames="x"),
            "f.jit(static_argnames='z')": lambda f: f.jit(static_argnames="z"),
            "f.jit(static_argnames=1)": lambda f: f.jit(static_argnames=1),
            "f.jit(donate_argnames='z')": lambda f: f.jit(donate_argnames="z"),
            "f.batch(-1)": lambda f: f.batch(-1),
            "f.batch(True)": lambda f: f.batch(True),
            "f.batch(2.0)": lambda f: f.batch(2.0),
            "f.outer('z')": lambda f: f.outer("z"),
            "f.outer('y')": lambda f: f.outer("y"),
            "f.outer('x', 'x')": lambda f: f.outer("x", "x"),
            "f.outer(0)": lambda f: f.outer(0),
            "f.outer((0,))": lambda f: f.outer((0,)),
            "f.outer((['x'],))": lambda f: f.outer((["x"],)),
            "f.replace(x=1)": lambda f: f.replace(x=1),
            "f.replace(strict=1)": lambda f: f.replace(strict=1),
            "f.replace(axis_name=['a'])": lambda f: f.replace(axis_name=["a"]),
            "f.lift(3)": lambda f: f.lift(3),
            "f.lift(callable)": lambda f: f.lift(callable),
        },
    ),
]

SIGNATURES = [
    Case(
        12,
        "a malformed signature",
        {
            repr(text): lambda text=text: auto_vmap(text)(plain)
            for text in (
                "(n)",
                "(n->()",
                "(n)->",
                "(n)->(n",
                "(n,)->()",
                "(n),->()",
                "(n)->()->()",
                "(n m)->()",
                "(-1)->()",
                "(0)->()",
                "(n|1)->()",
                "(n?),(n)->()",
                "n,n->n",
                "(1.5)->()",
                "(n)=>()",
                "(99999999999999999999)->()",
            )
        },
    ),
    Case(
        12,
        "a malformed pattern",
        {
            repr(text): lambda text=text: named_vmap(text)(plain)
            for text in (
                "a b",
                "a -> b -> c",
                "a + b -> a",
                "a? -> a",
                "(a -> a",
                "a) -> a",
                "[a) -> a",
                "a[b] -> a",
                "3a -> a",
                "a [b] -> b",
                "a -> a a",
                "a 3 -> a",
                "a a... -> a",
                "(a...)... -> a",
                "3... -> ",
                "[...] [...] -> ",
                "([...]) -> ",
                "a -> b",
                "9999999999999999999 -> ",
            )
        },
    ),
    Case(
        12,
        "what is no pattern, or sizes that are none",
        {
            "named_vmap(3)": lambda: named_vmap(3),
            "named_vmap('a -> a', b=2)": lambda: named_vmap("a -> a", b=2)(plain),
            "named_vmap('a -> a', a=-1)": lambda: named_vmap("a -> a", a=-1)(plain),
            "named_vmap('a -> a', a=True)": lambda: named_vmap("a -> a", a=True)(plain),
            "named_vmap('a... -> a...', a='xy')": lambda: named_vmap("a... -> a...", a="xy")(plain),
        },
    ),
]

CASES = [*RANKS, *CALLABLES, *OPTIONS, *SIGNATURES]
