"""Ranks that the object of a method knows: `@auto_vmap(x=lambda self: self.ndim)`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap
from faults.saying import says


class Normal(eqx.Module):
    """A density over events of any number of dims."""

    loc: Any
    name: str = eqx.field(static=True, default="normal")

    @property
    def ndim(self) -> int:
        """How many dims an event has."""
        return self.loc.ndim

    @auto_vmap(x=lambda self: self.ndim)
    def log_prob(self, x: Any) -> Any:
        """The density of one event."""
        return -((x - self.loc) ** 2).sum()

    @auto_vmap(state={"x": lambda self: self.ndim, "w": 0}, y=lambda self: {"a": self.ndim})
    def weighted(self, state: Any, y: Any) -> Any:
        """Rules in a tree, and one whose answer is a tree."""
        return state["w"] * (state["x"] * y["a"]).sum()

    @auto_vmap(x=lambda self: int(self.loc.sum()))
    def by_value(self, x: Any) -> Any:
        """What a compiled call can't know."""
        return x

    @auto_vmap(x=lambda self: self.loc.sum())
    def by_array(self, x: Any) -> Any:
        """What no call takes."""
        return x

    @auto_vmap(x=lambda self: self.nothing)
    def by_mistake(self, x: Any) -> Any:
        """What the object has not."""
        return x


EVENTS = [(), (3,), (2, 3)]
WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda f: f,
    "jit": lambda f: f.jit(),
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "bucket": lambda f: f.bucket(),
    "loop": lambda f: f.loop(),
    "batch": lambda f: lambda x: f.batch(2)(x)[0],
    "replace": lambda f: f.replace(strict=True),
}


def plain(x: Any) -> Any:
    """No method."""
    return x


def answering(function: Any) -> Any:
    """A method whose rank is whatever a function of the object answers."""

    class Holder:
        @auto_vmap(x=function)
        def at(self, x: Any) -> Any:
            return x

    return Holder().at


class TestRanks:
    """The object tells, at each call, in every way of running."""

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("event", EVENTS, ids=str)
    def test_every_way(self, event: tuple[int, ...], way: str) -> None:
        rng = np.random.default_rng(0)
        x, loc = rng.normal(size=(5, *event)), jnp.asarray(rng.normal(size=event))
        found = WAYS[way](Normal(loc).log_prob)(x)
        expected = [-((one - np.asarray(loc)) ** 2).sum() for one in x]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_in_trees(self) -> None:
        for event in EVENTS:
            normal, x = Normal(jnp.zeros(event)), jnp.ones((5, 1, *event))
            for function in (normal.weighted, normal.weighted.jit(), normal.weighted.chunk(3)):
                found = function({"x": x, "w": jnp.ones(4)}, {"a": x[0, 0]})
                assert found.shape == (5, 4)

    def test_through_the_class(self) -> None:
        normal, x = Normal(jnp.zeros(3)), jnp.ones((5, 3))
        for function in (Normal.log_prob, Normal.log_prob.jit(), Normal.log_prob.chunk(2)):
            assert function(normal, x).shape == (5,)
        assert Normal.log_prob(self=normal, x=x).shape == (5,)
        with pytest.raises(TypeError, match="'self'"):
            Normal.log_prob(x=x)

    def test_transformed(self) -> None:
        normal, x = Normal(jnp.zeros((2, 3))), jnp.ones((5, 2, 3))
        assert normal.log_prob.lift(jax.grad)(x).shape == x.shape
        grads = jax.grad(lambda n: n.log_prob(x).sum())(normal)
        np.testing.assert_allclose(grads.loc, 10 * jnp.ones((2, 3)))
        assert jax.jit(lambda method, x: method(x))(normal.log_prob, x).shape == (5,)
        assert normal.log_prob.reduce("mean")(x).shape == ()
        assert normal.log_prob.outer("x")(x).shape == (5,)

    def test_chunks_one_at_a_time(self) -> None:
        normal, x = Normal(jnp.zeros(3)), jnp.ones((5, 3))
        assert [out.shape for _, out in normal.log_prob.chunk(2).iter(x)] == [(2,), (2,), (1,)]
        assert normal.log_prob.chunk(memory="1GiB").tune(x) >= 1

    def test_a_class_method_and_a_callable_module(self) -> None:
        class Family:
            ndim = 2

            @auto_vmap(x=lambda cls: cls.ndim)
            @classmethod
            def total(cls, x: Any) -> Any:
                return x.sum()

        assert Family.total(jnp.ones((5, 2, 3))).shape == (5,)

        class Layer(eqx.Module):
            w: Any

            def __call__(self, x: Any) -> Any:
                return (self.w * x).sum()

        layer = auto_vmap(x=lambda module: module.w.ndim)(Layer(jnp.ones((2, 3))))
        assert layer(jnp.ones((5, 2, 3))).shape == (5,)

    def test_a_frozen_object_is_static(self) -> None:
        @dataclasses.dataclass(frozen=True)
        class Frozen:
            ndim: int

            @auto_vmap(x=lambda self: self.ndim)
            def total(self, x: Any) -> Any:
                return x.sum()

        for ndim, shape in ((1, (5, 2)), (2, (5,))):
            assert Frozen(ndim).total.jit()(jnp.ones((5, 2, 3))).shape == shape

    def test_an_object_that_changes_is_asked_again(self) -> None:
        class Changing:
            ndim = 1

            @auto_vmap(x=lambda self: self.ndim)
            def total(self, x: Any) -> Any:
                return x.sum()

        changing, x = Changing(), jnp.ones((5, 2, 3))
        for ndim, shape in ((1, (5, 2)), (2, (5,)), (1, (5, 2))):
            changing.ndim = ndim
            assert changing.total(x).shape == shape


