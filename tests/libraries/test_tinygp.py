import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

tinygp = pytest.importorskip("tinygp")

pytestmark = pytest.mark.libraries

X = jnp.linspace(0.0, 3.0, 8)


def test_log_probability_on_a_grid():
    @auto_vmap(theta={"amplitude": 0, "scale": 0}, diag=0, y=1)
    def log_probability(theta, diag, y):
        kernel = theta["amplitude"] ** 2 * tinygp.kernels.Matern32(theta["scale"])
        return tinygp.GaussianProcess(kernel, X, diag=diag).log_probability(y)

    grid = {"amplitude": jnp.array([[0.5], [1.0], [2.0]]), "scale": jnp.array([0.3, 1.0])}
    arguments = grid, 0.1, Normal()(4, 1, 1, 8)
    result = agrees(log_probability, jax.jit(log_probability.__wrapped__), (0, 0, 1), *arguments)
    assert result.shape == (4, 3, 2)


def test_a_kernel_as_argument():
    """A kernel is a module whose distance holds no array."""
    one = 1.5**2 * tinygp.kernels.ExpSquared(1.0)
    many = jnp.array([[0.5], [2.0]]) * tinygp.kernels.ExpSquared(jnp.array([0.3, 1.0, 3.0]))

    @auto_vmap(kernel=like(one), y=1)
    def log_probability(kernel, y):
        return tinygp.GaussianProcess(kernel, X, diag=0.1).log_probability(y)

    arguments = many, Normal()(8)
    plain = jax.jit(log_probability.__wrapped__)
    assert agrees(log_probability, plain, (ranks_of(one), 1), *arguments).shape == (2, 3)


def test_condition():
    @auto_vmap(scale=0, y=1, x_new=1)
    def predict(scale, y, x_new):
        gp = tinygp.GaussianProcess(tinygp.kernels.ExpSquared(scale), X, diag=0.1)
        posterior = gp.condition(y, x_new).gp
        return posterior.loc, posterior.variance

    normal = Normal()
    arguments = jnp.array([0.5, 1.0])[:, None], normal(3, 8), normal(4)
    mean, variance = agrees(predict, jax.jit(predict.__wrapped__), (0, 1, 1), *arguments)
    assert mean.shape == variance.shape == (2, 3, 4)
