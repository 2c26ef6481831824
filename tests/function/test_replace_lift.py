"""The caller's say: `f.replace` and `f.lift`; all of it on methods; variants are kept."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap, like
from function.subjects import Line, cost_of, draw, loss, models
from made import numbers
from oracle import compare, loop


class TestReplace:
    """`f.replace(...)`: other options, the same ranks."""

    def test_other_options(self) -> None:
        same = draw.replace(randomness="same")(jax.random.key(0), jnp.zeros(4))
        assert len(np.unique(same)) == 1
        moved = cost_of.replace(out_axes=-1, in_axes={"x": -1})
        assert moved.ranks == cost_of.ranks
        assert moved(numbers(3, 4), 1.0, 1.0)["parts"][0].shape == (3, 4)

    def test_those_not_named_are_kept(self) -> None:
        moved = draw.replace(out_axes=0)
        assert len(np.unique(moved(jax.random.key(0), jnp.zeros(4)))) == 4
        twice = cost_of.replace(strict=True).replace(out_axes=0)
        with pytest.raises(BatchShapeError, match="strict=True"):
            twice(numbers(4, 3), numbers(1), 1.0)
        back = cost_of.replace(strict=True).replace(strict=False)
        assert back(numbers(4, 3), numbers(1), 1.0)["cost"].shape == (4,)

    def test_the_authors_function_is_left_as_it_is(self) -> None:
        cost_of.replace(out_axes=-1)
        assert cost_of(numbers(4, 3), 1.0, 1.0)["parts"][0].shape == (4, 3)

    def test_what_is_no_option(self) -> None:
        with pytest.raises(
            SpecError, match=r"replace\(\): 'x' is not an option; the options are in_a"
        ):
            cost_of.replace(x=0)
        with pytest.raises(SpecError, match="randomness is 'other'"):
            cost_of.replace(randomness="other")

    def test_a_wrong_value_is_refused_after_an_equal_right_one(self) -> None:
        cost_of.replace(strict=True)
        with pytest.raises(SpecError, match="strict is 1"):
            cost_of.replace(strict=1)


class TestLift:
    """`f.lift(transform)`: the transformed plain function under the same ranks."""

    square = staticmethod(auto_vmap(x=1, m=2)(lambda x, m: jnp.tanh(x @ m @ x)))

    @pytest.mark.parametrize(
        "transform",
        [
            jax.grad,
            jax.value_and_grad,
            jax.hessian,
            functools.partial(jax.grad, argnums=(0, 1)),
            functools.partial(jax.jacfwd, argnums=1),
            jax.checkpoint,
            jax.jit,
        ],
        ids=["grad", "value_and_grad", "hessian", "argnums", "jacfwd", "checkpoint", "jit"],
    )
    def test_of_each_example(self, transform: Any) -> None:
        args = numbers(4, 1, 3) / 9, numbers(2, 3, 3) / 9
        expected = loop(transform(self.square.__wrapped__), [[1], [2]], args)
        compare(self.square.lift(transform)(*args), expected)

    def test_lifted_again(self) -> None:
        twice = self.square.lift(jax.grad).lift(jax.jacfwd)
        args = numbers(4, 3) / 9, numbers(3, 3) / 9
        np.testing.assert_allclose(twice(*args), self.square.lift(jax.hessian)(*args), rtol=1e-4)

    def test_a_model_by_example(self) -> None:
        points = numbers(6, 3)
        per_example = loss.lift(jax.grad)(
            Line(*[w[0] for w in jax.tree.leaves(models(1))]), points, 1.0, 0.0
        )
        assert (per_example.w.shape, per_example.b.shape) == ((6, 2, 3), (6, 2))

    def test_options_and_extent_are_kept(self) -> None:
        args = numbers(4, 3) / 9, numbers(3, 3) / 9
        lifted = self.square.replace(out_axes=-1).lift(jax.grad)
        np.testing.assert_allclose(lifted(*args), self.square.lift(jax.grad)(*args).T)
        assert self.square.batch(2).lift(jax.grad)(*args).shape == (2, 4, 3)
        assert self.square.lift(jax.grad).outer("x", "m")(args[0], numbers(2, 3, 3)).shape == (
            4,
            2,
            3,
        )

    @pytest.mark.parametrize("argnums", [1, (0, 1), [1]], ids=str)
    def test_options_of_the_transformation(self, argnums: Any) -> None:
        args = numbers(4, 3) / 9, numbers(3, 3) / 9
        expected = self.square.lift(functools.partial(jax.grad, argnums=argnums))(*args)
        lifted = self.square.lift(jax.grad, argnums=argnums)
        compiled = self.square.jit().lift(jax.grad, argnums=argnums)
        for function in (lifted, lifted.jit(), lifted.chunk(2), compiled):
            found = function(*args)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, expected)

    def test_other_options_are_another_function(self) -> None:
        args = numbers(4, 3) / 9, numbers(3, 3) / 9
        shapes = [self.square.lift(jax.grad, argnums=i)(*args).shape for i in (0, 1, 0)]
        assert shapes == [(4, 3), (4, 3, 3), (4, 3)]
        assert self.square.lift(jax.grad, argnums=1) is self.square.lift(jax.grad, argnums=1)

    def test_an_option_that_the_transformation_does_not_take(self) -> None:
        with pytest.raises(TypeError, match="argnum"):
            self.square.lift(jax.grad, argnum=1)

    def test_keeps_the_name(self) -> None:
        assert draw.lift(jax.grad).__name__ == "draw"


class Scaler:
    """A class with a decorated method."""

    def __init__(self, by: float) -> None:
        self.by = by

    @auto_vmap(1, 0)
    def norm(self, x: Any, power: Any) -> Any:
        return self.by * (x**power).sum()


class TestMethods:
    """All of these on bound methods."""

    def test_each(self) -> None:
        scaler, x = Scaler(2.0), numbers(4, 3)
        assert scaler.norm.batch(3)(x, 2.0).shape == (3, 4)
        assert scaler.norm.outer("x", "power")(x, numbers(5)).shape == (4, 5)
        assert scaler.norm.outer()(x, numbers(5)).shape == (4, 5)
        assert scaler.norm.replace(out_axes=-1)(x, 2.0).shape == (4,)
        found = scaler.norm.lift(jax.grad)(x, 2.0)
        np.testing.assert_allclose(found, 4 * x, rtol=1e-6)
        np.testing.assert_allclose(Scaler.norm.batch(2)(scaler, x, 2.0)[0], scaler.norm(x, 2.0))

    def test_argnums_count_without_the_object(self) -> None:
        scaler, x = Scaler(2.0), numbers(4, 3) + 1
        by_power = scaler.norm.lift(jax.grad, argnums=1)(x, 2.0)
        np.testing.assert_allclose(by_power, 2 * (x**2 * np.log(x)).sum(-1), rtol=1e-5)
        assert scaler.norm.lift(jax.jacfwd, argnums=(0, 1))(x, 2.0)[0].shape == (4, 3)

    def test_a_decorated_module(self) -> None:
        module = auto_vmap(x=1)(Line(numbers(2, 3), numbers(2)))
        assert module.batch(5)(numbers(4, 3)).shape == (5, 4)
        assert module.outer("x")(numbers(4, 3)).shape == (4,)
        ranked = auto_vmap(self=like(Line(numbers(2, 3), numbers(2))), x=1)
        both = ranked(Line.__call__).outer("self", "x")
        assert both(models(6), numbers(4, 3)).shape == (6, 4)


def variants(f: Any) -> list[Any]:
    """One of each kind."""
    return [
        f.batch(3),
        f.outer("x", ("a", "b")),
        f.replace(out_axes=-1, strict=True),
        f.lift(jax.grad),
        f.loop(),
        f.batch(3).outer("x").lift(jax.grad),
    ]


def test_variants_are_kept() -> None:
    for one, other in zip(variants(cost_of), variants(cost_of), strict=True):
        assert one is other
        assert one is not cost_of
    scaler = Scaler(1.0)
    assert scaler.norm.batch(3) == scaler.norm.batch(3)
    assert scaler.norm.lift(jax.grad) == scaler.norm.lift(jax.grad)
    assert scaler.norm.batch(3).__func__ is scaler.norm.batch(3).__func__


def test_a_variant_that_can_not_be_hashed_is_made_anew() -> None:
    one = cost_of.replace(in_axes={"x": 1})
    assert one == cost_of.replace(in_axes={"x": 1})
    assert one != cost_of


def test_variants_are_different_functions() -> None:
    found = [cost_of, *variants(cost_of)]
    assert all(a != b for i, a in enumerate(found) for b in found[:i])
