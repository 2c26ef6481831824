"""What a user writes, with the types that every type checker is to see: it finds nothing wrong.

`tests/packaging/test_checkers.py` runs pyright, mypy and pyrefly over it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, assert_type

from jax import Array

from autovmap import Plan, auto_vmap, like, named_vmap
from autovmap.compat.jax import vmap


class Fit(NamedTuple):
    """A result of two arrays."""

    slope: Array
    shift: Array


@auto_vmap(x=1, y=1)
def fit(x: Array, y: Array, *, steps: int = 10) -> Fit:
    """By rank."""
    return Fit(x * steps, y)


@auto_vmap("(n),(n)->()")
def dot(x: Array, y: Array) -> Array:
    """By signature."""
    return x @ y


@auto_vmap
def annotated(x: Array) -> Array:
    """By annotation."""
    return x


@named_vmap("a [c], b [c] -> a b")
def named(x: Array, y: Array) -> Array:
    """By pattern."""
    return x @ y


def functions(x: Array, y: Array) -> None:
    """A call has the function's own parameters and result."""
    assert_type(fit(x, y), Fit)
    assert_type(fit(x, y=y, steps=3).slope, Array)
    assert_type(dot(x, y), Array)
    assert_type(annotated(x), Array)
    assert_type(named(x, y), Array)
    assert_type(fit.plan(x, y), Plan)
    assert_type(auto_vmap(x=like(x), y=1)(fit.__wrapped__)(x, y), Fit)
    plain: Callable[[Array, Array], Array] = dot
    assert_type(plain(x, y), Array)
    assert_type(vmap(fit.__wrapped__)(x, y), Fit)


def ways_of_running(x: Array, y: Array) -> None:
    """A way of running keeps parameters and result."""
    assert_type(fit.jit()(x, y, steps=3), Fit)
    assert_type(fit.jit(static_argnames="steps")(x, y), Fit)
    assert_type(fit.chunk(2)(x, y, steps=3), Fit)
    assert_type(fit.chunk(memory="2GiB").jit()(x, y), Fit)
    assert_type(fit.bucket()(x, y), Fit)
    assert_type(fit.shard("data")(x, y), Fit)
    assert_type(fit.loop()(x, y), Fit)
    assert_type(fit.batch(10).chunk(2)(x, y), Fit)
    assert_type(fit.outer("x", "y")(x, y), Fit)
    assert_type(fit.replace(strict=True)(x, y), Fit)
    assert_type(fit.chunk(2).tune(x, y), int)
    for _, part in fit.chunk(2).iter(x, y):
        assert_type(part, Fit)


@dataclass(frozen=True)
class Line:
    """A base class with a method that is overridden."""

    slope: float

    @auto_vmap(x=0)
    def at(self, x: Array) -> Array:
        """The value at x."""
        return self.slope * x

    @auto_vmap(x=1)
    @staticmethod
    def norm(x: Array) -> Array:
        """A static method."""
        return x @ x

    @staticmethod
    @auto_vmap(x=1)
    def below(x: Array) -> Array:
        """Decorated below `staticmethod`."""
        return x @ x

    @auto_vmap(x=0)
    @classmethod
    def through(cls, x: Array) -> "tuple[type[Line], Array]":
        """A class method."""
        return cls, x


class Shifted(Line):
    """An override with the same ranks.

    pyright compares the two before they are bound, where `self` differs; mypy and pyrefly after.
    """

    @auto_vmap(x=0)
    def at(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The value at x, shifted."""
        return super().at(x) + 1


@auto_vmap(x=1, y=1).jit()
def compiled(x: Array, y: Array, *, steps: int = 10) -> Fit:
    """Compiled on the decorator."""
    return Fit(x * steps, y)


@auto_vmap(x=1).chunk(100).jit(static_argnames="steps")
def chunked(x: Array, steps: int) -> Array:
    """A chain on the decorator."""
    return x * steps


@named_vmap("a [b] -> a").jit()
def total(x: Array) -> Array:
    """A pattern, compiled."""
    return x.sum()


def same(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A transformation."""
    return function


@auto_vmap(x=1).lift(same)
def lifted(x: Array) -> Array:
    """Of a lifted function no type tells the result."""
    return x


class Compiled:
    """Methods that are compiled on the decorator."""

    @auto_vmap(x=0).jit()
    def at(self, x: Array) -> Array:
        """A method."""
        return x

    @auto_vmap(x=0).chunk(100)
    def chunked(self, x: Array) -> Array:
        """A method in chunks."""
        return x

    @auto_vmap(x=1).jit()
    @staticmethod
    def norm(x: Array) -> Array:
        """A static method."""
        return x @ x

    @staticmethod
    @auto_vmap(x=1).jit()
    def below(x: Array) -> Array:
        """Decorated below `staticmethod`."""
        return x @ x

    @auto_vmap(x=0).jit()
    @classmethod
    def through(cls, x: Array) -> Array:
        """A class method."""
        return x


def on_the_decorator(x: Array, y: Array, compiled_line: Compiled) -> None:
    """Parameters and results stay."""
    assert_type(compiled(x, y, steps=3), Fit)
    assert_type(compiled.chunk(10)(x, y), Fit)
    assert_type(compiled.plan(x, y), Plan)
    assert_type(chunked(x, 3), Array)
    assert_type(total(x), Array)
    value: Array = lifted(x)
    assert_type(auto_vmap(x=1).reduce("sum").loop()(annotated.__wrapped__)(value), Array)
    assert_type(compiled_line.at(x), Array)
    assert_type(Compiled.at(compiled_line, x), Array)
    assert_type(compiled_line.at.plan(x), Plan)
    assert_type(compiled_line.chunked(x), Array)
    assert_type(Compiled.norm(x), Array)
    assert_type(compiled_line.norm(x), Array)
    assert_type(compiled_line.below(x), Array)
    assert_type(Compiled.through(x), Array)
    assert_type(compiled_line.through.plan(x), Plan)


def methods(line: Line, x: Array) -> None:
    """A bound method has no `self`."""
    assert_type(line.at(x), Array)
    assert_type(line.at.plan(x), Plan)
    assert_type(line.at.jit()(x), Array)
    assert_type(line.at.chunk(2)(x), Array)
    assert_type(line.at.loop()(x), Array)
    assert_type(Shifted(2.0).at(x), Array)
    assert_type(Line.norm(x), Array)
    assert_type(line.norm(x), Array)
    assert_type(line.norm.jit()(x), Array)
    assert_type(Line.below(x), Array)
    assert_type(line.below.chunk(2)(x), Array)
    assert_type(Line.at(line, x), Array)
    assert_type(Line.through(x), tuple[type[Line], Array])
    assert_type(line.through.plan(x), Plan)
    assert_type(Shifted.through(x), tuple[type[Line], Array])
    bound: Callable[[Array], Array] = line.at
    assert_type(bound(x), Array)
