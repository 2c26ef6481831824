"""What the systems that autovmap learns from show on their own pages, said in ranks.

A test a row of the project's list of seed cases, under the name of the system it comes from. Where
a system picks an axis by `in_axes`, the operand is transposed so that its batch dims come first.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap
from made import numbers
from oracle import compare, loop


def foo(s, v, m):
    """The example of jax_autovmap's readme."""
    return v @ m @ v + s * v.size


class TestJaxAutovmap:
    """The readme of jax_autovmap."""

    def test_one_example(self) -> None:
        assert auto_vmap(s=0, v=1, m=2)(foo)(2.0, jnp.ones(3), jnp.ones((3, 3))) == 15.0

    def test_a_batch_of_five(self) -> None:
        result = auto_vmap(s=0, v=1, m=2)(foo)(2.0, jnp.ones((5, 3)), jnp.ones((5, 3, 3)))
        np.testing.assert_array_equal(result, [15.0] * 5)

    @pytest.mark.parametrize(
        "decorator",
        [
            auto_vmap(s=0, v=1, m=2),
            auto_vmap(0, 1, 2),
            auto_vmap(0, v=1, m=2),
            auto_vmap(v=1, m=2),
            auto_vmap(None, 1, 2),
            auto_vmap(s=None, v=1, m=2),
            auto_vmap(ranks={"v": 1, "m": 2}),
        ],
        ids=["name", "position", "both", "omitted", "None", "None by name", "mapping"],
    )
    def test_ranks_by_name_by_position_omitted_or_none(self, decorator) -> None:
        result = decorator(foo)(2.0, jnp.ones((5, 3)), jnp.ones((5, 3, 3)))
        np.testing.assert_array_equal(result, [15.0] * 5)

    def test_one_dict_argument(self) -> None:
        inputs = {"s": 2.0, "v": jnp.ones((5, 3)), "m": jnp.ones((5, 3, 3))}
        decorated = auto_vmap({"s": 0, "v": 1, "m": 2})(lambda inputs: foo(**inputs))
        np.testing.assert_array_equal(decorated(inputs), [15.0] * 5)

    def test_an_int_rank_for_every_leaf_of_a_tree(self) -> None:
        tree = {"a": numbers(5, 3), "b": [numbers(2, 1, 3)]}
        function = lambda tree: tree["a"] @ tree["b"][0]  # noqa: E731
        compare(auto_vmap(tree=1)(function)(tree), loop(function, [[1, 1]], (tree,)))

    def test_broadcasting_of_batch_dims(self) -> None:
        arguments = (jnp.float32(2.0), numbers(7, 1, 3), numbers(7, 5, 3, 3))
        result = auto_vmap(s=0, v=1, m=2)(foo)(*arguments)
        assert result.shape == (7, 5)
        compare(result, loop(foo, [[0], [1], [2]], arguments))

    def test_under_jit_nothing_is_left_over_the_hand_written_vmap(self) -> None:
        arguments = (jnp.float32(2.0), numbers(7, 1, 3), numbers(7, 5, 3, 3))
        inner = jax.vmap(foo, in_axes=(None, None, 0))
        nest = jax.vmap(inner, in_axes=(None, 0, 0))
        by_hand = jax.jit(lambda s, v, m: nest(s, v[:, 0], m)).lower(*arguments).compile()
        ours = jax.jit(auto_vmap(s=0, v=1, m=2)(foo)).lower(*arguments).compile()
        want, got = by_hand.cost_analysis(), ours.cost_analysis()
        assert got["flops"] == want["flops"]
        assert got["bytes accessed"] == want["bytes accessed"]


