"""Decorated functions inside each other, and inside the training steps of two libraries."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap
from compose.examples import arrays, close, numpy_loop, plain, quadratic

S, V, M = arrays()


def ping_plain(x: Any, y: Any, depth: int) -> Any:
    """NumPy's version of the two functions below, of scalars."""
    if depth == 0:
        return x - y
    return x * sum(pong_plain(y, k, depth - 1) for k in (1.0, 2.0, 3.0))


def pong_plain(x: Any, y: Any, depth: int) -> Any:
    """The other one."""
    if depth == 0:
        return x + 2 * y
    return y + sum(ping_plain(k, x, depth - 1) for k in (0.5, -1.0))


@auto_vmap(x=0, y=0)
def ping(x: Any, y: Any, depth: int) -> Any:
    """Calls `pong` with a batch of its own, which broadcasts against a scalar."""
    if depth == 0:
        return x - y
    return x * pong(y, jnp.array([1.0, 2.0, 3.0]), depth - 1).sum()


@auto_vmap(x=0, y=0)
def pong(x: Any, y: Any, depth: int) -> Any:
    """Calls `ping` likewise, with the arguments changed over."""
    if depth == 0:
        return x + 2 * y
    return y + ping(jnp.array([0.5, -1.0]), x, depth - 1).sum()


@pytest.mark.parametrize("depth", range(4))
def test_two_functions_that_call_each_other(depth: int) -> None:
    x, y = jnp.array([[1.0], [2.0]]), jnp.array([0.5, -1.0, 3.0])
    expected = np.vectorize(ping_plain)(np.asarray(x), np.asarray(y), depth)
    close(ping(x, y, depth), expected)
    close(jax.jit(ping, static_argnums=2)(x, y, depth), expected)


def test_the_inner_call_may_broadcast_a_row_against_a_column() -> None:
    @auto_vmap(x=1, y=1)
    def outer_sum(x: Any, y: Any) -> Any:
        return inner(x[:, None], y).sum()

    @auto_vmap(x=0, y=0)
    def inner(x: Any, y: Any) -> Any:
        return jnp.maximum(x, y)

    x, y = jnp.arange(6.0).reshape(2, 1, 3), jnp.arange(8.0).reshape(2, 4)
    expected = np.vectorize(lambda x, y: np.maximum.outer(x, y).sum(), signature="(m),(n)->()")(
        x, y
    )
    close(outer_sum(x, y), expected)


def test_auto_vmap_of_a_decorated_function() -> None:
    """The inner declaration takes what the outer one leaves: here a vector, as scalars."""
    inner = auto_vmap(x=0, y=0)(lambda x, y: x * y)
    outer = auto_vmap(x=1, y=0)(inner)
    x, y = jnp.arange(6.0).reshape(2, 3), jnp.array([[1.0], [10.0]])
    assert outer(x, y).shape == (2, 2, 3)
    close(outer(x, y), np.asarray(x)[None] * np.asarray(y)[..., None])


def test_auto_vmap_of_a_decorated_function_of_the_same_ranks() -> None:
    again = auto_vmap(s=0, v=1, m=2)(quadratic)
    close(again(S, V, M), numpy_loop(plain)(S, V, M))
    assert str(again.plan(S, V, M)) == str(quadratic.plan(S, V, M))


def test_a_decorated_function_as_an_argument_of_one() -> None:
    apply = auto_vmap(x=1)(lambda f, x: f(x).sum())
    double = auto_vmap(x=0)(lambda x: 2 * x)
    close(apply(double, jnp.arange(6.0).reshape(2, 3)), [6.0, 24.0])


def test_in_a_scan_body_with_a_broadcasting_input() -> None:
    """One random-walk filter a candidate variance, all series at once."""

    @auto_vmap(mean=0, x=0, gain=0)
    def update(mean: Any, x: Any, gain: Any) -> Any:
        return mean + gain * (x - mean)

    gain, xs = jnp.array([[0.1], [0.5]]), jnp.arange(12.0).reshape(4, 3)
    carry, means = jax.lax.scan(lambda m, x: (update(m, x, gain),) * 2, jnp.zeros((2, 3)), xs)
    assert means.shape == (4, 2, 3)
    for i in range(2):
        for j in range(3):
            mean = 0.0
            for k in range(4):
                mean += gain[i, 0] * (xs[k, j] - mean)
            close(carry[i, j], mean)


