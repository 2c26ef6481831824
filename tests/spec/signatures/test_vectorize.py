"""`compat.jax.vectorize` against `jnp.vectorize` and `np.vectorize`, and their defects mended."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import CoreSizeError
from autovmap.compat.jax import vectorize
from made import numbers


def equal(found: Any, wanted: Any) -> None:
    """Structure, dtypes, shapes and values agree."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert jnp.asarray(one).dtype == jnp.asarray(other).dtype
        assert jnp.shape(one) == jnp.shape(other)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


SHAPES = [((), ()), ((4,), ()), ((3, 1), (4,)), ((1,), (1, 1)), ((0, 1), (4,)), ((2, 1, 3), (5, 1))]
SIGNATURES: list[tuple[str, Callable[..., Any], list[tuple[int, ...]]]] = [
    ("(n,m),(m)->(n)", lambda a, x: a @ x, [(2, 3), (3,)]),
    ("(k),(k)->(k)", jnp.cross, [(3,), (3,)]),
    ("(n),(m)->(n,m)", jnp.outer, [(2,), (3,)]),
    ("(n),()->(),(n)", lambda x, s: (x.sum(), s * x), [(3,), ()]),
    ("(n)->(m)", lambda x: x[:2], [(3,)]),
    ("(),()->()", lambda x, y: x * y, [(), ()]),
]


