"""Core sizes: checked before the function is traced, outputs after, with the place shown."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from autovmap import AutoVmapError, CoreSizeError, SpecError, auto_vmap
from faults.saying import says


def untouched(*args: Any, **kwargs: Any) -> Any:
    """A function that no call may reach."""
    raise AssertionError("the function was called")


def two(x: Any, y: Any) -> Any:
    """The same with two parameters."""
    return untouched(x, y)


def struct(*shape: int) -> jax.ShapeDtypeStruct:
    """A shape alone."""
    return jax.ShapeDtypeStruct(shape, "float32")


def refused(function: Callable[..., Any], *args: Any) -> str:
    """What a call is refused with; the plan and the debug loop say the same."""
    texts: set[str] = set()
    for way in (function, function.plan, function.loop()):
        with pytest.raises(CoreSizeError, match=r"\^") as caught:
            way(*args)
        texts.add(str(caught.value))
    (text,) = texts
    return text


class TestBeforeTracing:
    """Neither a fixed size nor two sizes of one name get to the function."""

    @pytest.mark.parametrize("shape", [(5,), (2, 5), (1,), (7, 1), (0,), (2, 0)])
    def test_a_fixed_size_is_no_name(self, shape: tuple[int, ...]) -> None:
        """np.vectorize and jnp.vectorize take 3 as a name, and let (2, 5) pass."""
        text = refused(auto_vmap("(3),(3)->(3)")(two), jnp.ones(shape), jnp.ones(shape))
        assert f"x has the fixed size 3, but got {shape[-1]}" in text

    def test_a_fixed_size_of_one_does_not_stretch(self) -> None:
        assert "fixed size 1, but got 2" in refused(auto_vmap("(1)->()")(untouched), jnp.ones(2))
        assert auto_vmap("(1)->()")(lambda x: x[0])(jnp.ones((4, 1))).shape == (4,)

    def test_a_name_of_size_one_does_not_stretch(self) -> None:
        text = refused(auto_vmap("(n),(n)->()")(two), jnp.ones((4, 1)), jnp.ones(3))
        assert "inconsistent size for core dimension 'n': 1 in x and 3 in y" in text

    def test_the_whole_message_of_a_fixed_size(self) -> None:
        text = refused(auto_vmap("(n),( 3 )->()")(two), jnp.ones(3), jnp.ones((2, 5)))
        assert text == (
            "two(): a core dim of y has the fixed size 3, but got 5\n"
            "  (n),( 3 )->()\n"
            "        ^\n"
            "  y: float32[2,5], base rank 1, batch shape (2,), core shape (5,)\n"
            "Pass an array of that core size"
        )

    def test_the_whole_message_of_a_name(self) -> None:
        text = refused(auto_vmap("(m,n),(n)->(m)")(two), jnp.ones((4, 2, 3)), jnp.ones(5))
        assert text == (
            "two(): inconsistent size for core dimension 'n': 3 in x and 5 in y\n"
            "  (m,n),(n)->(m)\n"
            "         ^\n"
            "  x: float32[4,2,3], base rank 2, batch shape (4,), core shape (2, 3)\n"
            "  y: float32[5], base rank 1, batch shape (), core shape (5,)\n"
            "Core dims with the same name must have the same size; they do not broadcast"
        )

    def test_a_name_twice_in_one_operand(self) -> None:
        text = refused(auto_vmap("(n,n)->()")(untouched), jnp.ones((2, 3)))
        assert "'n': 2 in args[0] and 3 in args[0]" in text

    def test_the_leaves_of_a_tree_share_the_names(self) -> None:
        tree = {"a": jnp.ones((2, 3)), "b": [jnp.ones(4)]}
        text = refused(auto_vmap("(n),()->()")(two), tree, 1.0)
        assert "'n': 3 in x['a'] and 4 in x['b'][0]" in text

    def test_core_sizes_are_looked_at_before_batch_shapes(self) -> None:
        shapes = jnp.ones((4, 3)), jnp.ones((5, 2))
        assert "'n': 3 in x and 2 in y" in refused(auto_vmap("(n),(n)->()")(two), *shapes)

    def test_sizes_hold_where_the_batch_dims_sit_elsewhere(self) -> None:
        function = auto_vmap("(n,m),(m)->(n)", in_axes=-1)(lambda a, x: a @ x)
        assert function(jnp.ones((2, 3, 5)), jnp.ones((3, 5))).shape == (5, 2)
        with pytest.raises(CoreSizeError, match="'m': 3 in a and 4 in x"):
            function(jnp.ones((2, 3, 5)), jnp.ones((4, 5)))

    def test_an_argument_that_is_none_says_nothing(self) -> None:
        function = auto_vmap("(n),(n)->()")(lambda x, y=None: x.sum())
        assert function(jnp.ones((4, 3))).shape == function(jnp.ones((4, 3)), None).shape == (4,)

    def test_what_the_signature_does_not_cover_is_free_and_not_dropped(self) -> None:
        @auto_vmap("(n)->()")
        def function(x: Any, table: Any = None, *, scale: Any = 1.0) -> Any:
            return x.sum() * scale.sum() + table.sum()

        found = function(jnp.ones((4, 3)), jnp.ones((7, 2)), scale=jnp.ones(5))
        np.testing.assert_array_equal(found, [29.0] * 4)


class TestOutputs:
    """One example's outputs, against the sizes that the arguments and each other have."""

    def test_output_only_names_are_free_but_agree(self) -> None:
        pair = auto_vmap("(n)->(m),(m,n)")
        assert pair(lambda x: (x[:2], x[:2, None] * x))(jnp.ones((5, 3)))[1].shape == (5, 2, 3)
        wrong = pair(lambda x: (x[:2], x[:, None] * x))
        with pytest.raises(CoreSizeError, match=says("result[1]", "'m': got 3, expected 2", "^")):
            wrong(jnp.ones((5, 3)))

    def test_a_size_that_an_argument_says_otherwise(self) -> None:
        with pytest.raises(
            CoreSizeError, match=says("result", "(2,)", "'n': got 2, expected 3")
        ) as e:
            auto_vmap("(n)->(n)")(lambda x: x[:2])(jnp.ones((5, 3)))
        assert str(e.value).splitlines()[1:3] == ["  (n)->(n)", "        ^"]

    def test_a_fixed_size(self) -> None:
        with pytest.raises(CoreSizeError, match=says("'2': got 3, expected 2")):
            auto_vmap("(n)->(2)")(lambda x: x)(jnp.ones(3))

    @pytest.mark.parametrize("batch", [(), (1,), (5,), (0,), (2, 5)])
    def test_another_number_of_dims(self, batch: tuple[int, ...]) -> None:
        function = auto_vmap("(n)->(m)")(lambda x: x[:, None])
        with pytest.raises(CoreSizeError, match=says("output shape (3, 1)", "dimensions (m)", "^")):
            function(jnp.ones((*batch, 3)))

    def test_a_python_number_is_an_output_without_dims(self) -> None:
        assert auto_vmap("(n)->()")(lambda x: 1.0)(jnp.ones((5, 3))).shape == (5,)
        with pytest.raises(CoreSizeError, match=says("output shape ()", "dimensions (n)")):
            auto_vmap("(n)->(n)")(lambda x: 1.0)(jnp.ones((5, 3)))

    def test_one_output_may_be_a_tree_of_that_core(self) -> None:
        function = auto_vmap("(n)->(n)")(lambda x: {"a": x, "b": (x, "text", None)})
        assert function(jnp.ones((5, 3)))["b"][0].shape == (5, 3)
        with pytest.raises(CoreSizeError, match=says("result['b']", "output shape ()")):
            auto_vmap("(n)->(n)")(lambda x: {"a": x, "b": x.sum()})(jnp.ones(3))

    def test_several_outputs_may_be_trees_too(self) -> None:
        function = auto_vmap("(n)->(n),()")(lambda x: [{"a": x}, x.sum()])
        found = function(jnp.ones((5, 3)))
        assert found[0]["a"].shape == (5, 3)
        assert found[1].shape == (5,)

    @pytest.mark.parametrize(
        ("result", "words"),
        [
            (lambda x: (x, x, x), "wrong number of output arguments: expected 2, got 3"),
            (lambda x: (x,), "wrong number of output arguments: expected 2, got 1"),
            (lambda x: x, "output must be a tuple when multiple outputs are expected"),
            (lambda x: {"a": x, "b": x}, "output must be a tuple"),
        ],
    )
    def test_another_number_of_outputs(self, result: Callable[..., Any], words: str) -> None:
        with pytest.raises(SpecError, match=words):
            auto_vmap("(n)->(n),(n)")(result)(jnp.ones(3))

    def test_the_loop_checks_outputs_too(self) -> None:
        with pytest.raises(CoreSizeError, match="does not match core dimensions"):
            auto_vmap("(n)->()")(lambda x: x).loop()(jnp.ones((2, 3)))

    def test_a_plan_with_outputs_checks_them(self) -> None:
        with pytest.raises(CoreSizeError, match="does not match core dimensions"):
            auto_vmap("(n)->()")(lambda x: x).plan_with_outputs(struct(2, 3))

    def test_a_lifted_function_has_outputs_of_its_own(self) -> None:
        norm = auto_vmap("(n),(n)->()")(lambda x, y: x @ y)
        assert norm.lift(jax.grad)(jnp.ones((5, 3)), jnp.ones(3)).shape == (5, 3)
        assert norm.lift(jax.value_and_grad)(jnp.ones((5, 3)), jnp.ones(3))[1].shape == (5, 3)
        assert norm.lift(jax.grad).signature == "(n),(n)->..."
        with pytest.raises(CoreSizeError, match="core dimension 'n'"):
            norm.lift(jax.grad)(jnp.ones((5, 3)), jnp.ones(2))


