"""`in_axes` and `out_axes`: where an argument's and a result's block of batch dims sits."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import SpecError, auto_vmap
from compose.jaxprs import primitives, text
from made import numbers
from oracle import Expected, compare, loop
from strategies import batches, cases, parts


class Pair(NamedTuple):
    """A result with fields."""

    x: Any
    y: Any


def block(position: int, rank: int, batch: int) -> range:
    """The dims of an array that hold its block of batch dims."""
    start = position if position >= 0 else rank + 1 + position
    return range(start, start + batch)


def moved(array: Any, rank: int, position: int) -> Any:
    """An array with its batch dims in front, with them at a position."""
    batch = array.ndim - rank
    return jnp.moveaxis(array, range(batch), block(position, rank, batch))


def placed(expected: Expected, positions: list[int | None]) -> Expected:
    """What the loop gave, with each output's block of batch dims at its position."""
    batch = len(expected.batch)
    leaves = []
    for leaf, position in zip(expected.leaves, positions, strict=True):
        rank = leaf.values.ndim - batch if leaf.array else 0
        if not leaf.array:
            values = leaf.values
        elif position is None:
            values = leaf.values[(0,) * batch]
        else:
            values = np.moveaxis(leaf.values, range(batch), block(position, rank, batch))
        leaves.append(replace(leaf, values=values))
    return replace(expected, leaves=leaves)


CORES = {0: (), 1: (3,), 2: (2, 3), 3: (2, 1, 3)}


def mixed(x: Any, y: Any, z: Any) -> dict[str, Any]:
    """Outputs of several ranks and structures."""
    return {"x": x, "sum": (x.sum() + y.sum(), z * 2), "y": [y + z.sum()]}


@st.composite
def calls(draw: st.DrawFn) -> Any:
    """Ranks, positions in and out, and arguments with their batch dims in front."""
    batch = draw(batches())
    ranks = draw(st.lists(st.integers(0, 3), min_size=3, max_size=3))
    ins = [draw(st.integers(-rank - 1, rank)) for rank in ranks]
    outs = [draw(st.integers(-rank - 1, rank)) for rank in (0, ranks[2], ranks[0], ranks[1])]
    shapes = [draw(parts(batch)) + CORES[rank] for rank in ranks]
    return ranks, ins, outs, [numbers(*shape) + i for i, shape in enumerate(shapes)]


@cases(0.2)
@given(calls())
def test_any_positions_equal_moveaxis_of_the_loop(call: Any) -> None:
    ranks, ins, outs, fronts = call
    zero, two, first, second = outs
    out_axes = {"sum": (zero, two), "x": first, "y": [second]}
    decorated = auto_vmap(*ranks, in_axes=tuple(ins), out_axes=out_axes)(mixed)
    args = [moved(x, rank, at) for x, rank, at in zip(fronts, ranks, ins, strict=True)]
    expected = loop(mixed, [[rank] for rank in ranks], fronts)
    compare(decorated(*args), placed(expected, outs))


@pytest.mark.parametrize("batch", [(), (1,), (4,), (0,), (2, 4), (1, 4), (2, 1, 4), (1, 1)])
@pytest.mark.parametrize("position", [-3, -2, -1, 0, 1, 2])
def test_one_position_for_all_leaves_and_outputs(batch: Any, position: int) -> None:
    def function(tree: Any) -> Any:
        return {"turned": tree["a"].T, "same": tree["a"] + tree["b"][0], "flat": jnp.ones((2, 3))}

    decorated = auto_vmap(tree=2, in_axes=position, out_axes=position)(function)
    fronts = {"a": numbers(*batch, 2, 3), "b": [numbers(2, 3)]}
    args = {"a": moved(fronts["a"], 2, position), "b": fronts["b"]}
    expected = loop(function, [[2, 2]], (fronts,))
    compare(decorated(args), placed(expected, [position] * 3))