class TestAsTheOriginals:
    """What works with jnp.vectorize or np.vectorize gives the same here."""

    @pytest.mark.parametrize(("x", "y"), SHAPES)
    def test_scalars(self, x: Any, y: Any) -> None:
        for function in (jnp.hypot, lambda a, b: (a + b, {"d": a}["d"]), lambda a, b: 2 * a):
            args = numbers(*x), numbers(*y)
            equal(vectorize(function)(*args), jnp.vectorize(function)(*args))

    def test_an_output_of_any_shape_without_a_signature(self) -> None:
        function = lambda x: jnp.stack([x, 2 * x])  # noqa: E731
        equal(vectorize(function)(numbers(4, 1)), jnp.vectorize(function)(numbers(4, 1)))

    @pytest.mark.parametrize(("signature", "function", "cores"), SIGNATURES)
    def test_signatures(self, signature: str, function: Callable[..., Any], cores: Any) -> None:
        ours = vectorize(function, signature=signature)
        theirs = jnp.vectorize(function, signature=signature)
        for batches in [*SHAPES, ((1, 4), (1, 1))]:
            args = [numbers(*b, *core) for b, core in zip(batches, cores, strict=False)]
            equal(ours(*args), theirs(*args))
        assert ours.signature == signature

    def test_np_vectorize_on_its_own_page(self) -> None:
        first = lambda a, b: jnp.where(a > b, a - b, a + b)  # noqa: E731
        np.testing.assert_array_equal(vectorize(first)([1, 2, 3, 4], 2), [3, 4, 1, 2])
        poly = lambda p, x: jnp.polyval(jnp.asarray(p), x)  # noqa: E731
        found = vectorize(poly, excluded={"p"})(p=[1, 2, 3], x=[0, 1])
        np.testing.assert_array_equal(found, [3, 6])
        convolve = vectorize(jnp.convolve, signature="(n),(m)->(k)")
        found = convolve(jnp.eye(4), [1, 2, 1])
        wanted = np.vectorize(np.convolve, signature="(n),(m)->(k)")(np.eye(4), [1, 2, 1])
        np.testing.assert_array_equal(found, wanted)

    def test_jnp_vectorize_on_its_own_page(self) -> None:
        @partial(vectorize, signature="(k),(k)->(k)")
        def cross_product(a: Any, b: Any) -> Any:
            assert a.shape == b.shape
            assert a.ndim == b.ndim == 1
            return jnp.cross(a, b)

        assert cross_product(jnp.ones(3), jnp.ones(3)).shape == (3,)
        assert cross_product(jnp.ones((1, 2, 3)), jnp.ones((2, 1, 3))).shape == (2, 2, 3)

    def test_numbers_and_lists_of_numbers_are_arrays(self) -> None:
        function = lambda x, y: x.astype(y.dtype) + y  # noqa: E731
        for args in [(1, 2.0), ([1, 2], 3), ((1, 2), [[3.0], [4.0]]), ([True], np.float16(2))]:
            equal(vectorize(function)(*args), jnp.vectorize(function)(*args))
        equal(vectorize(jnp.dot, signature="(n),(n)->()")([1.0, 2.0], [3, 4]), jnp.float32(11))

    def test_lists_of_scalars_are_arrays_however_it_is_run(self) -> None:
        add = vectorize(lambda x, y: x + y)
        for function in (add, jax.jit(add), add.loop()):
            np.testing.assert_array_equal(function([1, 2], 3), [4, 5])
            np.testing.assert_array_equal(function([jnp.int32(1), np.int32(2)], y=3), [4, 5])
        assert add.plan([1, 2], y=[[3], [4], [5]]).batch_shape == (3, 2)
        assert add.outer()([1, 2], [3, 4, 5]).shape == (2, 3)

    def test_lists_of_arrays_with_dims_and_of_dicts_are_pytrees(self) -> None:
        total = vectorize(lambda tree, y: sum(jax.tree.leaves(tree)) + y)
        assert total([numbers(4, 1), 1.0], numbers(3)).shape == (4, 3)
        assert total([{"a": 1.0}, {"a": 2.0}], numbers(3)).shape == (3,)

    @pytest.mark.parametrize("excluded", [{1}, [1], (1,), frozenset({1}), {1, 7}, {1, "other"}])
    def test_excluded_by_index(self, excluded: Any) -> None:
        function = lambda x, table: x * table["a"].sum()  # noqa: E731
        args = numbers(3, 1), {"a": jnp.ones(5)}
        equal(vectorize(function, excluded=excluded)(*args), 5 * args[0])
        equal(jnp.vectorize(function, excluded=excluded)(*args), 5 * args[0])

    def test_excluded_under_a_signature(self) -> None:
        function = lambda how, x, scale: how(x) * scale  # noqa: E731
        args = jnp.cumsum, numbers(4, 3), numbers(1)
        ours = vectorize(function, excluded={0, 2}, signature="(n)->(n)")
        equal(ours(*args), jnp.vectorize(function, excluded={0, 2}, signature="(n)->(n)")(*args))

    def test_excluded_among_args(self) -> None:
        function = lambda *xs: xs[0] * xs[1].sum() + xs[2]  # noqa: E731
        args = numbers(4, 1), numbers(7), numbers(3)
        for signature in (None, "(),()->()"):
            ours = vectorize(function, excluded={1}, signature=signature)
            equal(ours(*args), jnp.vectorize(function, excluded={1}, signature=signature)(*args))

    def test_defaults_that_are_left_out_are_the_functions_own(self) -> None:
        ones = jnp.ones(3)

        def function(x: Any, how: str = "sum", weights: Any = ones) -> Any:
            return getattr(jnp, how)(x * weights)

        equal(vectorize(function)(numbers(4)), jnp.vectorize(function)(numbers(4)))

    def test_none_for_a_scalar(self) -> None:
        function = lambda x, y, z: x if y is None else x + y + z  # noqa: E731
        for args in [(numbers(3), None, numbers(2, 1)), (numbers(3), numbers(3), 1.0)]:
            equal(vectorize(function)(*args), jnp.vectorize(function)(*args))

    def test_decorator_forms(self) -> None:
        add = lambda a, b: a + b  # noqa: E731
        for one in [
            vectorize(add),
            vectorize()(add),
            vectorize(signature="(),()->()")(add),
            partial(vectorize, excluded=frozenset())(add),
            vectorize(add, excluded=None),
            vectorize(pyfunc=add),
        ]:
            assert one(numbers(3, 1), numbers(4)).shape == (3, 4)

    def test_what_it_shows_of_the_function(self) -> None:
        def documented(x: Any) -> Any:
            """A docstring."""
            return x

        found = vectorize(documented)
        assert found.__name__ == "documented"
        assert found.__doc__ == (
            "A docstring.\n\nBatch dims broadcast; the base ranks are ``x=0``."
        )
        assert found.__wrapped__ is documented

    def test_no_more_work_than_the_original(self) -> None:
        function = lambda a, x: jnp.linalg.solve(a, x)  # noqa: E731
        args = numbers(5, 1, 3, 3), numbers(4, 3)
        ours = vectorize(function, signature="(n,n),(n)->(n)")
        theirs = jnp.vectorize(function, signature="(n,n),(n)->(n)")
        costs = [jax.jit(f).lower(*args).compile().cost_analysis() for f in (ours, theirs)]
        assert costs[0]["flops"] <= costs[1]["flops"]


class Pair(NamedTuple):
    """A named tuple."""

    low: Any
    high: Any


class Scale(eqx.Module):
    """A module with methods under vectorize."""

    factor: Any

    @vectorize
    def scaled(self, x: Any) -> Any:
        """A method on scalars."""
        return self.factor * x

    @partial(vectorize, signature="(n),()->()")
    def total(self, x: Any, shift: Any) -> Any:
        """A method under a signature."""
        return self.factor * x.sum() + shift

    @partial(vectorize, excluded=(0, 2))
    def looked_up(self, x: Any, table: Any) -> Any:
        """The indices count `self`, as the original's do."""
        return self.factor * x * table["a"].sum()

    @vectorize
    @staticmethod
    def doubled(x: Any) -> Any:
        """A static method."""
        return 2 * x

    @vectorize
    @classmethod
    def named(cls, x: Any) -> Any:
        """A class method."""
        return len(cls.__name__) * x

    def __call__(self, x: Any) -> Any:
        """So that the module can be vectorized itself."""
        return self.factor * x.sum()


