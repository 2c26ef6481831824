import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, assert_same, loop, ranks_of

diffrax = pytest.importorskip("diffrax")

pytestmark = pytest.mark.libraries


def test_diffeqsolve():
    """An adaptive solve of Lotka and Volterra's equations over starts and rates."""

    def field(t, y, rates):
        prey, predator = y["prey"], y["predator"]
        return {
            "prey": prey * (rates["birth"] - predator),
            "predator": predator * (prey - rates["death"]),
        }

    @auto_vmap(y0={"prey": 0, "predator": 0}, rates=0)
    def solve(y0, rates):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Tsit5(),
            0.0,
            2.0,
            0.1,
            y0,
            rates,
            saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 2.0, 4)),
            stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
        ).ys

    y0 = {"predator": jnp.array([0.5, 1.0, 1.5]), "prey": 1.0}
    rates = {"birth": jnp.array([[0.7], [1.3]]), "death": jnp.array([[1.0]])}
    got = solve(y0, rates)
    assert got["prey"].shape == (2, 3, 4)
    assert_same(got, loop(jax.jit(solve.__wrapped__), (0, 0), y0, rates), rtol=1e-3, atol=1e-4)


def test_diffeqsolve_itself():
    """The library's own function, decorated: solvers and terms are not ranked."""
    solve = auto_vmap(y0=1, args=0, t1=0)(diffrax.diffeqsolve)
    term, solver = diffrax.ODETerm(lambda t, y, rate: -rate * y), diffrax.Euler()
    t1, y0, rate = jnp.array([0.5, 1.0]), Normal()(3, 1, 2), jnp.array([1.0, 2.0])
    arguments = term, solver, 0.0, t1, 0.05, y0, rate
    solution = agrees(solve, diffrax.diffeqsolve, (None, None, None, 0, None, 1, 0), *arguments)
    assert solution.ys.shape == (3, 2, 1, 2)


def test_an_sde_over_keys():
    @auto_vmap(key="key", drift=0)
    def solve(key, drift):
        noise = diffrax.VirtualBrownianTree(0.0, 1.0, tol=1e-2, shape=(), key=key)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, args: drift * y),
            diffrax.ControlTerm(lambda t, y, args: 0.3, noise),
        )
        return diffrax.diffeqsolve(terms, diffrax.Euler(), 0.0, 1.0, 0.1, 1.0).ys

    keys = jax.random.split(jax.random.key(0), 3)
    arguments = keys, jnp.array([[-1.0], [0.5]])
    result = agrees(solve, jax.jit(solve.__wrapped__), ("key", 0), *arguments)
    assert result.shape == (2, 3, 1)


def test_linear_interpolation_evaluate():
    """A module whose constructor checks its fields."""
    ts = jnp.linspace(0.0, 1.0, 5)
    one = diffrax.LinearInterpolation(ts, Normal()(5, 2))
    evaluate = auto_vmap(self=like(one), t0=0)(diffrax.LinearInterpolation.evaluate)
    many = jax.vmap(lambda ys: diffrax.LinearInterpolation(ts, ys), out_axes=0)(Normal()(3, 5, 2))
    arguments = many, jnp.array([[0.1], [0.6]])
    plain = diffrax.LinearInterpolation.evaluate
    assert agrees(evaluate, plain, (ranks_of(one), 0), *arguments).shape == (2, 3, 2)