SLOPES = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 3.0]], np.float32)


def problem() -> tuple[Any, Any]:
    """A linear problem of two outputs that the models below can solve."""
    x = jax.random.normal(jax.random.key(0), (64, 3))
    return x, x @ jnp.asarray(SLOPES).T + 1.0


def test_in_an_equinox_training_step() -> None:
    eqx = pytest.importorskip("equinox")
    optax = pytest.importorskip("optax")

    @auto_vmap(x=1, y=1)
    def loss(model: Any, x: Any, y: Any) -> Any:
        return ((model(x) - y) ** 2).sum()

    model = eqx.nn.Linear(3, 2, key=jax.random.key(1))
    optimiser = optax.adam(0.1)
    traces = []

    @eqx.filter_jit
    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        traces.append(x.shape)
        value, gradient = eqx.filter_value_and_grad(lambda m: loss(m, x, y).mean())(model)
        updates, state = optimiser.update(gradient, state, eqx.filter(model, eqx.is_array))
        return eqx.apply_updates(model, updates), state, value

    x, y = problem()
    by_hand = jax.grad(lambda w: (((x @ w.T + model.bias) - y) ** 2).sum(1).mean())(model.weight)
    gradient = eqx.filter_grad(lambda m: loss(m, x, y).mean())(model)
    close(gradient.weight, by_hand, rtol=1e-4)
    state = optimiser.init(eqx.filter(model, eqx.is_array))
    for _ in range(200):
        model, state, value = step(model, state, x, y)
    assert value < 1e-3
    assert len(traces) == 1
    np.testing.assert_allclose(model.weight, SLOPES, atol=0.05)


def test_an_ensemble_of_equinox_models() -> None:
    """Models stacked along a batch axis against the data along another."""
    eqx = pytest.importorskip("equinox")
    make = eqx.filter_vmap(lambda key: eqx.nn.Linear(3, 2, key=key))
    models = make(jax.random.split(jax.random.key(0), 5))
    predict = auto_vmap(model={"weight": 2, "bias": 1}, x=1)(lambda model, x: model(x))
    x = jnp.arange(12.0).reshape(4, 1, 3)
    weight, bias = np.asarray(models.weight), np.asarray(models.bias)
    close(predict(models, x), np.einsum("eoi,bi->beo", weight, x[:, 0]) + bias, rtol=1e-4)


def test_in_a_flax_training_step() -> None:
    nn = pytest.importorskip("flax.linen")
    optax = pytest.importorskip("optax")
    model = nn.Dense(2)

    @auto_vmap(x=1, y=1)
    def loss(params: Any, x: Any, y: Any) -> Any:
        return ((model.apply(params, x) - y) ** 2).sum()

    optimiser = optax.adam(0.1)

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = jax.value_and_grad(lambda p: loss(p, x, y).mean())(params)
        updates, state = optimiser.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    x, y = problem()
    params = model.init(jax.random.key(1), x[0])
    state = optimiser.init(params)
    for _ in range(200):
        params, state, value = step(params, state, x, y)
    assert value < 1e-3
    np.testing.assert_allclose(params["params"]["kernel"].T, SLOPES, atol=0.05)


def test_inside_a_flax_module() -> None:
    """A decorated layer in a linen module that is itself called on batches of two depths."""
    nn = pytest.importorskip("flax.linen")
    pairwise = auto_vmap(a=1, b=1)(lambda a, b: jnp.exp(-((a - b) ** 2).sum()))

    class Attention(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
            return pairwise(x[..., :, None, :] * scale, x[..., None, :, :] * scale)

    x = jnp.linspace(0, 1, 24).reshape(2, 4, 3)
    model = Attention()
    params = model.init(jax.random.key(0), x)
    expected = np.exp(-((x[:, :, None] - x[:, None]) ** 2).sum(-1))
    close(model.apply(params, x), expected)
    gradient = jax.grad(lambda p: model.apply(p, x).sum())(params)
    assert gradient["params"]["scale"].shape == (3,)
