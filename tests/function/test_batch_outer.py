"""The caller's say: batch axes of his own (`f.batch`), and groups side by side (`f.outer`)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import BatchShapeError, SpecError, auto_vmap
from compose.jaxprs import cost, primitives, text
from function.subjects import Line, cost_of, draw, loss, models
from made import numbers
from oracle import compare, loop


class TestBatch:
    """`f.batch(*shape)` prepends batch axes, as `sample_shape` does."""

    def test_draws_of_each_of_three_distributions(self) -> None:
        key = jax.random.key(3)
        means, scales = jnp.array([0.0, 10.0, -5.0]), jnp.array([1.0, 2.0, 0.5])
        found = draw.batch(10_000)(key, means, scales)
        assert found.shape == (10_000, 3)
        np.testing.assert_allclose(found.mean(0), means, atol=0.1)
        np.testing.assert_allclose(found.std(0), scales, rtol=0.05)
        for i, j in [(0, 0), (0, 2), (9_999, 1), (1234, 2)]:
            folded = jax.random.fold_in(jax.random.fold_in(key, i), j)
            assert found[i, j] == means[j] + jnp.array([1.0, 2.0, 0.5])[j] * jax.random.normal(
                folded
            )

    def test_draws_of_a_function_of_a_key_alone(self) -> None:
        normal = auto_vmap(key="key", randomness="different")(jax.random.normal)
        for key in (jax.random.key(0), jax.random.PRNGKey(0)):
            found = normal.batch(10_000)(key)
            assert found.shape == (10_000,)
            assert len(np.unique(found)) > 9_900
            assert found[77] == jax.random.normal(jax.random.fold_in(key, 77))

    def test_a_batch_of_keys_draws_from_each(self) -> None:
        keys = jax.random.split(jax.random.key(0), 3)
        found = draw.batch(5)(keys, 0.0)
        for i, j in np.ndindex(5, 3):
            assert found[i, j] == jax.random.normal(jax.random.fold_in(keys[j], i))

    def test_what_does_not_depend_on_the_draw_is_computed_once(self) -> None:
        slow = auto_vmap(m=2, key="key", randomness="different")(
            lambda m, key: jnp.linalg.cholesky(m) @ jax.random.normal(key, (3,))
        )
        equations = jax.make_jaxpr(slow.batch(100))(jnp.eye(3), jax.random.key(0)).eqns
        assert primitives(slow.batch(100), jnp.eye(3), jax.random.key(0))["cholesky"] == 1
        assert all(eqn.outvars[0].aval.shape[:1] != (100, 3, 3) for eqn in equations)

    @pytest.mark.parametrize("shape", [(), (1,), (0,), (4,), (2, 3), (1, 1), (2, 0)], ids=str)
    @pytest.mark.parametrize("own", [(), (1,), (5,), (2, 5)], ids=str)
    def test_sizes_are_put_in_front(self, shape: Any, own: Any) -> None:
        x, a = numbers(*own, 3), numbers()
        found = cost_of.batch(*shape)(x, a, 2.0)
        assert cost_of.batch(*shape).plan(x, a, 2.0).batch_shape == shape + own
        wide = jnp.broadcast_to(x, shape + own + (3,))
        compare(found, loop(cost_of.__wrapped__, [[1], [0], [0]], (wide, a, 2.0)))

    def test_of_a_batch_is_put_in_front_again(self) -> None:
        twice = cost_of.batch(3).batch(2, 1)
        assert twice(numbers(5, 3), 1.0, 1.0)["cost"].shape == (2, 1, 3, 5)
        assert draw.batch(3).batch(2)(jax.random.key(0), 0.0).shape == (2, 3)

    def test_out_axes_names_and_jit(self) -> None:
        moved = cost_of.replace(out_axes={"cost": 0, "parts": [-1, 0]}).batch(4)
        found = moved(numbers(5, 3), 1.0, 1.0)
        assert (found["cost"].shape, found["parts"][0].shape) == ((4, 5), (3, 4, 5))
        named = auto_vmap(x=0, axis_name=("i", "j"))(lambda x: jax.lax.psum(x, "i"))
        np.testing.assert_array_equal(named.batch(4)(jnp.ones(2)), np.full((4, 2), 4.0))
        key = jax.random.key(0)
        np.testing.assert_array_equal(jax.jit(draw.batch(6))(key, 0.0), draw.batch(6)(key, 0.0))

    @pytest.mark.parametrize("wrong", [-1, 2.0, True, "3", None, (2, 3)])
    def test_of_a_wrong_size(self, wrong: Any) -> None:
        with pytest.raises(SpecError, match=r"(?s)draw\.batch\(\): got .*\snon-negative\sints"):
            draw.batch(wrong)

    def test_numpy_ints_are_sizes(self) -> None:
        assert draw.batch(np.int64(3)) is draw.batch(3)


class TestOuter:
    """`f.outer(...)`: each group has a block of batch axes of its own."""

    def test_models_against_points_against_a_grid(self) -> None:
        args = models(4), numbers(6, 3), numbers(5, 1), numbers(7) / 2
        found = loss.outer("model", "x", ("a", "b"))(*args)
        assert found.shape == (4, 6, 5, 7)
        nest = loss.__wrapped__
        for in_axes in [(None, None, None, 0), (None, None, 0, None), (None, 0) + (None,) * 2]:
            nest = jax.vmap(nest, in_axes)
        nest = jax.vmap(nest, (0, None, None, None))
        by_hand = lambda model, x, a, b: nest(model, x, a[:, 0], b)  # noqa: E731
        np.testing.assert_array_equal(found, by_hand(*args))
        model, x, a, b = args
        for i, j, k, m in [(0, 0, 0, 0), (3, 5, 4, 6), (2, 1, 3, 0)]:
            one = Line(model.w[i], model.b[i])
            wanted = loss.__wrapped__(one, x[j], a[k, 0], b[m])
            np.testing.assert_allclose(found[i, j, k, m], wanted, rtol=1e-5)
        ours = cost(loss.outer("model", "x", ("a", "b")), *args)
        assert ours[0] == cost(by_hand, *args)[0]
        each = loss.outer("model", "x", "a", "b")
        assert cost(each, model, x, a[:, 0], b)[0] == ours[0]
        np.testing.assert_array_equal(each(model, x, a[:, 0], b), found)

    def test_the_jaxpr_is_that_of_the_nest_by_hand(self) -> None:
        args = models(4), numbers(6, 3), numbers(5), numbers(7)
        nest = loss.__wrapped__
        for k in (3, 2, 1, 0):
            nest = jax.vmap(nest, tuple(0 if i == k else None for i in range(4)))
        assert text(loss.outer(), *args) == text(nest, *args)

    def test_a_model_is_applied_once_a_point(self) -> None:
        """The work of models on points does not know the grid."""
        args = models(4), numbers(6, 3), numbers(5), numbers(7)
        shapes = [
            eqn.outvars[0].aval.shape
            for eqn in jax.make_jaxpr(loss.outer())(*args).eqns
            if eqn.primitive.name in ("tanh", "dot_general")
        ]
        assert max(np.prod(shape) for shape in shapes) <= 4 * 6 * 2

    @pytest.mark.parametrize("x", [(), (1,), (4,), (2, 4), (0,)], ids=str)
    @pytest.mark.parametrize("a", [(), (5,), (1,), (5, 1)], ids=str)
    def test_values_of_every_depth(self, x: Any, a: Any) -> None:
        b = (7,)
        args = numbers(*x, 3), numbers(*a), numbers(*b)
        ones = (1,) * len(a)
        wide = [
            args[0].reshape((*x, *ones, 1, 3)),
            args[1].reshape((*a, 1)),
            args[2],
        ]
        expected = loop(cost_of.__wrapped__, [[1], [0], [0]], wide)
        assert expected.batch == x + a + b
        compare(cost_of.outer()(*args), expected)
        compare(cost_of.outer("x", "a", "b")(*args), expected)

    def test_groups_in_any_order(self) -> None:
        args = numbers(4, 3), numbers(5), numbers(2, 5)
        turned = cost_of.outer(("b", "a"), "x")
        wide = [args[0], args[1][:, None], args[2][:, :, None]]
        compare(turned(*args), loop(cost_of.__wrapped__, [[1], [0], [0]], wide))
        compare(
            cost_of.outer(["a", "b"], "x")(*args),
            turned(*args) and loop(cost_of.__wrapped__, [[1], [0], [0]], wide),
        )

    def test_out_axes_strict_names_and_keys(self) -> None:
        args = numbers(4, 3), numbers(5), 2.0
        last = cost_of.replace(out_axes={"cost": 0, "parts": [-1, 0]}).outer("x", "a")(*args)
        assert last["parts"][0].shape == (3, 4, 5)
        assert cost_of.replace(strict=True).outer("x", "a")(*args)["cost"].shape == (4, 5)
        named = cost_of.replace(axis_name=("points", "costs")).outer("x", "a")
        assert "batch axis -2 'points', size 4, over x" in str(named.plan(*args))
        keys = jax.random.split(jax.random.key(0), 3)
        draws = draw.outer("key", "mean")(keys, numbers(4))
        folded = jax.random.fold_in(keys[1], 2)
        assert draws.shape == (3, 4)
        np.testing.assert_allclose(draws[1, 2], numbers(4)[2] + jax.random.normal(folded))

    def test_with_batch(self) -> None:
        args = numbers(4, 3), numbers(5), 2.0
        assert cost_of.outer("x", "a").batch(7)(*args)["cost"].shape == (7, 4, 5)
        assert cost_of.batch(7).outer("x", "a")(*args)["cost"].shape == (7, 4, 5)

    def test_positions_of_batch_dims(self) -> None:
        moved = cost_of.replace(in_axes={"x": 1}).outer("x", "a")
        assert moved(numbers(3, 4), numbers(5), 1.0)["cost"].shape == (4, 5)

    def test_an_unlisted_argument_may_have_no_batch_dims(self) -> None:
        assert cost_of.outer("x")(numbers(4, 3), 1.0, numbers())["cost"].shape == (4,)
        with pytest.raises(BatchShapeError, match=r"(?s)cost_of\(\): b has batch dims.* b: float"):
            cost_of.outer("x", "a")(numbers(4, 3), 1.0, numbers(1))

    def test_sizes_within_a_group_must_fit(self) -> None:
        with pytest.raises(BatchShapeError, match=r"batch axis -2 has size 4 in x and size 5 in a"):
            cost_of.outer(("x", "a"), "b")(numbers(4, 3), numbers(5), numbers(6))

    def test_names_that_are_no_ranked_parameters(self) -> None:
        with pytest.raises(
            SpecError, match=r"(?s)outer\(\): 'z' is not a ranked parameter; .* x, a, b"
        ):
            cost_of.outer("z")
        with pytest.raises(SpecError, match=r"outer\(\): 'x' appears twice"):
            cost_of.outer("x", ("a", "x"))

    def test_a_group_that_is_no_name(self) -> None:
        with pytest.raises(SpecError, match=r"outer\(\)"):
            cost_of.outer(0)
