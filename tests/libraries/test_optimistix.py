import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .loop import Normal, assert_same, loop

optx = pytest.importorskip("optimistix")

pytestmark = pytest.mark.libraries


def test_root_find():
    """Kepler's equation over mean anomalies and eccentricities."""

    @auto_vmap(anomaly=0, eccentricity=0)
    def kepler(anomaly, eccentricity):
        solution = optx.root_find(
            lambda e, _: e - eccentricity * jnp.sin(e) - anomaly,
            optx.Newton(rtol=1e-6, atol=1e-6),
            anomaly,
        )
        return solution.value, solution.stats["num_steps"]

    arguments = jnp.linspace(0.1, 3.0, 5), jnp.array([[0.0], [0.3], [0.8]])
    root, steps = kepler(*arguments)
    assert root.shape == steps.shape == (3, 5)
    want_root, want_steps = loop(jax.jit(kepler.__wrapped__), (0, 0), *arguments)
    assert_same(root, want_root, rtol=1e-4, atol=1e-4)
    assert steps.dtype == want_steps.dtype


def test_least_squares():
    def residuals(params, data):
        x, y = data
        return params["scale"] * jnp.exp(-params["rate"] * x) - y

    @auto_vmap(y0=0, data=(1, 1))
    def fit(y0, data):
        solver = optx.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
        return optx.least_squares(residuals, solver, y0, data).value

    x = jnp.linspace(0.0, 2.0, 10)
    y = jnp.array([1.0, 2.0])[:, None, None] * jnp.exp(-x) + 0.01 * Normal()(3, 10)
    y0 = {"scale": jnp.array([1.0, 0.5, 2.0]), "rate": 0.5}
    want = loop(jax.jit(fit.__wrapped__), (0, 1), y0, (x, y))
    assert want["rate"].shape == (2, 3)
    assert_same(fit(y0, (x, y)), want, rtol=1e-3, atol=1e-3)


def test_minimise_itself():
    """The library's own function: the objective and the solver are not ranked."""
    minimise = auto_vmap(y0=1, args=1)(optx.minimise)

    def objective(y, target):
        return jnp.sum((y - target) ** 2)

    normal = Normal()
    arguments = objective, optx.BFGS(rtol=1e-5, atol=1e-5), normal(3, 1, 2), normal(4, 2)
    got = minimise(*arguments)
    want = loop(optx.minimise, (None, None, 1, 1), *arguments)
    assert got.value.shape == (3, 4, 2)
    assert jax.tree.structure(got) == jax.tree.structure(want)
    assert_same(got.value, want.value, rtol=1e-4, atol=1e-4)
