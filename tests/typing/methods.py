"""What a type checker makes of decorated methods: the bound form has no `self`."""

from typing import assert_type

from jax import Array

from autovmap import AutoVmapped, BoundAutoVmapped, Plan, auto_vmap


class Line:
    slope: float = 2.0

    @auto_vmap(x=0)
    def at(self, x: Array, shift: float = 0.0) -> Array:
        return self.slope * x + shift

    @auto_vmap(x=0)
    @classmethod
    def above_class(cls, x: Array) -> Array:
        return cls.slope * x

    @classmethod
    @auto_vmap(x=0)
    def below_class(cls, x: Array) -> Array:
        return cls.slope * x

    @auto_vmap(x=0)
    @staticmethod
    def above_static(x: Array) -> Array:
        return x

    @staticmethod
    @auto_vmap(x=0)
    def below_static(x: Array) -> Array:
        return x


def takes_bound(bound: BoundAutoVmapped[[Array], Array]) -> None: ...


def takes_decorated(decorated: AutoVmapped[[Array], Array]) -> None: ...


def a_method(line: Line, x: Array) -> None:
    assert_type(line.at(x), Array)
    assert_type(line.at(x, shift=1.0), Array)
    assert_type(line.at.plan(x), Plan)
    assert_type(Line.at(line, x), Array)
    takes_bound(line.at)
    takes_bound(Line.at)  # pyright: ignore[reportArgumentType]
    line.at()  # pyright: ignore[reportCallIssue]
    line.at(x, 1.0, 2.0)  # pyright: ignore[reportCallIssue]
    line.at("x")  # pyright: ignore[reportArgumentType]
    Line.at(x)  # pyright: ignore[reportCallIssue]


def above_and_below_classmethod(line: Line, x: Array) -> None:
    assert_type(Line.above_class(x), Array)
    assert_type(line.above_class(x), Array)
    assert_type(Line.above_class.plan(x), Plan)
    assert_type(Line.below_class(x), Array)
    assert_type(line.below_class(x), Array)
    takes_bound(Line.above_class)
    Line.above_class()  # pyright: ignore[reportCallIssue]
    Line.above_class("x")  # pyright: ignore[reportArgumentType]
    Line.below_class()  # pyright: ignore[reportCallIssue]
    Line.below_class("x")  # pyright: ignore[reportArgumentType]


def above_and_below_staticmethod(line: Line, x: Array) -> None:
    assert_type(Line.above_static(x), Array)
    assert_type(line.above_static(x), Array)
    assert_type(Line.above_static.plan(x), Plan)
    assert_type(Line.below_static(x), Array)
    assert_type(line.below_static(x), Array)
    takes_decorated(Line.above_static)
    takes_decorated(line.above_static)
    Line.above_static(x, x)  # pyright: ignore[reportCallIssue]
    line.above_static("x")  # pyright: ignore[reportArgumentType]
    Line.below_static(x, x)  # pyright: ignore[reportCallIssue]
    line.below_static("x")  # pyright: ignore[reportArgumentType]
