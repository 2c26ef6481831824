"""Ranks for the values of `*args`: in order by position, or as a tuple by name."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from autovmap import SpecError, auto_vmap
from autovmap.compat.jax import vectorize
from faults.saying import says

pytestmark = pytest.mark.own


def core_dims(*xs: Any) -> list[Any]:
    """How many dims each value has for one example, counted by leaf."""
    return [jax.tree.map(lambda leaf: jnp.asarray(leaf.ndim), x) for x in xs]


def counts(found: Any) -> list[Any]:
    """The same without its batch dims."""
    return jax.tree.map(lambda leaf: leaf.flatten()[0].item(), found)


class TestByPosition:
    """More ranks than positions go on to the values of `*args`."""

    def test_a_function_of_jax(self) -> None:
        assert auto_vmap(0, 1)(jnp.add)(jnp.ones(5), jnp.ones((5, 2))).shape == (5, 2)
        assert auto_vmap(0, 1)(jnp.add).jit()(jnp.ones(5), jnp.ones((5, 2))).shape == (5, 2)

    def test_one_rank_covers_all(self) -> None:
        found = auto_vmap(1)(core_dims)(jnp.ones((5, 3)), jnp.ones((5, 4)), jnp.ones(4))
        assert counts(found) == [1, 1, 1]

    def test_behind_other_parameters(self) -> None:
        seen = auto_vmap(0, 1, 2)(lambda a, *xs: core_dims(a, *xs))
        assert seen.ranks["xs"] == (1, 2)
        found = seen(jnp.ones(5), jnp.ones((5, 3)), jnp.ones((5, 3, 3)))
        assert counts(found) == [0, 1, 2]
        assert counts(seen(jnp.ones(5), jnp.ones((5, 3)))) == [0, 1]

    def test_further_values_have_no_rank(self) -> None:
        found = auto_vmap(0, 1)(core_dims)(jnp.ones(5), jnp.ones((5, 3)), jnp.ones((7, 7)))
        assert counts(found) == [0, 1, 2]

    def test_trees_and_keys(self) -> None:
        seen = auto_vmap({"a": 1}, "key", (0, 1))(core_dims)
        keys = jax.random.split(jax.random.key(0), 5)
        found = seen({"a": jnp.ones((5, 3))}, keys, (jnp.ones(5), jnp.ones((5, 3))))
        assert counts(found) == [{"a": 1}, 0, (0, 1)]

    def test_ranks_can_be_given_again(self) -> None:
        seen = auto_vmap(0, 1)(core_dims)
        assert auto_vmap(**seen.ranks)(core_dims) == seen

    def test_with_its_name_too(self) -> None:
        with pytest.raises(SpecError, match="ranked by position and by name"):
            auto_vmap(0, 1, xs=1)(core_dims)

    def test_without_such_a_parameter(self) -> None:
        with pytest.raises(SpecError, match=says("3 ranks by position for 2 positional")):
            auto_vmap(0, 1, 2)(lambda a, b: a)

    def test_a_bad_one(self) -> None:
        with pytest.raises(SpecError, match=says("base rank xs[1]: got -1")):
            auto_vmap(0, -1)(core_dims)

    def test_a_value_below_its_rank(self) -> None:
        with pytest.raises(ValueError, match=says("xs[1] is float32[]", "base rank 1")):
            auto_vmap(0, 1)(core_dims)(jnp.ones(5), jnp.ones(()))

    def test_a_method(self) -> None:
        class Model:
            @auto_vmap(0, 1)
            def at(self, *xs: Any) -> Any:
                return core_dims(*xs)

        assert counts(Model().at(jnp.ones(5), jnp.ones((5, 3)))) == [0, 1]


class TestByName:
    """A tuple of ranks: the members of a value that is a tuple, else value by value."""

    def test_values_that_are_arrays(self) -> None:
        for ranks in ((0, 1), [0, 1]):
            seen = auto_vmap(xs=ranks)(core_dims)
            assert counts(seen(jnp.ones(5), jnp.ones((5, 3)))) == [0, 1]
            assert seen.ranks == {"xs": ranks}

    def test_values_that_are_tuples(self) -> None:
        pair = (jnp.ones(5), jnp.ones((5, 3)))
        found = auto_vmap(xs=(0, 1))(core_dims)(pair, pair, pair)
        assert counts(found) == [(0, 1)] * 3

    def test_both(self) -> None:
        found = auto_vmap(xs=(0, 1))(core_dims)((jnp.ones(5), jnp.ones((5, 3))), jnp.ones((5, 3)))
        assert counts(found) == [(0, 1), 1]

    def test_the_values_of_a_dict_under_the_rank_of_their_place(self) -> None:
        found = auto_vmap(xs=(0, 1))(core_dims)({"a": jnp.ones(5)}, {"b": jnp.ones((5, 3))})
        assert counts(found) == [{"a": 0}, {"b": 1}]

    def test_positions_of_their_batch_dims(self) -> None:
        seen = auto_vmap(xs=(0, 1), in_axes={"xs": (0, -1)})(core_dims)
        assert counts(seen(jnp.ones(5), jnp.ones((3, 5)))) == [0, 1]
        assert seen(jnp.ones(5), jnp.ones((3, 5)))[1].shape == (5,)

    def test_a_plan_of_vectorize_is_as_before(self) -> None:
        assert vectorize(jnp.add, excluded={1})(jnp.ones((5, 2)), 2.0).shape == (5, 2)