class TestDefectsMended:
    """What jnp.vectorize drops, maps by mistake or refuses."""

    def test_keyword_arguments_count(self) -> None:
        function = lambda x, y: x - y  # noqa: E731
        wanted = numbers(3, 1) - numbers(4)
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            jnp.vectorize(function)(numbers(3, 1), y=numbers(4))
        equal(vectorize(function)(numbers(3, 1), y=numbers(4)), wanted)
        equal(vectorize(function)(y=numbers(4), x=numbers(3, 1)), wanted)
        dot = vectorize(lambda x, y: x @ y, signature="(n),(n)->()")
        equal(dot(numbers(3, 1, 2), y=numbers(4, 2)), numbers(3, 2) @ numbers(4, 2).T)
        named = vectorize(lambda x, *, y=1.0, **more: x + y + more["z"])
        assert named(numbers(3), y=numbers(2, 1), z=numbers(4, 1, 1)).shape == (4, 2, 3)

    @pytest.mark.parametrize("excluded", [{1}, {"table"}, {1, "table"}])
    def test_excluding_once_is_enough(self, excluded: Any) -> None:
        function = vectorize(lambda x, table: x * table.sum(), excluded=excluded)
        x, table = numbers(3, 1), jnp.ones(5)
        for found in (function(x, table), function(x, table=table), function(table=table, x=x)):
            equal(found, 5 * x)

    def test_none_anywhere(self) -> None:
        function = vectorize(lambda x, y: x.sum() if y is None else x @ y, signature="(n),(n)->()")
        with pytest.raises(ValueError, match="Cannot pass None"):
            jnp.vectorize(function.__wrapped__, signature="(n),(n)->()")(numbers(4, 3), None)
        assert function(numbers(4, 3), None).shape == (4,)
        assert function(numbers(4, 3), y=None).shape == (4,)
        tree = vectorize(lambda x: x["a"] if x["b"] is None else 0)({"a": numbers(3), "b": None})
        assert tree.shape == (3,)

    @pytest.mark.parametrize("shape", [(), (3,), (1, 3), (1,)])
    @pytest.mark.parametrize("signature", [None, "()->(),()"])
    def test_named_tuples_stay_what_they_are(self, shape: Any, signature: Any) -> None:
        x = numbers(*shape)
        equal(vectorize(lambda x: Pair(x - 1, x + 1), signature=signature)(x), Pair(x - 1, x + 1))

    @pytest.mark.parametrize("shape", [(3,), (1, 3), (1,)])
    def test_dicts_and_lists_stay_what_they_are(self, shape: Any) -> None:
        x = numbers(*shape)
        found = vectorize(lambda x: {"a": x, "b": [x, "text", None]})(x)
        equal(found["a"], x)
        equal(found["b"][0], x)
        assert found["b"][1:] == ["text", None]

    def test_pytree_arguments(self) -> None:
        tree = {"a": numbers(4, 1), "b": (numbers(3),)}
        equal(vectorize(lambda t: t["a"] * t["b"][0])(tree), numbers(4, 1) * numbers(3))
        tree = Pair(numbers(4, 1, 2), numbers(3, 2))
        found = vectorize(lambda t: t.low @ t.high, signature="(n)->()")(tree)
        equal(found, numbers(4, 2) @ numbers(3, 2).T)

    def test_methods(self) -> None:
        scale, x = Scale(2.0), numbers(5, 3)
        equal(scale.scaled(x), 2 * x)
        equal(scale.total(x, shift=1.0), 2 * x.sum(-1) + 1)
        equal(scale.looked_up(x, {"a": jnp.ones(2)}), 4 * x)
        equal(scale.looked_up(x=x, table={"a": jnp.ones(2)}), 4 * x)
        equal(Scale.doubled(x), 2 * x)
        equal(scale.named(x), 5 * x)

    def test_modules_and_bound_methods(self) -> None:
        scale, x = Scale(2.0), numbers(5, 3)
        equal(vectorize(scale, signature="(n)->()")(x), 2 * x.sum(-1))
        equal(vectorize(scale.__call__, signature="(n)->()")(x), 2 * x.sum(-1))
        found = jax.grad(lambda f: f(x).sum())(vectorize(scale, signature="(n)->()"))
        np.testing.assert_allclose(found.__self__.factor, x.sum())

    def test_a_number_is_a_size(self) -> None:
        args = numbers(2, 5), numbers(5)
        product = lambda a, b: a * b  # noqa: E731
        assert jnp.vectorize(product, signature="(3),(3)->(3)")(*args).shape == (2, 5)
        with pytest.raises(CoreSizeError, match="fixed size 3, but got 5"):
            vectorize(product, signature="(3),(3)->(3)")(*args)
