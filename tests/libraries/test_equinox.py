import jax
import jax.numpy as jnp
import pytest

from autovmap import SpecError, auto_vmap, like

from .loop import Normal, agrees, assert_same, loop, ranks_of

eqx = pytest.importorskip("equinox")

pytestmark = pytest.mark.libraries


def keys(*shape):
    return jax.random.split(jax.random.key(0), shape)


def make_mlp(key):
    return eqx.nn.MLP(3, 2, 4, 1, activation=jnp.tanh, key=key)


def test_an_ensemble_of_mlps():
    """Activation functions are leaves of an MLP, and no arrays."""
    one, ensemble = make_mlp(keys()), eqx.filter_vmap(make_mlp)(keys(4))
    ensemble = jax.tree.map(lambda x: x[:, None] if eqx.is_array(x) else x, ensemble)
    predict = auto_vmap(model=like(one), x=1)(lambda model, x: model(x))
    plain = eqx.filter_jit(predict.__wrapped__)
    result = agrees(predict, plain, (ranks_of(one), 1), ensemble, Normal()(5, 3))
    assert result.shape == (4, 5, 2)


def test_making_an_ensemble():
    """Functions and static fields come out of the maps as they are."""
    make = auto_vmap("key")(make_mlp)
    ensemble = agrees(make, make_mlp, ("key",), keys(2, 3))
    assert ensemble.layers[0].weight.shape == (2, 3, 4, 3)


def test_linear_ranked_by_field():
    normal = Normal()
    linear = eqx.nn.Linear(3, 2, key=keys())
    many = eqx.tree_at(lambda m: (m.weight, m.bias), linear, (normal(4, 1, 2, 3), normal(2)))
    call = auto_vmap(self={"weight": 2, "bias": 1}, x=1)(eqx.nn.Linear.__call__)
    assert agrees(call, eqx.nn.Linear.__call__, ([2, 1], 1), many, normal(5, 3)).shape == (4, 5, 2)


def test_linear_without_bias():
    normal = Normal()
    linear = eqx.nn.Linear(3, 2, use_bias=False, key=keys())
    many = eqx.tree_at(lambda m: m.weight, linear, normal(4, 2, 3))
    call = auto_vmap({"weight": 2, "bias": 1}, 1)(lambda model, x: model(x))
    assert agrees(call, call.__wrapped__, (2, 1), many, normal(3, 1, 3)).shape == (3, 4, 2)


def test_an_example_of_another_structure():
    """A bias that the example lacks has no rank: left unmapped, it would broadcast wrongly."""
    normal = Normal()
    without = eqx.nn.Linear(3, 2, use_bias=False, key=keys())
    call = auto_vmap(model=like(without), x=1)(lambda model, x: model(x))
    many = eqx.filter_vmap(lambda key: eqx.nn.Linear(3, 2, key=key))(keys(4))
    with pytest.raises(SpecError, match=r"model\.bias"):
        call(many, normal(5, 1, 3))


def test_a_gru_cell():
    normal = Normal()
    one = eqx.nn.GRUCell(3, 2, key=keys())
    many = eqx.filter_vmap(lambda key: eqx.nn.GRUCell(3, 2, key=key))(keys(4))
    call = auto_vmap(self=like(one), input=1, hidden=1)(eqx.nn.GRUCell.__call__)
    arguments = many, normal(5, 1, 3), normal(2)
    plain = eqx.filter_jit(eqx.nn.GRUCell.__call__)
    assert agrees(call, plain, (ranks_of(one), 1, 1), *arguments).shape == (5, 4, 2)


def test_multihead_attention():
    """A decorated callable module: one set of weights, batches of queries against masks."""
    normal = Normal()
    attention = eqx.nn.MultiheadAttention(2, 4, key=keys())
    call = auto_vmap(query=2, key_=2, value=2, mask=2)(attention)
    query, other = normal(2, 1, 3, 4), normal(5, 4)
    mask = normal(2, 3, 5) > -0.5
    plain = eqx.filter_jit(attention)
    assert agrees(call, plain, (2, 2, 2, 2), query, other, other, mask).shape == (2, 2, 3, 4)


def test_a_decorated_function_in_a_training_step():
    """As in equinox's own examples, with `auto_vmap` in place of `jax.vmap`."""
    normal = Normal()
    model = make_mlp(keys())
    x, y = normal(6, 3), normal(6, 2)

    @auto_vmap(x=1, y=1)
    def example_loss(model, x, y):
        return jnp.mean((model(x) - y) ** 2)

    def loop_loss(model, x, y):
        return loop(example_loss.__wrapped__, (None, 1, 1), model, x, y)

    def make_step(loss):
        @eqx.filter_jit
        def step(model, x, y):
            value, grads = eqx.filter_value_and_grad(lambda m: jnp.mean(loss(m, x, y)))(model)
            return value, eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, grads))

        return step

    got, want = (model, None), (model, None)
    values = []
    for _ in range(3):
        got_value, got = make_step(example_loss)(model if not values else got, x, y)
        want_value, want = make_step(loop_loss)(model if not values else want, x, y)
        assert_same((got_value, got), (want_value, want))
        values.append(got_value)
    assert values[0] > values[1] > values[2]


def test_an_ensemble_in_a_training_step():
    """Gradients for each member, of modules in batches."""
    normal = Normal()
    one, ensemble = make_mlp(keys()), eqx.filter_vmap(make_mlp)(keys(3))

    @auto_vmap(like(one), 2, 2)
    def step(model, x, y):
        value, grads = eqx.filter_value_and_grad(lambda m: jnp.mean((jax.vmap(m)(x) - y) ** 2))(
            model
        )
        return value, eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, grads))

    arguments = ensemble, normal(5, 3), normal(3, 5, 2)
    plain = eqx.filter_jit(step.__wrapped__)
    agrees(eqx.filter_jit(step), plain, (ranks_of(one), 2, 2), *arguments)