def exported(signature: str, function: Callable[..., Any], *shapes: str) -> Any:
    """The shape of the result, for symbolic shapes of the arguments."""
    scope = export.SymbolicScope()
    args = [
        jax.ShapeDtypeStruct(export.symbolic_shape(shape, scope=scope), jnp.float32)
        for shape in shapes
    ]
    found = export.export(jax.jit(auto_vmap(signature)(function)))(*args)
    return str(found.out_avals[0].shape).replace(" ", "")


class TestSymbolicDims:
    """Sizes that `jax.export` leaves open are compared as expressions."""

    @pytest.mark.parametrize(
        ("signature", "function", "shapes", "wanted"),
        [
            ("(n),(n)->()", lambda x, y: x @ y, ["b, k", "k"], "(b,)"),
            ("(n)->(m)", lambda x: jnp.concatenate([x, x]), ["b, k"], "(b,2*k)"),
            ("(m?,n),(n,p?)->(m?,p?)", lambda a, b: a @ b, ["b, m, k", "k"], "(b,m)"),
            ("(m?,n),(n,p?)->(m?,p?)", lambda a, b: a @ b, ["k", "b, k, p"], "(b,p)"),
            ("(n),(3)->(n)", lambda x, y: x * y.sum(), ["b, 2*k", "3"], "(b,2*k)"),
        ],
    )
    def test_sizes_that_agree(
        self, signature: str, function: Callable[..., Any], shapes: list[str], wanted: str
    ) -> None:
        assert exported(signature, function, *shapes) == wanted

    @pytest.mark.parametrize(
        ("signature", "shapes", "words"),
        [
            ("(n),(n)->()", ["b, k", "j"], "'n': k in x and j in y"),
            ("(n),(n)->()", ["b, k", "k + 1"], "'n': k in x and k + 1 in y"),
            ("(3),(n)->()", ["b, k", "k"], "fixed size 3, but got k"),
        ],
    )
    def test_sizes_that_may_differ(self, signature: str, shapes: list[str], words: str) -> None:
        with pytest.raises(AutoVmapError, match=says(words, "^")):
            exported(signature, two, *shapes)

    def test_an_output_that_grows(self) -> None:
        with pytest.raises(CoreSizeError, match="'n': got 2\\*k, expected k"):
            exported("(n)->(n)", lambda x: jnp.concatenate([x, x]), "b, k")
