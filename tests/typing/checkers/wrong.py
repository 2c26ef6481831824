"""Mistakes that every type checker is to find: on each line marked as wrong, and on no other.

`tests/packaging/test_checkers.py` runs pyright, mypy and pyrefly over it.
"""

from jax import Array
from right import Compiled, Line, chunked, compiled, dot, fit, named

from autovmap import AutoVmapped, auto_vmap


def functions(x: Array, y: Array) -> None:
    """Calls that do not fit the function."""
    fit(x)  # wrong: y is missing
    fit(x, y, 3)  # wrong: steps is keyword-only
    fit(x, y, steps="3")  # wrong: steps is an int
    fit(x, z=y)  # wrong: there is no z
    dot(x, "y")  # wrong: y is an array
    named(x)  # wrong: y is missing
    fit.plan(x)  # wrong: a plan takes the same arguments
    missing = fit(x, y).intercept  # wrong: a Fit has no such field
    text: str = dot(x, y)  # wrong: an array
    other: AutoVmapped[[Array], Array] = dot  # wrong: dot takes two
    del text, other, missing


def ways_of_running(x: Array, y: Array) -> None:
    """Ways of running keep the parameters."""
    fit.jit()(x)  # wrong: y is missing
    fit.jit(static="steps")  # wrong: it is static_argnames
    fit.chunk(2)(x, y, steps="3")  # wrong: steps is an int
    fit.chunk("2")  # wrong: a number, or "auto"
    fit.bucket()(x)  # wrong: y is missing
    fit.loop()(x, y, 3)  # wrong: steps is keyword-only
    fit.sharded("data")  # wrong: it is shard
    auto_vmap(x=1, randomness="sometimes")  # wrong: no such choice
    auto_vmap(x=1, strict="yes")  # wrong: a bool


def on_the_decorator(line: Compiled, x: Array, y: Array) -> None:
    """What is said on the decorator keeps the parameters."""
    compiled(x)  # wrong: y is missing
    compiled(x, y, steps="3")  # wrong: steps is an int
    chunked(x, "3")  # wrong: steps is an int
    auto_vmap(x=1).jit(static="steps")  # wrong: it is static_argnames
    auto_vmap(x=1).chunk("2")  # wrong: a number, or "auto"
    auto_vmap(x=1).jitted()  # wrong: it is jit
    line.at()  # wrong: x is missing
    line.at(x, x)  # wrong: too many
    line.chunked()  # wrong: x is missing
    Compiled.norm()  # wrong: x is missing
    Compiled.through(x, x)  # wrong: too many


def methods(line: Line, x: Array) -> None:
    """A bound method has no `self`."""
    line.at()  # wrong: x is missing
    line.at(x, x)  # wrong: too many
    Line.at(x)  # wrong: self is missing
    line.at.jit()(x, x)  # wrong: too many
    line.at.chunk(2)()  # wrong: x is missing
    Line.norm(x, x)  # wrong: too many
    line.norm()  # wrong: x is missing
    Line.through()  # wrong: x is missing


class Renamed(Line):
    """An override that takes another argument."""

    @auto_vmap(x=0)
    def at(self, x: Array, shift: Array) -> Array:  # wrong: the base class's takes one
        """The value at x."""
        return x + shift
