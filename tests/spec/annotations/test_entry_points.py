"""Bare, with options alone, and after a leading `...`; functions, methods and modules."""

import functools
import pickle
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, PRNGKeyArray

from autovmap import SpecError, auto_vmap, infer_ranks, named_vmap

pytestmark = [pytest.mark.python, pytest.mark.own]

Vector = Float[Array, "n"]
Scalar = Float[Array, ""]


def line(x: Vector, slope: Scalar, offset: Scalar = 0.0, power: int = 1) -> Vector:
    return slope * x**power + offset


@auto_vmap
def pickled(x: Vector) -> Scalar:
    return x.sum()


def test_bare():
    f = auto_vmap(line)
    assert f.ranks == {"x": 1, "slope": 0, "offset": 0}
    assert f.signature == "(n),(),()->..."
    assert f(jnp.ones((5, 3)), jnp.ones((4, 1))).shape == (4, 5, 3)
    assert f(jnp.ones(3), 2.0, power=2).shape == (3,)
    assert f.plan(jnp.ones((5, 3)), jnp.ones((4, 1))).batch_shape == (4, 5)
    assert "line" in repr(f)


def test_options_alone():
    f = auto_vmap(out_axes=-1)(line)
    assert f.ranks == {"x": 1, "slope": 0, "offset": 0}
    assert f(jnp.ones((5, 3)), 1.0).shape == (3, 5)
    assert auto_vmap()(line).ranks == f.ranks
    assert auto_vmap(ranks={}, out_axes=-1)(line).ranks == f.ranks


def test_a_leading_ellipsis():
    f = auto_vmap(..., offset=1, power=0)(line)
    assert f.ranks == {"x": 1, "slope": 0, "offset": 1, "power": 0}
    assert f(jnp.ones(3), 1.0, jnp.ones((5, 3)), jnp.arange(5)).shape == (5, 3)
    assert auto_vmap(..., ranks={"slope": None})(line).ranks == {"x": 1, "offset": 0}
    assert auto_vmap(..., 2, None)(line).ranks == {"x": 2, "offset": 0}
    assert auto_vmap(..., out_axes=-1)(line)(jnp.ones((5, 3)), 1.0).shape == (3, 5)
    assert repr(f) == "<auto_vmap(..., offset=1, power=0) of line>"


def test_given_ranks_leave_the_others_unmapped():
    """Without the ellipsis annotations are not read."""
    f = auto_vmap(x=1)(line)
    assert f.ranks == {"x": 1}
    assert auto_vmap(None)(line).ranks == {}


def test_what_is_wrong_beside_annotations_is_found_when_decorating():
    for decorate, what in (
        (lambda: auto_vmap(..., z=1)(line), "has no parameter 'z'"),
        (lambda: auto_vmap(..., x=-1)(line), "non-negative int"),
        (lambda: auto_vmap(out_axes="a")(line), "a position is an int"),
        (lambda: auto_vmap(randomness="odd")(line), "randomness is 'odd'"),
        (lambda: auto_vmap(..., 0, 0, 0, 0, 0)(line), "5 ranks by position for 4"),
        (lambda: auto_vmap(..., in_axes={"z": 0})(line), "has no parameter 'z'"),
        (lambda: auto_vmap(0, ...)(line), "got Ellipsis of type ellipsis"),
    ):
        with pytest.raises(SpecError, match=what):
            decorate()


@pytest.mark.parametrize(
    "decorate", [auto_vmap, auto_vmap(), auto_vmap(...), auto_vmap(strict=True)]
)
def test_nothing_annotated(decorate):
    def f(x, y=0):
        return x

    with pytest.raises(
        SpecError, match=r"(?s)on f\(\): none .* is annotated.*@auto_vmap\(x=0, y=0\)"
    ):
        decorate(f)


def test_without_parameters_there_is_nothing_to_annotate():
    assert auto_vmap(lambda: jnp.ones(3)).batch(5)().shape == (5, 3)


def test_the_rest_of_the_interface():
    f = auto_vmap(line)
    x, slope = jnp.ones((5, 3)), jnp.ones(4)
    assert f.outer("x", "slope")(x, slope).shape == (5, 4, 3)
    assert f.outer()(x, slope, jnp.ones(2)).shape == (5, 4, 2, 3)
    assert f.replace(out_axes=-1)(x, 1.0).shape == (3, 5)
    assert f.loop()(x, 1.0).shape == (5, 3)
    assert f.batch(2)(x, 1.0).shape == (2, 5, 3)
    grad = auto_vmap(scaled_sum).lift(jax.grad)
    assert grad(x, jnp.ones((4, 1))).shape == (4, 5, 3)
    with pytest.raises(SpecError, match=r"outer\(\): 'power' is not a ranked parameter"):
        f.outer("power")(x, 1.0)
    with pytest.raises(SpecError, match=r"outer\(\): 'z' is not a ranked parameter"):
        f.outer("z")


def scaled_sum(x: Vector, slope: Scalar) -> Scalar:
    return (slope * x).sum()


def test_keys():
    @auto_vmap(randomness="different")
    def draw(key: PRNGKeyArray, scale: Scalar) -> Vector:
        return scale * jax.random.normal(key, (3,))

    drawn = draw(jax.random.key(0), jnp.ones(5))
    assert drawn.shape == (5, 3)
    assert np.unique(np.asarray(drawn)).size == 15
    assert draw.batch(7)(jax.random.PRNGKey(0), 1.0).shape == (7, 3)


