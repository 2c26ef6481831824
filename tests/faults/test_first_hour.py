"""Mistakes of a first hour: what they are told."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap
from autovmap._lines import value_text


class Path(NamedTuple):
    """A trajectory."""

    rewards: Any
    values: Any
    dones: Any = None


@auto_vmap(path={"rewards": 1, "values": 1, "dones": 1}, gamma=0)
def returns(path: Any, gamma: Any) -> Any:
    """Something of a trajectory."""
    return path.rewards.sum() + gamma * path.values[-1] + path.dones.sum()


PATHS = Path(jnp.ones((6, 8)), jnp.ones((6, 9)), jnp.ones((6, 8)))
LIST = [jax.tree.map(lambda x, i=i: x[i], PATHS) for i in range(6)]
STACK = "to batch them, stack them: jax.tree.map(lambda *x: jnp.stack(x), *path)"


@pytest.mark.parametrize("way", ["chunk", "bucket", "batch", "reduce", "shard", "outer", "lift"])
@pytest.mark.parametrize("given", [PATHS, PATHS.rewards, PATHS._asdict(), list(PATHS)])
def test_arguments_given_to_a_method_are_not_printed(way: str, given: Any) -> None:
    said = rf"returns\.{way}\(\) does not take the arguments of the function"
    with pytest.raises(SpecError, match=said) as caught:
        getattr(returns, way)(given)
    assert "Array(" not in str(caught.value)


def test_an_identity_is_no_argument() -> None:
    with pytest.raises(SpecError, match="a fold is one of"):
        returns.reduce((jnp.ones(3), 0.0))
    assert returns.reduce((jnp.add, jnp.zeros(()))) is not None


def test_values_are_not_printed_whole() -> None:
    assert (
        value_text(PATHS) == "Path(rewards=float32[6,8], values=float32[6,9], dones=float32[6,8])"
    )
    assert len(value_text("x" * 10_000)) <= 200
    assert "\n" not in value_text(type("Box", (), {"__repr__": lambda _: "a\nb"})())


def test_a_list_of_examples_is_to_be_stacked() -> None:
    with pytest.raises(SpecError, match="path is a list of 6 Path") as caught:
        returns(LIST, 0.9)
    assert STACK in str(caught.value)
    with pytest.raises(AttributeError, match="rewards") as failed:
        auto_vmap(path=1)(lambda path: path.rewards)(LIST)
    assert any(STACK in note for note in failed.value.__notes__)
    assert returns(jax.tree.map(lambda *x: jnp.stack(x), *LIST), 0.9).shape == (6,)


def test_a_tuple_for_what_is_ranked_by_name() -> None:
    with pytest.raises(SpecError, match="pass a dict or another node with 'rewards', 'values'"):
        returns.plan((6, 8), 0.9)
    with pytest.raises(SpecError, match="pass it with 'rewards', 'values', 'dones' in it"):
        returns(jnp.ones((6, 8)), 0.9)


def test_a_batch_in_the_last_dim() -> None:
    last = jax.tree.map(jnp.transpose, PATHS)
    with pytest.raises(BatchShapeError, match=r"use in_axes=\{'path': -1\}"):
        returns(last, 0.9)
    assert returns.replace(in_axes={"path": -1})(last, 0.9).shape == (6,)


def test_a_shape_for_a_rank_within_a_tree() -> None:
    f = auto_vmap(path={"rewards": (8,), "values": 1, "dones": 1})(lambda path: path.rewards)
    with pytest.raises(SpecError, match="A rank is a count of dims, not a shape") as caught:
        f(PATHS)
    assert str(caught.value).endswith("Did you mean 1?")


def test_arithmetic_in_a_core_shape() -> None:
    with pytest.raises(SpecError, match="sizes are names or numbers"):
        auto_vmap(path={"rewards": "(T)", "values": "(T+1)"})(lambda path: path)


def test_none_under_a_rank_within_a_tree() -> None:
    with pytest.raises(AttributeError, match="sum") as caught:
        returns(PATHS._replace(dones=None), 0.9)
    assert any("path.dones has a rank, but is None" in n for n in caught.value.__notes__)


def test_a_branch_on_a_value() -> None:
    f = auto_vmap(x=0)(lambda x: 1 if x > 0 else 2)
    with pytest.raises(jax.errors.TracerBoolConversionError, match="boolean") as caught:
        f(jnp.ones(3))
    assert any("jnp.where or jax.lax.cond" in note for note in caught.value.__notes__)


def test_a_plan_says_that_draws_are_equal() -> None:
    f = auto_vmap(rng="key", x=0)(lambda rng, x: x + jax.random.normal(rng))
    assert "one key for 4 examples, so equal draws" in str(f.plan(jax.random.key(0), jnp.ones(4)))
