import warnings

import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap

from .loop import Normal, agrees

with (
    warnings.catch_warnings()
):  # rlax imports tensorflow_probability, which reads a deprecated name
    warnings.filterwarnings("ignore", "jax.core.pytype_aval_mappings", DeprecationWarning)
    rlax = pytest.importorskip("rlax")

pytestmark = pytest.mark.libraries


def test_td_learning():
    normal = Normal()
    td_learning = auto_vmap(v_tm1=0, r_t=0, discount_t=0, v_t=0)(rlax.td_learning)
    values = normal(3, 1), normal(4), 0.9, normal(1, 4)
    assert agrees(td_learning, rlax.td_learning, (0, 0, 0, 0), *values).shape == (3, 4)


def test_td_learning_with_a_static_flag():
    normal = Normal()
    td_learning = auto_vmap(0, 0, 0, 0)(rlax.td_learning)
    values = normal(3, 1), normal(4), normal(), normal(3, 4)

    def total(v_t, stop):
        return jnp.sum(td_learning(*values[:3], v_t, stop_target_gradients=stop))

    assert not jnp.any(jax.grad(total)(values[3], True))
    assert jnp.all(jax.grad(total)(values[3], False))


def test_q_learning():
    normal = Normal()
    q_learning = auto_vmap(1, 0, 0, 0, 1)(rlax.q_learning)
    actions = jnp.array([0, 2, 1])
    values = normal(2, 1, 3), actions, normal(3), jnp.float32(0.9), normal(1, 3, 3)
    assert agrees(q_learning, rlax.q_learning, (1, 0, 0, 0, 1), *values).shape == (2, 3)


def test_lambda_returns():
    normal = Normal()
    ranks = {"r_t": 1, "discount_t": 1, "v_t": 1, "lambda_": 0}
    lambda_returns = auto_vmap(**ranks)(rlax.lambda_returns)
    rewards, discounts, values = normal(5, 6), jnp.full(6, 0.99), normal(4, 1, 6)
    lambdas = jnp.linspace(0, 1, 4)[:, None]
    arguments = rewards, discounts, values, lambdas
    result = agrees(lambda_returns, jax.jit(rlax.lambda_returns), (1, 1, 1, 0), *arguments)
    assert result.shape == (4, 5, 6)


def test_vtrace():
    normal = Normal()
    names = "v_tm1", "v_t", "r_t", "discount_t", "rho_tm1"
    vtrace = auto_vmap(**dict.fromkeys(names, 1))(rlax.vtrace)
    shapes = (3, 1, 5), (2, 5), (5,), (1, 5), (3, 2, 5)
    arguments = {name: jnp.exp(normal(*shape)) for name, shape in zip(names, shapes, strict=True)}
    assert agrees(vtrace, jax.jit(rlax.vtrace), (1,) * 5, **arguments).shape == (3, 2, 5)


def test_categorical_l2_project():
    normal = Normal()
    project = auto_vmap(1, 1, 1)(rlax.categorical_l2_project)
    atoms = jnp.linspace(-1.0, 1.0, 5)
    probabilities = jax.nn.softmax(normal(4, 1, 5))
    shifted = 0.1 + 0.9 * atoms + jnp.linspace(0, 1, 3)[:, None]
    arguments = shifted, probabilities, atoms
    result = agrees(project, rlax.categorical_l2_project, (1, 1, 1), *arguments)
    assert result.shape == (4, 3, 5)
