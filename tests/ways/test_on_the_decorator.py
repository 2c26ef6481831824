"""What callers ask, said on the decorator already."""

import pickle
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import AutoVmapped, BoundJitted, Jitted, SpecError, auto_vmap, named_vmap
from autovmap._function.decorator import Decorator, JitDecorator

x = np.arange(15.0, dtype=np.float32).reshape(5, 3)
TRACES: list[str] = []


def equal(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-6)


@auto_vmap(x=1).jit()
def total(x):
    """The sum of a vector."""
    TRACES.append("total")
    return x.sum()


@auto_vmap(x=1).chunk(2)
def chunked(x):
    return x.sum()


CHAINS = {
    "jit": lambda make: make.jit(),
    "chunk": lambda make: make.chunk(2),
    "chunk jit": lambda make: make.chunk(2).jit(),
    "jit chunk": lambda make: make.jit().chunk(2),
    "bucket": lambda make: make.bucket(),
    "loop": lambda make: make.loop(),
    "batch": lambda make: make.batch(2),
    "outer": lambda make: make.outer("x"),
    "replace": lambda make: make.replace(out_axes=-1),
    "lift": lambda make: make.lift(jax.grad),
    "lift jit": lambda make: make.lift(jax.grad).jit(),
    "jit lift": lambda make: make.jit().lift(jax.grad),
    "reduce": lambda make: make.reduce("sum"),
    "shard": lambda make: make.shard("d", mesh=jax.sharding.Mesh(jax.devices()[:1], ("d",))),
}


@pytest.mark.parametrize("way", CHAINS)
def test_the_same_as_on_the_decorated_function(way: str) -> None:
    def square(x):
        return x @ x

    said, asked = CHAINS[way](auto_vmap(x=1))(square), CHAINS[way](auto_vmap(x=1)(square))
    assert repr(said) == repr(asked)
    assert type(said).__mro__[1:] == type(asked).__mro__[1:]
    equal(said(x), asked(x))


def test_it_is_compiled_once_and_keeps_its_name() -> None:
    TRACES.clear()
    for _ in range(3):
        equal(total(x), x.sum(1))
    assert TRACES == ["total"]
    assert isinstance(total, Jitted)
    assert total.__name__ == "total"
    assert total.__doc__.startswith("The sum of a vector.")
    assert total.static_argnames == ()
    assert pickle.loads(pickle.dumps(total)) is total
    assert pickle.loads(pickle.dumps(chunked)) is chunked
    equal(total.chunk(2)(x), x.sum(1))


def test_options_of_jit() -> None:
    @auto_vmap(x=1).jit(static_argnames="mode")
    def reduced(x, mode):
        return getattr(x, mode)()

    assert reduced.static_argnames == ("mode",)
    equal(reduced(x, "max"), x.max(1))
    again = (
        auto_vmap(x=1).jit(static_argnames="mode").chunk(2).jit()(reduced.__wrapped__.__wrapped__)
    )
    assert again.static_argnames == ("mode",)
    equal(again(x, mode="max"), x.max(1))


class Line(NamedTuple):
    slope: Any

    @auto_vmap(x=0).jit()
    def at(self, x):
        TRACES.append("at")
        return self.slope * x

    @auto_vmap(x=0).lift(jax.grad)
    def steepness(self, x):
        return self.slope * x**2

    @auto_vmap(x=0).lift(jax.grad).jit()
    def compiled_steepness(self, x):
        return self.slope * x**2

    @auto_vmap(x=0).chunk(2)
    def in_chunks(self, x):
        return self.slope * x

    @auto_vmap(x=1).jit()
    @staticmethod
    def static_below(x):
        return x.sum()

    @staticmethod
    @auto_vmap(x=1).jit()
    def static_above(x):
        return x.sum()

    @auto_vmap(x=1).chunk(2)
    @staticmethod
    def static_chunked(x):
        return x.sum()

    @auto_vmap(x=1).jit()
    @classmethod
    def class_below(cls, x):
        return x.sum() * len(cls._fields)

    @classmethod
    @auto_vmap(x=1).jit()
    def class_above(cls, x):
        return x.sum() * len(cls._fields)

    @auto_vmap(x=1).chunk(2)
    @classmethod
    def class_chunked(cls, x):
        return x.sum() * len(cls._fields)


