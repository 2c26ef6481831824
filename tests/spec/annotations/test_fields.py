"""Dataclasses, NamedTuples, modules and typed dicts are ranked by their fields' annotations."""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import struct
from jaxtyping import Array, Float, PyTree

from autovmap import CoreSizeError, SpecError, auto_vmap, infer_ranks

pytestmark = [pytest.mark.python, pytest.mark.own]

T = TypeVar("T")


class Pair(NamedTuple):
    mean: Float[Array, "n"]
    cov: "Float[Array, 'n n'] | None" = None


class Linear(eqx.Module):
    weight: Float[Array, "o i"]
    bias: Float[Array, "o"]
    activation: Callable[[Any], Any] = eqx.field(static=True, default=jnp.tanh)
    size: int = 3

    @auto_vmap
    def __call__(self, x: Float[Array, "i"]) -> Float[Array, "o"]:
        return self.activation(self.weight @ x + self.bias)


class Stack(eqx.Module):
    layers: list[Linear]
    scale: Float[Array, ""]


class Node(eqx.Module):
    value: Float[Array, ""]
    next: "Node | None" = None


class Open(eqx.Module):
    inner: PyTree
    known: Float[Array, "n"]


class Generically(eqx.Module, Generic[T]):
    item: T
    count: Float[Array, ""]


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    position: Float[Array, "3"]
    name: str = dataclasses.field(default="", metadata={"static": True})


@struct.dataclass
class Flax:
    x: Float[Array, "n"]
    how: str = struct.field(pytree_node=False, default="a")


class Options(TypedDict):
    a: Float[Array, "n"]
    b: Float[Array, ""]


def linear(*batch: int) -> Linear:
    return Linear(jnp.ones((*batch, 3, 2)), jnp.ones((*batch, 3)))


@pytest.mark.parametrize(
    ("annotation", "rank"),
    [
        (Pair, {"mean": 1, "cov": 2}),
        (Pair | None, {"mean": 1, "cov": 2}),
        (Linear, {"weight": 2, "bias": 1, "size": None}),
        (Stack, {"layers": [{"weight": 2, "bias": 1, "size": None}, ...], "scale": 0}),
        (Node, {"value": 0, "next": None}),
        (Generically[Float[Array, "n"]], {"item": 1, "count": 0}),
        (State, {"position": 1}),
        (Flax, {"x": 1}),
        (Options, {"a": 1, "b": 0}),
        (dict[str, Pair], [{"mean": 1, "cov": 2}, ...]),
        (tuple[Pair, Float[Array, ""]], ({"mean": 1, "cov": 2}, 0)),
    ],
    ids=str,
)
def test_ranks(annotation, rank):
    def f(x):
        return x

    f.__annotations__ = {"x": annotation}
    assert infer_ranks(f) == {"x": rank}
    assert auto_vmap(x=rank)(f).ranks == {"x": rank}


def test_a_batch_of_values():
    @auto_vmap
    def f(pair: Pair, state: State, flax: Flax, options: Options) -> Float[Array, ""]:
        cov = 0 if pair.cov is None else pair.cov.sum()
        return pair.mean.sum() + cov + state.position.sum() + flax.x.sum() + options["b"]

    state, flax = State(jnp.ones((5, 3)), "s"), Flax(jnp.ones(2))
    options: Options = {"a": jnp.ones(2), "b": jnp.ones((4, 1))}
    assert f(Pair(jnp.ones((5, 2))), state, flax, options).shape == (4, 5)
    assert f(Pair(jnp.ones((5, 2)), jnp.ones((2, 2))), state, flax, options).shape == (4, 5)


def test_modules_lists_and_methods():
    @auto_vmap
    def f(stack: Stack, x: Float[Array, "i"]) -> Float[Array, ""]:
        return stack.scale * sum(layer(x).sum() for layer in stack.layers)

    stack = Stack([linear(4, 1), linear(), linear(5)], jnp.ones(5))
    assert f(stack, jnp.ones((5, 2))).shape == (4, 5)
    assert f(Stack([], jnp.ones(())), jnp.ones((5, 2))).shape == (5,)
    assert linear()(jnp.ones((7, 2))).shape == (7, 3)
    assert linear().__call__.ranks == {"x": 1}
    assert Linear.__call__.ranks == {"x": 1}


def test_generic_and_recursive():
    @auto_vmap
    def f(box: Generically[Float[Array, "n"]], node: Node) -> Float[Array, ""]:
        return box.item.sum() * box.count + node.value

    box = Generically(jnp.ones((5, 3)), jnp.ones(()))
    assert f(box, Node(jnp.ones((4, 1)))).shape == (4, 5)
    deep = Node(jnp.ones(5), Node(jnp.ones(())))
    assert f(box, deep).shape == (5,)
    with pytest.raises(SpecError, match=r"node.next.value is float32\[5\], but node is annotated"):
        f(box, Node(jnp.ones(5), Node(jnp.ones(5))))


def test_names_of_dims_belong_to_the_object():
    @auto_vmap
    def f(a: Pair, b: Pair, n: Float[Array, "n"]):
        return a.mean.sum() + b.mean.sum() + n.sum()

    assert f(Pair(jnp.ones((5, 2))), Pair(jnp.ones(3)), jnp.ones(4)).shape == (5,)
    with pytest.raises(CoreSizeError, match=r"'a.n': 2 in a.mean and 3 in a.cov"):
        f(Pair(jnp.ones(2), jnp.ones((3, 3))), Pair(jnp.ones(3)), jnp.ones(4))


def test_an_array_where_the_field_says_nothing():
    @auto_vmap
    def f(x: Open) -> Float[Array, ""]:
        return x.known.sum()

    assert f(Open({"a": 1, "b": "word"}, jnp.ones((5, 3)))).shape == (5,)
    with pytest.raises(SpecError, match=r"x.inner\['a'\] is float32\[2\], but x is annotated") as e:
        f(Open({"a": jnp.ones(2)}, jnp.ones((5, 3))))
    assert "@auto_vmap(..., x={...})" in str(e.value)


def test_a_field_that_leaves_the_rank_open_is_named():
    class Bad(eqx.Module):
        inner: "Worse"

    class Worse(eqx.Module):
        w: Array

    Bad.__annotations__["inner"] = Worse

    @auto_vmap
    def f(x: Bad):
        return x

    with pytest.raises(SpecError, match=r"f\(\): x.inner.w is annotated as Array"):
        f(None)
    given = auto_vmap(..., x={"inner": {"w": 1}})(f.__wrapped__)
    assert given.ranks == {"x": {"inner": {"w": 1}}}


def test_the_values_of_keyword_arguments_have_no_fields():
    @auto_vmap
    def f(x: Float[Array, "n"], **kwargs: Pair):
        return x

    with pytest.raises(SpecError, match=r"(?s)every value of \*\*kwargs .* base ranks of a class"):
        f(jnp.ones(3))
