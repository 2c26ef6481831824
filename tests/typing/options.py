"""What a type checker makes of ranks and options: every way to say a rank keeps the types."""

from typing import NamedTuple, assert_type

from jax import Array

from autovmap import auto_vmap, like


class Layer(NamedTuple):
    w: Array
    b: Array


def apply(layer: Layer, x: Array) -> Array:
    return layer.w @ x + layer.b


@auto_vmap(key="key", x=1, in_axes=0, out_axes=-1, axis_name=("i", "j"), randomness="different")
def noisy(key: Array, x: Array) -> Array:
    return x + key


@auto_vmap(x=1, out_axes=(0, None), strict=True, stretch_outputs=False)
def both(x: Array) -> tuple[Array, float]:
    return x, 1.0


def ranks(layer: Layer, x: Array) -> None:
    assert_type(auto_vmap(layer={"w": 2, "b": 1}, x=1)(apply)(layer, x), Array)
    assert_type(auto_vmap(layer=like(layer), x=1)(apply)(layer, x), Array)
    assert_type(auto_vmap({"w": 2, "b": 1}, 1)(apply)(layer, x), Array)
    assert_type(auto_vmap(None, 1)(apply)(layer, x), Array)
    assert_type(auto_vmap(ranks={"layer": {"w": 2, "b": 1}, "x": 1})(apply)(layer, x), Array)


def options(x: Array) -> None:
    assert_type(noisy(x, x), Array)
    assert_type(both(x), tuple[Array, float])
    auto_vmap(x=1, randomness="sometimes")(apply)  # pyright: ignore[reportArgumentType]
    auto_vmap(x=1, strict="yes")(apply)  # pyright: ignore[reportArgumentType]
