"""`autovmap.compat.functorch.vmap`, on what the page of `torch.func.vmap` shows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import AutoVmapError
from autovmap.compat import functorch
from autovmap.compat import jax as compat_jax
from made import numbers

vmap = compat_jax.vmap
fvmap = functorch.vmap


X = numbers(3, 4)


class TestFunctorchPage:
    """The docstring of `torch.func.vmap`."""

    def test_batched_dot(self) -> None:
        x, y = numbers(2, 5), numbers(2, 5) + 1
        np.testing.assert_allclose(fvmap(jnp.dot)(x, y), (x * y).sum(1), rtol=1e-6)
        model = lambda example: jax.nn.relu(jnp.dot(example, y[0]))  # noqa: E731
        np.testing.assert_allclose(fvmap(model)(x), x @ y[0], rtol=1e-6)

    def test_nested(self) -> None:
        x, y = numbers(2, 3, 5), numbers(2, 3, 5) + 1
        found = fvmap(fvmap(jnp.dot))(x, y)
        assert found.shape == (2, 3)
        np.testing.assert_allclose(found, (x * y).sum(-1), rtol=1e-6)

    def test_in_dims(self) -> None:
        x, y = numbers(2, 5), numbers(2, 5) + 1
        np.testing.assert_allclose(fvmap(jnp.dot, in_dims=1)(x, y), (x * y).sum(0), rtol=1e-6)
        np.testing.assert_allclose(fvmap(jnp.dot, in_dims=(0, None))(x, y[0]), x @ y[0], rtol=1e-6)
        function = lambda operands: jnp.dot(operands["x"], operands["y"])  # noqa: E731
        found = fvmap(function, in_dims=({"x": 0, "y": None},))({"x": x, "y": y[0]})
        np.testing.assert_allclose(found, x @ y[0], rtol=1e-6)

    def test_out_dims(self) -> None:
        x = numbers(2, 5)
        found = fvmap(lambda x: x**2, out_dims=1)(x)
        np.testing.assert_array_equal(found, (x**2).T)
        one, two = fvmap(lambda x: (x, x), out_dims=(0, 1))(x)
        assert (one.shape, two.shape) == ((2, 5), (5, 2))

    def test_keyword_arguments_are_taken_and_not_mapped(self) -> None:
        x = numbers(2, 5)
        function = lambda x, scale=4.0: x * scale  # noqa: E731
        np.testing.assert_array_equal(fvmap(function)(x), x * 4)
        found = fvmap(function)(x, scale=x)
        assert found.shape == (2, 2, 5)
        np.testing.assert_array_equal(found, x[:, None] * x)

    def test_a_jacobian_by_mapping_a_vjp_over_the_identity(self) -> None:
        x = numbers(5) + 1
        _, pull = jax.vjp(lambda x: x**2, x)
        (found,) = fvmap(pull)(jnp.eye(5))
        np.testing.assert_allclose(found, jnp.diag(2 * x))

    @pytest.mark.parametrize("size", [1, 2, 3, 100])
    def test_chunk_size(self, size: int) -> None:
        def f(x, n, *, scale):
            return {"tiled": jnp.tile(x, n) * scale, "name": "f"}

        args, kwargs = (X, 2), {"scale": jnp.ones(())}
        found = fvmap(f, (0, None), chunk_size=size)(*args, **kwargs)
        np.testing.assert_allclose(found["tiled"], fvmap(f, (0, None))(*args, **kwargs)["tiled"])
        assert found["name"] == "f"

    @pytest.mark.parametrize("size", [0, "2", True])
    def test_a_wrong_chunk_size(self, size: Any) -> None:
        with pytest.raises(AutoVmapError, match="chunk"):
            fvmap(jnp.sin, chunk_size=size)
        np.testing.assert_array_equal(fvmap(jnp.sin, chunk_size=None)(X), jnp.sin(X))


def noisy(x: Any, key: Any) -> Any:
    return x + jax.random.normal(key)


class TestFunctorchRandomness:
    """`randomness` is of the keys that are arguments and are not mapped."""

    key = jax.random.key(0)

    def test_error_is_the_default(self) -> None:
        for call in (
            lambda v: v(noisy, in_dims=(0, None))(X, self.key),
            lambda v: v(noisy)(X, key=self.key),
        ):
            with pytest.raises(AutoVmapError, match=r'randomness="error".*'):
                call(fvmap)
        keys = jax.random.split(self.key, 3)
        np.testing.assert_array_equal(fvmap(noisy)(X, keys), jax.vmap(noisy)(X, keys))

    def test_same(self) -> None:
        found = fvmap(noisy, in_dims=(0, None), randomness="same")(X, self.key)
        np.testing.assert_array_equal(found, noisy(X, self.key))

    def test_different(self) -> None:
        wanted = [noisy(x, jax.random.fold_in(self.key, i)) for i, x in enumerate(X)]
        different = fvmap(noisy, in_dims=(0, None), randomness="different")
        np.testing.assert_array_equal(different(X, self.key), wanted)
        np.testing.assert_array_equal(fvmap(noisy, randomness="different")(X, key=self.key), wanted)

    def test_different_under_jit(self) -> None:
        wanted = [noisy(x, jax.random.fold_in(self.key, i)) for i, x in enumerate(X)]
        different = fvmap(noisy, in_dims=(0, None), randomness="different")
        np.testing.assert_array_equal(jax.jit(different)(X, self.key), wanted)

    def test_different_nested(self) -> None:
        options: Any = {"in_dims": (0, None), "randomness": "different"}
        found = fvmap(fvmap(noisy, **options), **options)(jnp.zeros((3, 4)), self.key)
        assert len(np.unique(found)) == 12

    def test_error_under_jit(self) -> None:
        with pytest.raises(AutoVmapError, match="error"):
            jax.jit(fvmap(noisy, in_dims=(0, None)))(X, self.key)

    def test_of_a_wrong_value(self) -> None:
        with pytest.raises(AutoVmapError, match="randomness is 'other'"):
            fvmap(noisy, randomness="other")(X, X)

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(
                {1: 2, "a": 3},
                marks=pytest.mark.xfail(
                    strict=True, reason="keys that can't be sorted are flattened to look for keys"
                ),
            ),
            "text",
            object(),
            None,
        ],
        ids=["dict", "text", "object", "None"],
    )
    def test_what_is_not_mapped_may_be_anything(self, value: Any) -> None:
        np.testing.assert_array_equal(fvmap(lambda x, o: x)(X, o=value), X)
        np.testing.assert_array_equal(fvmap(lambda x, o: x, in_dims=(0, None))(X, value), X)