FORMS: dict[str, Any] = {
    "by name": {"x": 1, "y": -1},
    "by name, some": {"x": 1, "y": -1, "scale": None},
    "by position": (1, -1),
    "by position, all": (1, -1, 0),
    "a prefix": {"x": [1], "y": {"u": -1, "w": 1}},
    "prefixes by position": ([1], {"w": -1, "u": 1}, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_in_axes(form: str) -> None:
    def function(x: Any, y: Any, scale: Any = 2.0) -> Any:
        return scale * x[0] + y["u"] - y["w"]

    x, y = [numbers(4, 3)], {"u": numbers(4, 3) + 1, "w": numbers(3)}
    decorated = auto_vmap(x=1, y=1, in_axes=FORMS[form])(function)
    args = [x[0].T], {"u": y["u"].T, "w": y["w"]}
    compare(decorated(*args), loop(function, [[1], [1, 1]], (x, y)))
    compare(decorated(y=args[1], x=args[0]), loop(function, [[1], [1, 1]], (x, y)))


def test_in_axes_of_variadic_parameters() -> None:
    def function(*rest: Any, **named: Any) -> Any:
        return sum(rest) + named["a"] * named["b"]

    in_axes = {"rest": 1, "named": {"a": -1}}
    decorated = auto_vmap(rest=1, named={"a": 1, "b": 1}, in_axes=in_axes)
    x, a, b = numbers(4, 3), numbers(4, 3) + 1, numbers(4, 3) + 2
    expected = loop(function, [[1], [1]], (x, x + 1), {"a": [1], "b": [1]}, {"a": a, "b": b})
    compare(decorated(function)(x.T, x.T + 1, a=a.T, b=b), expected)


def test_a_method_counts_positions_without_self() -> None:
    class Layer:
        @auto_vmap(1, 0, in_axes=(1, 0), out_axes=-1)
        def scaled(self, x: Any, by: Any) -> Any:
            return x * by

    x, by = numbers(4, 3), numbers(4)
    np.testing.assert_array_equal(Layer().scaled(x.T, by), (x * by[:, None]).T)


def test_a_leaf_whose_position_is_none_is_not_mapped() -> None:
    """As in jax.vmap: None in `in_axes` says so of a ranked argument too."""
    decorated = auto_vmap(x=0, y=0, in_axes={"y": None})(lambda x, y: x * y.sum())
    np.testing.assert_array_equal(decorated(numbers(4), numbers(5)), numbers(4) * numbers(5).sum())


def test_raw_keys_have_positions() -> None:
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    decorated = auto_vmap(key="key", in_axes=1)(jax.random.normal)
    wanted = [jax.random.normal(key) for key in keys]
    np.testing.assert_array_equal(decorated(keys.T), wanted)


class TestOutAxes:
    """`out_axes`, an int, None, or a prefix of the result."""

    def test_prefixes(self) -> None:
        def function(x: Any) -> Any:
            return Pair(x, {"a": (x, x + 1), "b": "text"}), [x * 2, None, 3.0]

        expected = loop(function, [[1]], (numbers(2, 4, 3),))
        for out_axes, positions in [
            ((1, 0), [1, 1, 1, 0, 0, 0]),
            ((Pair(0, 1), [1, None, 0]), [0, 1, 1, 0, 1, 0]),
            ((Pair(0, {"a": (1, 0), "b": None}), 0), [0, 1, 0, 0, 0, 0]),
            (({"x": -1, "y": {"a": -2, "b": 1}}, 0), [-1, -2, -2, 0, 0, 0]),
            ((0, [0, 0, 0]), [0, 0, 0, 0, 0, 0]),
        ]:
            decorated = auto_vmap(x=1, out_axes=out_axes)(function)
            compare(decorated(numbers(2, 4, 3)), placed(expected, positions))

    @pytest.mark.parametrize("batch", [(), (1,), (3,), (0,), (3, 2), (1, 2)])
    def test_none_is_an_output_without_batch_dims(self, batch: Any) -> None:
        decorated = auto_vmap(x=0, y=1, out_axes=(0, None))(lambda x, y: (x * y, y * 2))
        product, twice = decorated(jnp.ones(batch), numbers(3))
        assert product.shape == (*batch, 3)
        np.testing.assert_array_equal(twice, numbers(3) * 2)
        assert twice.shape == (3,)

    def test_none_on_a_python_number_gives_what_vmap_gives(self) -> None:
        function = lambda x: (x, 7)  # noqa: E731
        found = auto_vmap(x=0, out_axes=(0, None))(function)(numbers(3))[1]
        assert found == jax.vmap(function, out_axes=(0, None))(numbers(3))[1] == 7

    @pytest.mark.parametrize("shape", [(2,), (2, 1), (0,)])
    def test_none_where_the_output_depends_names_its_path(self, shape: Any) -> None:
        decorated = auto_vmap(x=0, out_axes={"fine": 0, "bad": (0, None)})
        with pytest.raises(SpecError, match=r"(?s)f\(\): .*result\['bad'\]\[1\].*batch axis -"):
            decorated(f)(jnp.ones(shape))

    def test_none_for_all(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)f\(\): .*result\['bad'\]\[0\].*batch axis -1"):
            auto_vmap(x=0, out_axes=None)(f)(jnp.ones(2))
        constant = auto_vmap(x=0, out_axes=None)(lambda x: {"a": jnp.arange(3), "b": "text"})
        found = constant(jnp.ones((5, 2)))
        assert found["a"].shape == (3,)
        assert found["b"] == "text"

    def test_the_axis_is_named(self) -> None:
        decorated = auto_vmap(x=0, y=0, axis_name="time", out_axes=None)
        with pytest.raises(SpecError, match=r"(?s)result.*batch axis -2"):
            decorated(lambda x, y: x)(jnp.ones((4, 1)), jnp.ones(5))

    def test_an_unbatched_call_has_nothing_to_place(self) -> None:
        decorated = auto_vmap(x=1, out_axes=1)(jnp.sin)
        np.testing.assert_array_equal(decorated(numbers(3)), jnp.sin(numbers(3)))


def f(x: Any) -> Any:
    """One output that may be declared free of the batch would be wrong."""
    return {"fine": x, "bad": (x + 1, x * 2)}


class TestOneBatchDim:
    """With one batch dim they mean what those of jax.vmap mean."""

    @pytest.mark.parametrize("x", [-3, -2, -1, 0, 1, 2])
    @pytest.mark.parametrize("y", [-2, -1, 0, 1, None])
    @pytest.mark.parametrize("out", [-3, -1, 0, 2])
    def test_the_jaxpr_is_that_of_vmap(self, x: int, y: int | None, out: int) -> None:
        function = lambda x, y: (jnp.sin(x) @ y[: x.shape[1]], x * 2)  # noqa: E731
        out_axes = (max(-2, min(out, 1)), out)
        args = moved(numbers(5, 2, 3), 2, x), numbers(3)
        if y is not None:
            args = args[0], moved(numbers(5, 3), 1, y)
        ours = auto_vmap(x=2, y=1, in_axes=(x, y), out_axes=out_axes)(function)
        theirs = jax.vmap(function, in_axes=(x, y), out_axes=out_axes)
        assert text(ours, *args) == text(theirs, *args)


def elementwise(x: Any, y: Any) -> Any:
    return jnp.sin(x) * y + 1


class TestTransposes:
    """Positions are worked through the layers, so nothing is transposed that need not be."""

    @pytest.mark.parametrize("position", [-3, -2, -1, 0, 1, 2])
    @pytest.mark.parametrize("batch", [(4,), (4, 5), (4, 5, 6), (1, 5), (4, 1, 6)])
    def test_none_where_positions_in_and_out_agree(self, position: int, batch: Any) -> None:
        decorated = auto_vmap(2, 2, in_axes=position, out_axes=position)(elementwise)
        x = moved(jnp.ones((*batch, 2, 3)), 2, position)
        found = primitives(decorated, x, x)
        assert found["transpose"] == 0
        np.testing.assert_allclose(decorated(x, x), elementwise(x, x), rtol=1e-6)

    def test_the_count_can_fail(self) -> None:
        decorated = auto_vmap(2, 2, in_axes=0, out_axes=-1)(elementwise)
        assert primitives(decorated, jnp.ones((4, 2, 3)), jnp.ones((4, 2, 3)))["transpose"] == 1

    @pytest.mark.parametrize("depth", [1, 2, 3])
    def test_no_more_than_one_a_layer_where_they_differ(self, depth: int) -> None:
        decorated = auto_vmap(x=2, out_axes=-1)(jnp.sin)
        assert primitives(decorated, jnp.ones((*range(4, 4 + depth), 2, 3)))["transpose"] <= depth
