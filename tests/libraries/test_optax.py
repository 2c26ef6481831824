import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, ranks_of

optax = pytest.importorskip("optax")

pytestmark = pytest.mark.libraries


def test_softmax_cross_entropy_with_integer_labels():
    loss = auto_vmap(logits=1, labels=0)(optax.softmax_cross_entropy_with_integer_labels)
    arguments = Normal()(4, 1, 3), jnp.array([0, 2, 1, 1, 0])
    plain = optax.softmax_cross_entropy_with_integer_labels
    assert agrees(loss, plain, (1, 0), *arguments).shape == (4, 5)


def test_huber_loss():
    """A keyword-only argument in a batch of its own."""
    normal = Normal()
    loss = auto_vmap(predictions=1, targets=1, delta=0)(optax.huber_loss)
    deltas = jnp.array([0.1, 1.0])[:, None]
    result = agrees(loss, optax.huber_loss, (1, 1, 0), normal(3, 4), normal(4), delta=deltas)
    assert result.shape == (2, 3, 4)


def test_projection_simplex():
    normal = Normal()
    project = auto_vmap(tree=1, scale=0)(optax.projections.projection_simplex)
    plain = optax.projections.projection_simplex
    result = agrees(project, plain, (1, 0), normal(3, 1, 4), jnp.array([1.0, 2.0]))
    assert result.shape == (3, 2, 4)


def test_adam_update():
    """State and parameters are nested trees; the counter has rank 0."""
    normal = Normal()
    params = {"w": normal(2, 3), "b": normal(2)}
    adam = optax.adam(1e-2)
    state = adam.init(params)
    ranks = {"updates": like(params), "state": like(state)}
    update = auto_vmap(**ranks)(adam.update)
    grads = {"b": normal(4, 1, 2), "w": normal(4, 1, 2, 3)}
    states = jax.vmap(adam.init)({"w": normal(5, 2, 3), "b": normal(5, 2)})
    arguments = grads, states
    per_leaf = ranks_of(params), ranks_of(state)
    updates, new_state = agrees(update, jax.jit(adam.update), per_leaf, *arguments)
    assert updates["w"].shape == (4, 5, 2, 3)
    assert new_state[0].count.shape == (4, 5)


def test_a_sweep_of_learning_rates():
    """A whole fit for one learning rate and one start, at every pair of them."""

    @auto_vmap(rate=0, start=1)
    def fit(rate, start):
        optimiser = optax.sgd(rate, momentum=0.9)

        def step(carry, _):
            x, state = carry
            value, grad = jax.value_and_grad(lambda x: jnp.sum((x - 1) ** 2))(x)
            updates, state = optimiser.update(grad, state)
            return (optax.apply_updates(x, updates), state), value

        (x, _), losses = jax.lax.scan(step, (start, optimiser.init(start)), length=5)
        return {"x": x, "losses": losses}

    arguments = jnp.array([1e-3, 1e-2, 1e-1])[:, None], Normal()(4, 2)
    result = agrees(fit, jax.jit(fit.__wrapped__), (0, 1), *arguments)
    assert result["losses"].shape == (3, 4, 5)
