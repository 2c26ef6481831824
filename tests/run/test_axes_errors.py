"""Positions in `in_axes` and `out_axes` that can not be."""

from typing import Any, NamedTuple

import pytest

from autovmap import BatchShapeError, RankError, SpecError, auto_vmap
from made import numbers


class Pair(NamedTuple):
    """A result with fields."""

    x: Any
    y: Any


def f(x: Any) -> Any:
    """One output that may be declared free of the batch would be wrong."""
    return {"fine": x, "bad": (x + 1, x * 2)}


class TestErrors:
    """Positions that can't be."""

    def test_a_dict_that_leaves_a_ranked_leaf_out(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)in_axes.*x\['b'\]"):
            auto_vmap(x=1, in_axes={"x": {"a": 1}})(lambda x: x["a"])(
                {"a": numbers(3, 4), "b": numbers(4, 3)}
            )

    def test_a_dict_that_leaves_an_output_out(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)out_axes.*result\['bad'\]"):
            auto_vmap(x=1, out_axes={"fine": 1})(f)(numbers(4, 3))

    @pytest.mark.parametrize("wrong", [True, 1.0, "x", {"x": "a"}, ("a",), [0]])
    def test_of_a_wrong_type(self, wrong: Any) -> None:
        with pytest.raises(SpecError, match="in_axes"):
            auto_vmap(x=1, in_axes=wrong)(lambda x: x)(numbers(2, 3))

    @pytest.mark.parametrize("wrong", [True, 1.0, "x", {"x": "a"}, ("a",)])
    def test_of_a_wrong_type_in_the_result(self, wrong: Any) -> None:
        with pytest.raises(SpecError, match="out_axes"):
            auto_vmap(x=1, out_axes=wrong)(lambda x: x)

    def test_too_many_by_position(self) -> None:
        with pytest.raises(SpecError, match=r"f\(\): in_axes has 2 entries for 1 parameters \(x\)"):
            auto_vmap(x=1, in_axes=(0, 1))(f)

    def test_of_no_parameter(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)in_axes: f\(\) has no parameter 'z'.* x"):
            auto_vmap(x=1, in_axes={"z": 0})(f)

    @pytest.mark.parametrize("position", [2, -3])
    def test_outside_the_argument(self, position: int) -> None:
        with pytest.raises(RankError, match=r"(?s)f\(\): in_axes .*x at .*rank 1.* from -2 to 1"):
            auto_vmap(x=1, in_axes=position)(f)(numbers(2, 3))

    @pytest.mark.parametrize("position", [2, -3])
    def test_outside_the_result(self, position: int) -> None:
        with pytest.raises(RankError, match=r"(?s)out_axes .*result\['bad'\]\[0\].* from -2 to 1"):
            auto_vmap(x=1, out_axes=position)(f)(numbers(2, 3))

    def test_a_prefix_that_does_not_fit_the_argument(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)in_axes: .*x"):
            auto_vmap(x=1, in_axes={"x": [0, 1]})(f)(numbers(2, 3))

    def test_a_prefix_that_does_not_fit_the_result(self) -> None:
        with pytest.raises(SpecError, match=r"(?s)f\(\): out_axes: .*result"):
            auto_vmap(x=1, out_axes={"fine": 0, "other": 1})(f)(numbers(2, 3))

    def test_sizes_that_differ_are_read_at_their_positions(self) -> None:
        decorated = auto_vmap(x=1, y=1, in_axes=(0, 1))(lambda x, y: x + y)
        with pytest.raises(BatchShapeError, match=r"batch axis -1 has size 3 in x and size 5 in y"):
            decorated(numbers(3, 4), numbers(4, 5))