def test_methods() -> None:
    TRACES.clear()
    for slope in (1.0, 2.0, 3.0):
        equal(Line(slope).at(x), slope * x)
    assert TRACES == ["at"]
    assert isinstance(Line(1.0).at, BoundJitted)
    equal(Line(2.0).steepness(x), 4 * x)
    equal(Line(2.0).compiled_steepness(x), 4 * x)
    equal(Line(2.0).in_chunks(x), 2 * x)
    assert Line(2.0).at.plan(x).batch_shape == (5, 3)


@pytest.mark.parametrize(
    "name", [name for name in vars(Line) if name.startswith(("static", "class"))]
)
def test_static_methods_and_class_methods(name: str) -> None:
    for owner in (Line, Line(2.0)):
        method = getattr(owner, name)
        equal(method(x), x.sum(1))
    if name.endswith(("below", "chunked")):
        assert getattr(Line, name).plan(x).batch_shape == (5,)


def test_a_method_whose_object_has_another_name() -> None:
    @dataclass(frozen=True)
    class Scale:
        factor: float

        @auto_vmap(0).jit()
        def of(this, x):
            return this.factor * x

    equal(Scale(2.0).of(x), 2 * x)
    assert Scale.of.ranks == {"x": 0}


def test_lift_on_a_method_whose_object_has_another_name_is_refused() -> None:
    def declare() -> None:
        @dataclass(frozen=True)
        class Scale:
            factor: float

            @auto_vmap(0).lift(jax.grad)
            def of(this, x):
                return this.factor * x

    with pytest.raises((SpecError, RuntimeError)) as caught:
        declare()
    error = caught.value.__cause__ or caught.value
    assert "takes the first parameter of a method to be its object" in str(error)


def test_a_callable_module() -> None:
    @jax.tree_util.register_pytree_node_class
    class Scale:
        def __init__(self, factor: Any) -> None:
            self.factor = factor

        def __call__(self, x):
            return self.factor * x

        def tree_flatten(self):
            return (self.factor,), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    equal(auto_vmap(x=0).jit()(Scale(2.0))(x), 2 * x)
    equal(auto_vmap(x=0).chunk(2)(Scale(2.0))(x), 2 * x)


def test_under_a_pattern() -> None:
    summed = named_vmap("a [b] -> a").jit()(jnp.sum)
    assert isinstance(summed, Jitted)
    equal(summed(x), x.sum(1))
    equal(named_vmap("a [b] -> a").loop()(jnp.sum)(x), x.sum(1))
    with pytest.raises(SpecError, match="the pattern names every batch axis"):
        named_vmap("a [b] -> a").chunk(2)(jnp.sum)


def test_annotations() -> None:
    @auto_vmap().jit()
    def norm(x: np.ndarray[tuple[int], np.dtype[np.float32]]):
        return jnp.sqrt(x @ x)

    equal(norm(x), np.linalg.norm(x, axis=1))


def test_a_decorator_serves_many_functions_and_is_not_changed() -> None:
    base = auto_vmap(x=1)
    compiled = base.jit()
    assert isinstance(base, Decorator)
    assert isinstance(compiled, JitDecorator)
    assert isinstance(base(lambda x: x.sum()), AutoVmapped)
    equal(compiled(lambda x: x.sum())(x), x.sum(1))
    equal(compiled(lambda x: x.max())(x), x.max(1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: auto_vmap(x=1).chunk(0), r"total\(?.*chunk\(\): got 0"),
        (lambda: auto_vmap(x=1).loop().jit(), r"loop\(\).jit\(\)"),
        (lambda: auto_vmap(x=1).jit(static_argnames="y"), "static_argnames has 'y'"),
        (lambda: auto_vmap(x=1).outer("y"), "is not a ranked parameter"),
        (lambda: auto_vmap(x=1).lift(1), "give a transformation of functions"),
    ],
)
def test_what_makes_no_sense_is_refused_when_decorating(make: Any, message: str) -> None:
    def total(x):
        return x.sum()

    with pytest.raises(SpecError, match=message):
        make()(total)


def test_a_method_called_as_something_else_is_explained() -> None:
    with pytest.raises(SpecError, match=r"auto_vmap\(\.\.\.\)\.jit\(\)"):
        auto_vmap(x=1).jit(static_argnums=0)