def test_variadic_keyword_only_and_positional_only():
    @auto_vmap
    def f(a: Scalar, /, *rest: Vector, k: Scalar = 1.0, **extra: Vector) -> Scalar:
        return a + k + sum(r.sum() for r in rest) + sum(e.sum() for e in extra.values())

    assert f.ranks == {"a": 0, "rest": 1, "k": 0, "extra": 1}
    assert f(jnp.ones(5), jnp.ones((5, 3)), jnp.ones(3), k=jnp.ones((4, 1))).shape == (4, 5)
    assert f(1.0, other=jnp.ones((5, 3))).shape == (5,)


class Plain:
    @auto_vmap
    def method(self, x: Vector, times: int = 2) -> Vector:
        return times * x

    @auto_vmap
    def unusual(this, x: Vector) -> Vector:
        return x

    @auto_vmap
    @staticmethod
    def above_static(x: Vector) -> Scalar:
        return x.sum()

    @staticmethod
    @auto_vmap
    def below_static(x: Vector) -> Scalar:
        return x.sum()

    @auto_vmap
    @classmethod
    def above_class(cls, x: Vector) -> Scalar:
        return x.sum()

    @classmethod
    @auto_vmap
    def below_class(cls, x: Vector) -> Scalar:
        return x.sum()

    @auto_vmap(out_axes=-1)
    def with_options(self, x: Vector) -> Vector:
        return x

    @auto_vmap(..., x=0)
    def overridden(self, x: Vector, y: Scalar) -> Scalar:
        return x + y


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("method", (5, 3)),
        ("unusual", (5, 3)),
        ("above_static", (5,)),
        ("below_static", (5,)),
        ("above_class", (5,)),
        ("below_class", (5,)),
        ("with_options", (3, 5)),
    ],
)
def test_methods(name, shape):
    bound = getattr(Plain(), name)
    assert bound(jnp.ones((5, 3))).shape == shape
    assert bound.ranks == {"x": 1}
    if name != "below_class" or sys.version_info < (3, 13):  # there it has the call alone
        assert bound.plan(jnp.ones((5, 3))).batch_shape == (5,)
    assert infer_ranks(bound) == {"x": 1}


def test_a_method_with_given_ranks():
    assert Plain().overridden(jnp.ones((5, 3)), jnp.ones((4, 1, 1))).shape == (4, 5, 3)


def test_modules():
    class Model(eqx.Module):
        w: Float[Array, "o i"]

        def __call__(self, x: Float[Array, "i"]) -> Float[Array, "o"]:
            return self.w @ x

        @auto_vmap
        def apply(self, x: Float[Array, "i"]) -> Float[Array, "o"]:
            return self.w @ x

    model = Model(jnp.ones((3, 2)))
    assert auto_vmap(model)(jnp.ones((5, 2))).shape == (5, 3)
    assert auto_vmap(out_axes=-1)(model)(jnp.ones((5, 2))).shape == (3, 5)
    assert model.apply(jnp.ones((5, 2))).shape == (5, 3)
    assert auto_vmap(model.__call__)(jnp.ones((5, 2))).shape == (5, 3)
    assert jax.tree.leaves(auto_vmap(model))[0] is model.w


def test_partials_jitted_functions_and_classes():
    assert auto_vmap(jax.jit(line))(jnp.ones((5, 3)), 1.0).shape == (5, 3)
    part = auto_vmap(functools.partial(line, power=2))
    assert part(jnp.ones((5, 3)), 1.0).shape == (5, 3)

    class Box(eqx.Module):
        x: Vector

    assert auto_vmap(Box)(jnp.ones((5, 3))).x.shape == (5, 3)


def test_identity():
    f, g = auto_vmap(line), auto_vmap(line)
    before = hash(f)
    assert f == g
    assert f.ranks
    assert (f == g, hash(f) == before) == (True, True)
    assert auto_vmap(x=1)(line) != f
    assert auto_vmap(..., offset=1)(line) != f
    assert pickle.loads(pickle.dumps(pickled)) is pickled
    again = pickle.loads(pickle.dumps(auto_vmap(line)))
    assert again(jnp.ones((5, 3)), 1.0).shape == (5, 3)


def test_under_transforms():
    f = auto_vmap(scaled_sum)
    x, slope = jnp.ones((5, 3)), jnp.ones((4, 1))
    assert jax.jit(f)(x, slope).shape == (4, 5)
    assert jax.vmap(f, (None, 0))(x, slope).shape == (4, 5)
    assert jax.grad(lambda x: f(x, slope).sum())(x).shape == (5, 3)


def test_infer_ranks():
    assert infer_ranks(line) == {"x": 1, "slope": 0, "offset": 0}
    assert infer_ranks(auto_vmap(x=2)(line)) == {"x": 2}
    assert infer_ranks(Plain.method) == {"x": 1}
    assert infer_ranks(named_vmap("a [n], -> a [n]")(lambda x, s: x)) == {}
    with pytest.raises(SpecError, match="none of its parameters is annotated"):
        infer_ranks(lambda x: x)
