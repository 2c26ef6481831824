"""A parameter that bears an option's name: refused where it is ambiguous, and the ways out work."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap

pytestmark = pytest.mark.own

OPTIONS: dict[str, Any] = {
    "in_axes": 1,
    "out_axes": 1,
    "axis_name": "i",
    "spmd_axis_name": "i",
    "randomness": "different",
    "strict": True,
    "stretch_outputs": False,
}
"""Every option, with a value other than its default."""

X = jnp.arange(12.0).reshape(4, 3)


def function_of(name: str) -> Any:
    """A function of x and of a parameter of this name."""
    namespace: dict[str, Any] = {}
    exec(f"def scaled(x, {name}):\n    return x * {name}", namespace)
    return namespace["scaled"]


def test_the_list_above_is_whole() -> None:
    with pytest.raises(SpecError, match="the options are") as caught:
        auto_vmap(x=0)(lambda x: x).replace(other=1)
    listed = str(caught.value).partition("the options are ")[2].partition(".")[0]
    assert set(listed.replace(",", " ").split()) == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
class TestEach:
    """Each option's name as a parameter's."""

    @pytest.mark.parametrize("value", ["rank", "option"])
    def test_is_refused_with_the_way_out(self, name: str, value: str) -> None:
        given = {name: 0 if value == "rank" else OPTIONS[name]}
        pattern = (
            rf"(?s)scaled\(\): {name}=.* option '{name}' or the base rank .*parameter\s'{name}'.*"
            rf"ranks=\{{'{name}': \.\.\.\}}"
        )
        with pytest.raises(SpecError, match=pattern):
            auto_vmap(x=1, **given)(function_of(name))

    def test_ranks_is_the_way_out(self, name: str) -> None:
        function = function_of(name)
        decorated = auto_vmap(ranks={"x": 1, name: 0})(function)
        assert decorated.ranks == {"x": 1, name: 0}
        by = jnp.arange(4.0)
        np.testing.assert_array_equal(decorated(X, by), X * by[:, None])
        np.testing.assert_array_equal(decorated(X, **{name: by}), X * by[:, None])
        mixed = auto_vmap(x=1, ranks={name: 0})(function)
        np.testing.assert_array_equal(mixed(X, by), X * by[:, None])

    def test_position_is_another(self, name: str) -> None:
        by = jnp.arange(4.0)
        decorated = auto_vmap(1, 0)(function_of(name))
        np.testing.assert_array_equal(decorated(X, by), X * by[:, None])

    def test_beside_ranks_the_keyword_is_the_option(self, name: str) -> None:
        function = function_of(name)
        decorated = auto_vmap(x=1, ranks={name: 0}, **{name: OPTIONS[name]})(function)
        assert decorated.ranks == {"x": 1, name: 0}
        assert decorated == auto_vmap(1, 0).__call__(function).replace(**{name: OPTIONS[name]})
        assert decorated != auto_vmap(1, 0)(function)
        unranked = auto_vmap(1, ranks={}, **{name: OPTIONS[name]})(function)
        assert unranked.ranks == {"x": 1}
        assert unranked != auto_vmap(1)(function)

    def test_replace_always_means_the_option(self, name: str) -> None:
        changed = auto_vmap(1, 0)(function_of(name)).replace(**{name: OPTIONS[name]})
        assert changed.ranks == {"x": 1, name: 0}

    def test_an_unranked_one_needs_no_way_out(self, name: str) -> None:
        np.testing.assert_array_equal(auto_vmap(x=1)(function_of(name))(X, 2.0), X * 2)

    def test_a_keyword_of_variadic_arguments(self, name: str) -> None:
        """`**named` takes any name, so the option's is the option."""
        decorated = auto_vmap(x=1, named={name: 0})(lambda x, **named: x * named[name])
        by = jnp.arange(4.0)
        np.testing.assert_array_equal(decorated(X, **{name: by}), X * by[:, None])

    def test_in_axes_and_out_names_of_it(self, name: str) -> None:
        decorated = auto_vmap(ranks={"x": 1, name: 1})(function_of(name))
        moved = decorated.replace(in_axes={name: 1})
        np.testing.assert_array_equal(moved(X, X.T), X * X)
        assert decorated.outer(name, "x")(X, X[:2]).shape == (2, 4, 3)


class TestRanks:
    """A parameter named `ranks`."""

    @staticmethod
    def scaled(x: Any, ranks: Any) -> Any:
        return x * ranks

    def test_as_a_keyword_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)ranks is 0; .* ranks=\{'ranks': \.\.\.\}"):
            auto_vmap(x=1, ranks=0)(self.scaled)

    def test_the_way_out(self) -> None:
        by = jnp.arange(4.0)
        for decorator in (
            auto_vmap(x=1, ranks={"ranks": 0}),
            auto_vmap(ranks={"x": 1, "ranks": 0}),
            auto_vmap(1, 0),
        ):
            decorated = decorator(self.scaled)
            np.testing.assert_array_equal(decorated(X, by), X * by[:, None])
            np.testing.assert_array_equal(decorated(x=X, ranks=by), X * by[:, None])

    @pytest.mark.parametrize("wrong", [0, "key", (1, 2), [0]])
    def test_what_is_no_mapping(self, wrong: Any) -> None:
        with pytest.raises(SpecError, match="it must be a mapping from parameter names to ranks"):
            auto_vmap(x=1, ranks=wrong)(lambda x: x)

    def test_a_name_that_is_ranked_twice(self) -> None:
        with pytest.raises(SpecError, match="parameter 'x' is ranked twice"):
            auto_vmap(x=1, ranks={"x": 1})(lambda x: x)

    def test_a_name_that_is_no_parameter(self) -> None:
        with pytest.raises(SpecError, match=r"has no parameter 'z'; its parameters are: x"):
            auto_vmap(ranks={"z": 1})(lambda x: x)


METHODS = ["plan", "batch", "outer", "replace", "lift", "loop", "args", "kwargs", "self_", "f"]


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_no_parameters_name(name: str) -> None:
    """Only the options and `ranks` are taken."""
    by = jnp.arange(4.0)
    decorated = auto_vmap(x=1, **{name: 0})(function_of(name))
    np.testing.assert_array_equal(decorated(X, **{name: by}), X * by[:, None])
    assert decorated.plan(X, **{name: by}).batch_shape == (4,)
