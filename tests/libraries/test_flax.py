import jax
import jax.numpy as jnp
import pytest

from autovmap import auto_vmap, like

from .loop import Normal, agrees, assert_same, loop, ranks_of

pytest.importorskip("flax")
from flax import linen as nn
from flax import nnx
from flax.training.train_state import TrainState

optax = pytest.importorskip("optax")

pytestmark = pytest.mark.libraries


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.tanh(nn.Dense(4)(x)))


def init(module, *inputs):
    return module.init(jax.random.key(0), *inputs)


def test_linen_apply():
    """The bound method itself; what follows the variables is `*args`."""
    net, normal = Net(), Normal()
    one = init(net, normal(3))
    many = jax.vmap(net.init, (0, None))(jax.random.split(jax.random.key(1), 4), normal(3))
    many = jax.tree.map(lambda w: w[:, None], many)
    apply = auto_vmap(variables=like(one), args=1)(net.apply)
    result = agrees(apply, net.apply, (ranks_of(one), 1), many, normal(5, 3))
    assert result.shape == (4, 5, 2)


def test_linen_lstm_cell():
    cell, normal = nn.LSTMCell(4), Normal()
    variables = init(cell, (normal(4), normal(4)), normal(3))

    @auto_vmap(carry=(1, 1), x=1)
    def step(variables, carry, x):
        return cell.apply(variables, carry, x)

    arguments = variables, (normal(2, 1, 4), normal(4)), normal(3, 3)
    (c, h), y = agrees(step, jax.jit(step.__wrapped__), (None, 1, 1), *arguments)
    assert c.shape == h.shape == y.shape == (2, 3, 4)


def test_linen_dropout():
    """Keys in a dict of generators."""
    dropout, normal = nn.Dropout(0.5, deterministic=False), Normal()

    @auto_vmap(x=1, rngs={"dropout": "key"})
    def apply(x, rngs):
        return dropout.apply({}, x, rngs=rngs)

    rngs = {"dropout": jax.random.split(jax.random.key(0), 3)[:, None]}
    assert agrees(apply, apply.__wrapped__, (1, "key"), normal(2, 8), rngs).shape == (3, 2, 8)


def test_train_state_ranked_by_field():
    """A struct dataclass, some of whose fields are mapped, inside which functions are static."""
    net, normal = Net(), Normal()
    params = init(net, normal(3))["params"]
    one = TrainState.create(apply_fn=net.apply, params=params, tx=optax.sgd(0.1))
    many = one.replace(params=jax.tree.map(lambda w: normal(2, 1, *w.shape), params))
    ranks = {"step": None, "params": like(params), "opt_state": None}
    update = auto_vmap(state=ranks, x=1)(
        lambda state, x: state.apply_gradients(
            grads=jax.grad(lambda p: jnp.sum(state.apply_fn({"params": p}, x)))(state.params)
        )
    )
    per_leaf = [None, *ranks_of(params)]  # the step comes first
    new = agrees(update, jax.jit(update.__wrapped__), (per_leaf, 1), many, normal(3, 3))
    assert new.params["Dense_1"]["kernel"].shape == (2, 3, 3, 4)
    assert new.step == 1  # a Python number inside of an object, which stays one


def test_nnx_module_as_argument():
    """An nnx module is a pytree of variables."""
    normal = Normal()
    one = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

    @nnx.vmap
    def make(key):
        return nnx.Linear(3, 2, rngs=nnx.Rngs(key))

    many = make(jax.random.split(jax.random.key(1), 4))
    call = auto_vmap(model=like(one), x=1)(lambda model, x: model(x))
    result = agrees(call, call.__wrapped__, (ranks_of(one), 1), many, normal(5, 1, 3))
    assert result.shape == (5, 4, 2)


def test_nnx_merge():
    """nnx's functional form: the graph is not ranked, the state is."""
    normal = Normal()
    graph, one = nnx.split(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    many = jax.tree.map(lambda w: normal(4, *w.shape), one)

    @auto_vmap(state=like(one), x=1)
    def call(state, x):
        return nnx.merge(graph, state)(x)

    result = agrees(call, call.__wrapped__, (ranks_of(one), 1), many, normal(5, 1, 3))
    assert result.shape == (5, 4, 2)


def test_a_decorated_function_in_a_training_step():
    """As in flax's own examples, with `auto_vmap` in place of `jax.vmap`."""
    net, normal = Net(), Normal()
    x, y = normal(6, 3), normal(6, 2)
    params = init(net, x[0])["params"]
    start = TrainState.create(apply_fn=net.apply, params=params, tx=optax.adam(1e-2))

    @auto_vmap(x=1, y=1)
    def example_loss(params, x, y):
        return jnp.mean(optax.l2_loss(net.apply({"params": params}, x), y))

    def loop_loss(params, x, y):
        return loop(example_loss.__wrapped__, (None, 1, 1), params, x, y)

    def make_step(loss):
        @jax.jit
        def step(state, x, y):
            value, grads = jax.value_and_grad(lambda p: jnp.mean(loss(p, x, y)))(state.params)
            return value, state.apply_gradients(grads=grads)

        return step

    got_step, want_step = make_step(example_loss), make_step(loop_loss)
    got = want = start
    values = []
    for _ in range(3):
        value, got = got_step(got, x, y)
        want_value, want = want_step(want, x, y)
        assert_same((value, got), (want_value, want))
        values.append(value)
    assert values[0] > values[1] > values[2]


def test_an_nnx_training_step():
    normal = Normal()
    x, y = normal(6, 3), normal(6, 2)
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimiser = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)

    @auto_vmap(x=1, y=1)
    def example_loss(model, x, y):
        return jnp.mean((model(x) - y) ** 2)

    @nnx.jit
    def step(model, optimiser, x, y):
        value, grads = nnx.value_and_grad(lambda m: jnp.mean(example_loss(m, x, y)))(model)
        optimiser.update(model, grads)
        return value

    def expected(kernel, bias):
        return jnp.mean((x @ kernel + bias - y) ** 2)

    before = model.kernel[...], model.bias[...]
    want, grads = jax.value_and_grad(expected, (0, 1))(*before)
    assert_same(step(model, optimiser, x, y), want)
    after = jax.tree.map(lambda p, g: p - 0.1 * g, before, grads)
    assert_same((model.kernel[...], model.bias[...]), after)