class TestJaxVmap:
    """The docstring of `jax.vmap`."""

    vdot = staticmethod(auto_vmap(a=1, b=1)(jnp.vdot))

    def test_vdot_to_matrix_times_vector(self) -> None:
        m, v = numbers(4, 3), numbers(3)
        np.testing.assert_allclose(self.vdot(m, v), m @ v, rtol=1e-6)
        compare(self.vdot(m, v), loop(jnp.vdot, [[1], [1]], (m, v)))

    def test_vdot_to_vector_times_matrix(self) -> None:
        v, m = numbers(4), numbers(4, 3)
        np.testing.assert_allclose(self.vdot(v, m.T), v @ m, rtol=1e-6)

    def test_vdot_to_matrix_times_matrix(self) -> None:
        a, b = numbers(4, 3), numbers(3, 5)
        np.testing.assert_allclose(self.vdot(a[:, None], b.T), a @ b, rtol=1e-6)
        # The other order of the batch axes.
        np.testing.assert_allclose(self.vdot(a, b.T[:, None]), (a @ b).T, rtol=1e-6)

    @pytest.mark.parametrize("first", [0, 1])
    @pytest.mark.parametrize("second", [0, 1])
    def test_vdot_with_either_operand_along_either_axis(self, first: int, second: int) -> None:
        a, b = numbers(3, 3), numbers(3, 3) + 1
        result = self.vdot(jnp.moveaxis(a, first, 0), jnp.moveaxis(b, second, 0))
        compare(result, loop(jnp.vdot, [[1], [1]], (a if not first else a.T, b.T if second else b)))
        by_vmap = jax.vmap(jnp.vdot, in_axes=(first, second))(a, b)
        np.testing.assert_allclose(result, by_vmap, rtol=1e-6)

    def test_a_tree_of_three_operands(self) -> None:
        x, y, z = numbers(6, 2, 3), numbers(3, 6, 4), numbers(4, 5, 6)
        function = lambda tree: tree[0] @ (tree[1][0] @ tree[1][1])  # noqa: E731
        tree = (x, (jnp.moveaxis(y, 1, 0), jnp.moveaxis(z, 2, 0)))
        for rank in (2, (2, (2, 2)), (2, 2)):
            result = auto_vmap(tree=rank)(function)(tree)
            assert result.shape == (6, 2, 5)
            compare(result, loop(function, [[2, 2, 2]], (tree,)))

    @pytest.mark.parametrize("a", [None, 0])
    def test_a_dict_with_an_unmapped_leaf(self, a: int | None) -> None:
        function = lambda tree, x: tree["a"] + tree["b"] + x  # noqa: E731
        result = auto_vmap({"a": a, "b": 0})(function)({"a": 0.0, "b": jnp.arange(5.0)}, 1.0)
        np.testing.assert_array_equal(result, [1, 2, 3, 4, 5])

    def test_an_output_that_does_not_depend_on_the_batch(self) -> None:
        function = lambda x, y: (x + y, y * 2.0)  # noqa: E731
        result = auto_vmap(x=0)(function)(jnp.arange(2.0), 4.0)
        np.testing.assert_array_equal(result[0], [4, 5])
        np.testing.assert_array_equal(result[1], [8, 8])


class TestFunctorch:
    """The docstring of `torch.func.vmap`."""

    dot = staticmethod(auto_vmap(a=1, b=1)(jnp.dot))

    def test_batched_dot(self) -> None:
        x, y = numbers(2, 5), numbers(2, 5) + 1
        result = self.dot(x, y)
        assert result.shape == (2,)
        compare(result, loop(jnp.dot, [[1], [1]], (x, y)))

    def test_nested(self) -> None:
        x, y = numbers(2, 3, 5), numbers(2, 3, 5) + 1
        result = self.dot(x, y)
        assert result.shape == (2, 3)
        compare(result, loop(jnp.dot, [[1], [1]], (x, y)))

    def test_one_operand_without_a_batch(self) -> None:
        x, y = numbers(2, 5), numbers(5)
        result = self.dot(x, y)
        assert result.shape == (2,)
        compare(result, loop(jnp.dot, [[1], [1]], (x, y)))

    def test_a_dict_of_operands(self) -> None:
        function = lambda operands: jnp.dot(operands["x"], operands["y"])  # noqa: E731
        operands = {"x": numbers(2, 5), "y": numbers(5)}
        want = loop(function, [[1, 1]], (operands,))
        compare(auto_vmap({"x": 1, "y": 1})(function)(operands), want)
        compare(auto_vmap({"x": 1, "y": None})(function)(operands), want)

    def test_a_vector_result(self) -> None:
        # The original moves the batch to out_dims=1.
        x = numbers(2, 5)
        np.testing.assert_array_equal(auto_vmap(x=0)(lambda x: x**2)(x).T, (x**2).T)

    def test_keyword_arguments_are_taken_and_not_mapped(self) -> None:
        x = numbers(2, 5)
        result = auto_vmap(x=1)(lambda x, *, scale: x * scale)(x, scale=x)
        assert result.shape == (2, 2, 5)
        np.testing.assert_array_equal(result, x[:, None] * x)

    def test_randomness_same(self) -> None:
        draw = auto_vmap(key="key", x=0)(lambda key, x: x + jax.random.normal(key))
        result = draw(jax.random.key(0), jnp.zeros(3))
        np.testing.assert_array_equal(result, [jax.random.normal(jax.random.key(0))] * 3)

    def test_a_jacobian_by_mapping_a_vjp_over_the_identity(self) -> None:
        function = lambda x: jnp.sin(x) * x[0]  # noqa: E731
        x = numbers(5) + 1
        _, pull = jax.vjp(function, x)
        (result,) = auto_vmap(cotangent=1)(lambda cotangent: pull(cotangent))(jnp.eye(5))
        np.testing.assert_allclose(result, jax.jacrev(function)(x), rtol=1e-6)


