"""A bare decorator, one with options alone and one after an ellipsis keep a function's types."""

from typing import assert_type

from jax import Array

from autovmap import AutoVmapped, auto_vmap, infer_ranks


@auto_vmap
def bare(x: Array, power: int = 1) -> Array:
    return x**power


@auto_vmap(out_axes=-1)
def with_options(x: Array) -> tuple[Array, Array]:
    return x, x


@auto_vmap(..., x=1)
def overridden(x: Array) -> Array:
    return x


class Model:
    @auto_vmap
    def method(self, x: Array) -> Array:
        return x

    @auto_vmap
    @staticmethod
    def static(x: Array) -> Array:
        return x

    @auto_vmap
    @classmethod
    def of_class(cls, x: Array) -> Array:
        return x


def check(x: Array) -> None:
    assert_type(bare(x, power=2), Array)
    assert_type(with_options(x), tuple[Array, Array])
    assert_type(overridden(x), Array)
    assert_type(Model().method(x), Array)
    assert_type(Model.static(x), Array)
    assert_type(Model.of_class(x), Array)
    plain: AutoVmapped[[Array], tuple[Array, Array]] = with_options
    assert_type(plain(x), tuple[Array, Array])
    infer_ranks(bare)
    bare(x, power="2")  # pyright: ignore[reportArgumentType]
    Model().method()  # pyright: ignore[reportCallIssue]
