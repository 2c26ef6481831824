"""`...` in a rank tree: the rank of all keys or fields that are not named."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from autovmap import RankError, SpecError, auto_vmap
from faults.saying import says


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    """A type of somebody else's, which may get fields with time."""

    position: Any
    mass: Any
    table: Any = None


class Layer(eqx.Module):
    """A module with an array, a bias and a static function."""

    w: Any
    b: Any
    act: Any = eqx.field(static=True, default=jnp.tanh)


def core_dims(x: Any) -> Any:
    """How many dims each leaf has for one example."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf.ndim), x)


class TestRanks:
    """Any rank may stand after the dots, at any depth."""

    def test_others_are_not_mapped(self) -> None:
        seen = auto_vmap(x={"w": 2, ...: None})(core_dims)
        found = seen({"w": jnp.ones((5, 2, 3)), "b": jnp.ones(7), "new": {"c": jnp.ones((9, 9))}})
        assert jax.tree.map(lambda leaf: leaf[0].item(), found) == {"w": 2, "b": 1, "new": {"c": 2}}

    def test_others_by_field(self) -> None:
        momentum = auto_vmap(state={"mass": 0, ...: 1})(lambda state: state.mass * state.position)
        assert momentum(State(jnp.ones((5, 1, 3)), jnp.ones(4))).shape == (5, 4, 3)
        with_table = State(jnp.ones((5, 1, 3)), jnp.ones(4), jnp.ones(9))
        assert momentum(with_table).shape == (5, 4, 3)

    def test_a_module_keeps_its_static_fields(self) -> None:
        apply = auto_vmap(layer={"w": 2, ...: 1}, x=1)(lambda layer, x: layer.act(layer.w @ x))
        layer = Layer(jnp.ones((5, 2, 3)), jnp.ones((5, 2)))
        for function in (apply, apply.jit(), apply.chunk(2)):
            assert function(layer, jnp.ones(3)).shape == (5, 2)

    def test_the_others_alone(self) -> None:
        assert auto_vmap(x={...: 1})(lambda x: x["a"] @ x["b"])(
            {"a": jnp.ones((5, 3)), "b": jnp.ones(3)}
        ).shape == (5,)

    def test_nested_and_other_trees_behind_the_dots(self) -> None:
        seen = auto_vmap(x={"a": {"b": 0, ...: "(2)"}, ...: ("key", {...: 1})})(
            lambda x: x["a"]["b"]
        )
        key = jax.random.split(jax.random.key(0), 5)
        x = {"a": {"b": jnp.ones(5), "c": jnp.ones((5, 2))}, "d": (key, {"e": jnp.ones((5, 9))})}
        assert seen(x).shape == (5,)

    def test_keywords(self) -> None:
        total = auto_vmap(kw={"a": 1, ...: 0})(lambda **kw: kw["a"].sum() * kw["b"])
        assert total(a=jnp.ones((5, 3)), b=jnp.ones(5)).shape == (5,)

    def test_too_few_dims_name_the_path(self) -> None:
        with pytest.raises(RankError, match=says("x['b'] is float32[]", "base rank 1")):
            auto_vmap(x={"a": 0, ...: 1})(core_dims)({"a": jnp.ones(()), "b": jnp.ones(())})

    def test_a_named_key_has_to_be_there(self) -> None:
        with pytest.raises(SpecError, match=says("['w'] declared but absent")):
            auto_vmap(x={"w": 1, ...: None})(core_dims)({"b": jnp.ones(3)})

    def test_a_bad_rank_behind_the_dots(self) -> None:
        with pytest.raises(SpecError, match=says("base rank x[...]: got -1")):
            auto_vmap(x={"a": 0, ...: -1})(core_dims)

    def test_what_is_printed_can_be_given_again(self) -> None:
        seen = auto_vmap(x={"a": {"b": 0, ...: 2}, ...: None})(core_dims)
        assert seen.ranks == {"x": {"a": {"b": 0, ...: 2}, ...: None}}
        assert auto_vmap(**eval(repr(seen.ranks)))(core_dims) == seen


class TestAxes:
    """The same in `in_axes` and `out_axes`."""

    def test_in_axes_of_a_tree(self) -> None:
        dot = auto_vmap(x=1, in_axes={"x": {"a": -1, ...: 0}})(lambda x: x["a"] @ x["b"])
        assert dot({"a": jnp.ones((3, 5)), "b": jnp.ones((5, 3))}).shape == (5,)

    def test_in_axes_by_parameter(self) -> None:
        dot = auto_vmap(1, 1, in_axes={"b": 0, ...: -1})(lambda a, b: a @ b)
        assert dot(jnp.ones((3, 5)), jnp.ones((5, 3))).shape == (5,)

    def test_out_axes(self) -> None:
        both = auto_vmap(x=1, out_axes={"a": 0, ...: -1})(lambda x: {"a": x, "b": x, "c": x})
        found = both(jnp.ones((5, 3)))
        assert {k: v.shape for k, v in found.items()} == {"a": (5, 3), "b": (3, 5), "c": (3, 5)}
        with pytest.raises(SpecError, match="plan_with_outputs"):
            both.plan(jnp.ones((5, 3))).code()
        assert "def call(" in both.plan_with_outputs(jnp.ones((5, 3))).code()
        assert "result[...]" in str(both.plan(jnp.ones((5, 3))).vmaps)


def test_a_key_that_the_others_cover_is_not_told_to_be_declared() -> None:
    decorated = auto_vmap(p={"w": 2, ...: None})(lambda p: p)
    with pytest.raises(SpecError, match=says("['w'] declared but absent", "all others (...)")) as e:
        decorated({"v": 1.0})
    assert "not declared" not in str(e.value)