class TestEinx:
    """einx's tutorial, with the axes put in place by hand."""

    def test_dot_that_takes_four_nested_vmaps(self) -> None:
        x, y = numbers(2, 3, 4, 5), numbers(2, 4, 5, 6)  # b q k h, b k h c
        left = jnp.einsum("bqkh->bqhk", x)[:, :, :, None]
        right = jnp.einsum("bkhc->bhck", y)[:, None]
        result = auto_vmap(a=1, b=1)(jnp.dot)(left, right)
        assert result.shape == (2, 3, 5, 6)
        np.testing.assert_allclose(result, jnp.einsum("bqkh,bkhc->bqhc", x, y), rtol=1e-5)

    def test_add(self) -> None:
        x, y = numbers(4, 8, 2), numbers(2, 4)  # a b c, c a
        result = auto_vmap(args=0)(jnp.add)(x.swapaxes(0, 1), y.T)
        assert result.shape == (8, 4, 2)
        np.testing.assert_array_equal(result, jnp.einsum("abc->bac", x) + y.T)

    def test_a_function_of_a_matrix_and_a_vector(self) -> None:
        function = lambda x, y: 0.5 * jnp.sum(x, axis=1) + jnp.flip(y)  # noqa: E731
        x, y = numbers(2, 3, 4, 5), numbers(2, 4)  # a b [c d], a [c]
        result = auto_vmap(x=2, y=1)(function)(x, y[:, None])  # a b [c]
        compare(result, loop(function, [[2], [1]], (x, y[:, None])))
        assert jnp.einsum("abc->bca", result).shape == (3, 4, 2)


class TestAnvil:
    """The tests of anvil's dvmap."""

    def test_the_batch_size_is_read_at_each_call(self) -> None:
        double = auto_vmap(x=1)(lambda x: 2 * x)
        for size in (3, 1, 0, 7, 3):
            np.testing.assert_array_equal(double(numbers(size, 2)), 2 * numbers(size, 2))

    def test_no_mapped_input_is_an_error(self) -> None:
        with pytest.raises(SpecError, match="auto_vmap"):
            auto_vmap(lambda x: x)

    def test_sizes_that_disagree_are_an_error(self) -> None:
        with pytest.raises(BatchShapeError, match=r"(?s)x.*3.*y.*4"):
            auto_vmap(x=1, y=1)(lambda x, y: x + y)(numbers(3, 2), numbers(4, 2))

    def test_a_constant_output_gets_the_batch_dim(self) -> None:
        function = lambda x: (x, jnp.ones(2), 3.0)  # noqa: E731
        result = auto_vmap(x=0)(function)(numbers(4))
        assert [y.shape for y in result] == [(4,), (4, 2), (4,)]
        compare(result, loop(function, [[0]], (numbers(4),)))
