"""Declarations of every kind that are found again, shown by their traces; and those not."""

import gc
import types
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap, like, named_vmap

Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
x = np.arange(15.0, dtype=np.float32).reshape(5, 3)
TRACES: list[str] = []


class Params(NamedTuple):
    w: Any
    b: Any


class Flow(NamedTuple):
    shift: Any

    @property
    def ndim(self) -> int:
        return 1

    def one(self, x):
        TRACES.append("one")
        return (x + self.shift).sum()

    def annotated(self, x: Vector):
        TRACES.append("annotated")
        return (x + self.shift).sum()

    def in_text(self, x: "Vector"):
        TRACES.append("in text")
        return (x + self.shift).sum()

    def in_inner_text(self, x: Optional["np.ndarray[tuple[int], Any]"]):
        TRACES.append("in inner text")
        return (x + self.shift).sum()

    @staticmethod
    def alone(x: "Vector"):
        TRACES.append("alone")
        return (x + 3).sum()

    def apply(self, params, x):
        TRACES.append("apply")
        return (params.w * x).sum() + params.b

    def keyed(self, params, x):
        TRACES.append("keyed")
        return (params["w"] * x).sum()


KINDS: dict[str, tuple[Callable[[Flow], Any], Callable[[Flow], Any]]] = {
    "by position": (lambda o: auto_vmap(1)(o.one), lambda o: ()),
    "by name": (lambda o: auto_vmap(x=1, out_axes=0)(o.one), lambda o: ()),
    "a core shape": (lambda o: auto_vmap(x="(3)")(o.one), lambda o: ()),
    "a signature": (lambda o: auto_vmap("(n)->()")(o.one), lambda o: ()),
    "annotations": (lambda o: auto_vmap(o.annotated), lambda o: ()),
    "annotations, and a rank": (lambda o: auto_vmap(..., x=1)(o.annotated), lambda o: ()),
    "annotations in text": (lambda o: auto_vmap(o.in_text), lambda o: ()),
    "a static method": (lambda o: auto_vmap(o.alone), lambda o: ()),
    "text in annotations": (lambda o: auto_vmap(o.in_inner_text), lambda o: ()),
    "from self": (lambda o: auto_vmap(x=lambda self: self.ndim)(o.one), lambda o: ()),
    "named": (lambda o: named_vmap("a [b] -> a")(o.one), lambda o: ()),
    "like": (
        lambda o: auto_vmap(params=like(Params(jnp.ones(3), 0.0)), x=1)(o.apply),
        lambda o: (Params(jnp.ones((5, 3)), jnp.ones(5)),),
    ),
    "like a dict": (
        lambda o: auto_vmap(params=like({"w": jnp.ones(3)}), x=1)(o.keyed),
        lambda o: ({"w": jnp.ones((5, 3))},),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_trace_serves_every_declaration(kind: str) -> None:
    declare, before = KINDS[kind]
    found = []
    TRACES.clear()
    for shift in range(4):
        flow = Flow(jnp.float32(shift))
        found.append(np.asarray(declare(flow).jit()(*before(flow), x)))
        assert found[-1].shape == (5,)
    assert len(TRACES) <= 1
    if not before(flow):
        np.testing.assert_allclose(found[3], (x + 3).sum(1))


def total(x: Vector):
    return x.sum()


def test_a_declaration_of_each_kind_is_the_same_object() -> None:
    assert auto_vmap(total) is auto_vmap(total)
    assert auto_vmap(...)(total) is auto_vmap(...)(total)
    assert auto_vmap(...)(total) is not auto_vmap(1)(total)
    assert auto_vmap(like(x[0]))(total) is auto_vmap(like(x[1]))(total)
    assert auto_vmap(like(x[0]))(total) is not auto_vmap(like(x))(total)
    assert named_vmap("a [b] -> a")(total) is named_vmap("a [b] -> a")(total)


def test_other_patterns_sizes_and_options_are_others() -> None:
    one = named_vmap("(a b) -> a b", a=2)(total)
    assert named_vmap("(a b) -> a b", a=2)(total) is one
    with pytest.raises(SpecError, match="a=True is not a size"):
        named_vmap("(a b) -> a b", a=True)(total)
    assert named_vmap("(a b) -> a b", a=3)(total) is not one
    assert named_vmap("(a b) -> a b", a=2, randomness="same")(total) is not one
    assert named_vmap("(c b) -> c b", c=2)(total) is not one
    assert auto_vmap(1)(total) is not one


def test_what_annotations_say_as_text_is_read_anew() -> None:
    def norm(x: "Text"):  # noqa: F821
        return jnp.sqrt((x * x).sum())

    scope: dict[str, Any] = {"jnp": jnp, "Text": Vector}
    function = type(norm)(norm.__code__, scope)
    function.__annotations__ = {"x": "Text"}
    assert auto_vmap(function).ranks == {"x": 1}
    scope["Text"] = Matrix
    assert auto_vmap(function).ranks == {"x": 2}


def in_text(said: str, scope: dict[str, Any]) -> Any:
    """A function of a module of its own, annotated by text."""

    def norm(x):
        return jnp.sqrt((x * x).sum())

    function = type(norm)(norm.__code__, scope | {"jnp": jnp}, "norm")
    function.__qualname__ = "norm"
    function.__annotations__ = {"x": said}
    return function


def test_text_is_read_anew_where_an_attribute_is_bound_anew() -> None:
    kinds = types.ModuleType("kinds")
    kinds.V = Vector
    function = in_text("kinds.V", {"kinds": kinds})
    before = auto_vmap(function)
    assert before.ranks == {"x": 1}
    assert auto_vmap(function) is before
    kinds.V = Matrix
    assert auto_vmap(function).ranks == {"x": 2}


def test_a_text_that_names_nothing_yet_is_read_once_it_does() -> None:
    function = in_text("Later", {})
    with pytest.raises(SpecError, match="Later"):
        _ = auto_vmap(function).ranks
    function.__globals__["Later"] = Vector
    assert auto_vmap(function).ranks == {"x": 1}
    assert auto_vmap(function) is auto_vmap(function)


def test_an_array_that_is_called_like_a_dim_says_nothing_and_is_not_kept() -> None:
    jaxtyping = pytest.importorskip("jaxtyping")
    scope = {"Float": jaxtyping.Float, "Array": jax.Array, "n": jnp.ones(3)}
    function = in_text("Float[Array, 'n m']", scope)
    before = auto_vmap(function)
    assert before.ranks == {"x": 2}
    del scope
    held = weakref.ref(function.__globals__["n"])
    function.__globals__["n"] = jnp.ones(4)
    assert auto_vmap(function) is before
    gc.collect()
    assert held() is None


def test_annotations_that_are_replaced_are_read_anew() -> None:
    def norm(x):
        return jnp.sqrt((x * x).sum())

    norm.__annotations__ = {"x": Vector}
    before = auto_vmap(norm)
    assert before.ranks == {"x": 1}
    norm.__annotations__ = {"x": Matrix}
    assert auto_vmap(norm).ranks == {"x": 2}


class Asked(NamedTuple):
    shift: Any

    def one(self, x):
        return (x + self.shift).sum()


def test_a_rank_that_closes_over_something_is_asked_anew() -> None:
    for rank in (1, 2):
        found = auto_vmap(x=lambda self: rank)(Asked(1.0).one)(x)  # noqa: B023
        assert found.shape == x.shape[:-rank]
    for rank in (1, 2):
        found = auto_vmap(x=lambda self, rank=rank: rank)(Asked(1.0).one)(x)
        assert found.shape == x.shape[:-rank]