class TestShown:
    """What is printed of it."""

    def test_plan(self) -> None:
        normal, x = Normal(jnp.zeros((2, 3))), jnp.ones((5, 2, 3))
        for function in (normal.log_prob, normal.log_prob.jit()):
            plan = function.plan(x)
            assert plan.steps[0] == "x: rank 2, from self"
            assert "\n  x: rank 2, from self\n" in str(plan)
        assert normal.log_prob.plan_with_outputs(x).outputs[0].shape == (5,)
        found = normal.weighted.plan({"x": x, "w": jnp.ones(5)}, {"a": x}).steps
        assert found[:2] == (
            "state: rank {'x': 2, 'w': 0}, from self",
            "y: rank {'a': 2}, from self",
        )

    def test_ranks_and_signature(self) -> None:
        normal = Normal(jnp.zeros((2, 3)))
        assert normal.log_prob.ranks == normal.log_prob.jit().ranks == {"x": 2}
        assert normal.log_prob.signature == "(a,b)->..."
        assert repr(Normal.log_prob) == "<auto_vmap(x=<from self>) of Normal.log_prob>"
        assert "``x=<from self>``" in str(Normal.log_prob.__doc__)

    def test_ranks_of_the_class_can_be_given_again(self) -> None:
        class Again(Normal):
            total = auto_vmap(**Normal.log_prob.ranks)(Normal.log_prob.__wrapped__)

        assert Again(jnp.zeros(3)).total(jnp.ones((5, 3))).shape == (5,)


class TestKept:
    """Answers find their plans and programs again."""

    def test_compilations_are_counted(self) -> None:
        traced: list[int] = []

        class Counted(Normal):
            @auto_vmap(x=lambda self: self.ndim)
            def total(self, x: Any) -> Any:
                traced.append(x.ndim)
                return (x + self.loc).sum()

        for _ in range(3):
            for event in EVENTS:
                Counted(jnp.zeros(event)).total.jit()(jnp.ones((5, *event)))
        assert traced == [0, 1, 2]
        for _ in range(3):
            for event in EVENTS:
                Counted(jnp.zeros(event)).total.chunk(2)(jnp.ones((5, *event)))
        assert [traced.count(ndim) for ndim in range(3)] == [traced.count(0)] * 3
        first = len(traced)
        Counted(jnp.zeros(3)).total.chunk(2)(jnp.ones((5, 3)))
        assert len(traced) == first

    def test_a_bucket_counts_over_all_answers(self) -> None:
        bucketed = Normal.log_prob.bucket()
        before = bucketed.stats().calls
        for event in EVENTS:
            for size in (5, 6):
                bucketed(Normal(jnp.zeros(event)), np.ones((size, *event), "float32"))
        assert bucketed.stats().calls - before == 6


class TestRefused:
    """No object, or no rank."""

    @pytest.mark.parametrize("function", [plain, staticmethod(plain)], ids=["plain", "static"])
    def test_no_method(self, function: Any) -> None:
        with pytest.raises(SpecError, match=says("for methods, whose object knows the rank")):
            auto_vmap(x=lambda self: 1)(function)

    def test_below_staticmethod_it_is_found_at_the_call(self) -> None:
        class Holder:
            @staticmethod
            @auto_vmap(x=lambda self: 1)
            def at(x: Any) -> Any:
                return x

        with pytest.raises(SpecError, match=says("Holder.at is not a method, so give x a rank")):
            Holder.at(jnp.ones(3))

    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (-1, "from self: got -1; a base rank is a non-negative int"),
            (1.0, "from self: got 1.0 of type float"),
            ("n", "from self: got 'n' of type str"),
            ({"a": True}, "base rank x, from self['a']: got True"),
            (lambda self: 1, "the function returned another function"),
        ],
        ids=["negative", "float", "str", "in a tree", "function"],
    )
    def test_an_answer_that_is_no_rank(self, answer: Any, said: str) -> None:
        with pytest.raises(SpecError, match=says(said)):
            answering(lambda self: answer)(jnp.ones(3))

    def test_what_is_traced(self) -> None:
        normal, x = Normal(jnp.zeros(3)), jnp.ones((5, 3))
        assert normal.by_value(x).shape == (5, 3)
        for function in (normal.by_value.jit(), normal.by_array.jit()):
            with pytest.raises(SpecError, match=says("traced here", "shapes, dtypes, and fields")):
                function(x)
        with pytest.raises(SpecError, match=says("from self: got float32[], an array")):
            normal.by_array(x)

    def test_what_the_function_itself_raises(self) -> None:
        with pytest.raises(AttributeError, match="nothing") as caught:
            Normal(jnp.zeros(3)).by_mistake(jnp.ones(3))
        assert "function that gives the base rank of x" in "".join(caught.value.__notes__)

    def test_none_is_not_mapped_and_a_core_shape_is_checked(self) -> None:
        assert answering(lambda self: None)(jnp.ones((5, 3))).shape == (5, 3)
        assert answering(lambda self: "(3)")(jnp.ones((5, 3))).shape == (5, 3)
        with pytest.raises(ValueError, match="fixed size 3, but got 2"):
            answering(lambda self: "(3)")(jnp.ones((5, 2)))


@pytest.mark.parametrize("others", [(), (1,)])
def test_a_rule_in_the_first_place_is_told_from_a_function(others: tuple[Any, ...]) -> None:
    with pytest.raises(SpecError, match=says("name the parameter, as in @auto_vmap(x=lambda")):

        class Event:
            @auto_vmap(lambda self: 1, *others)
            def total(self, x, y=0):
                return x.sum() + y
