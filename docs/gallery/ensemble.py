"""What a network does not know: equinox, weight decays x members of an ensemble."""

import common
import equinox as eqx
import jax
import jax.numpy as jnp
import optax

# [one example]
from autovmap import auto_vmap, like


@auto_vmap(key="key", randomness="different")
def make_network(key):
    return eqx.nn.MLP("scalar", "scalar", 32, 2, jnp.tanh, key=key)


one_network = make_network(jax.random.key(0))


@auto_vmap(network=like(one_network), x=0)
def predict(network, x):
    return network(x)


@auto_vmap(key="key", x=1, y=1, randomness="different")
def resample(key, x, y):
    """As many points as there are, drawn from them with replacement."""
    chosen = jax.random.choice(key, x.size, x.shape)
    return x[chosen], y[chosen]


@auto_vmap(network=like(one_network), x=1, y=1, decay=0)
def loss(network, x, y, decay):
    """Of one network on one set of points."""
    weights = sum((layer.weight**2).sum() for layer in network.layers)
    return ((jax.vmap(network)(x) - y) ** 2).mean() + decay * weights


# [the call]
MEMBERS, STEPS = 20, 1500
decays = jnp.array([0.0, 1e-4, 1e-3])
x_key, noise_key, network_key, bootstrap_key = jax.random.split(jax.random.key(1), 4)
x = jax.random.uniform(x_key, (36,), minval=-1, maxval=1)
x = jnp.where(x > 0.1, x + 1, x - 1)  # nothing seen in between
y = jnp.sin(2 * x) + 0.1 * jax.random.normal(noise_key, x.shape)

networks = make_network.batch(3, MEMBERS).jit()(network_key)
samples = resample.batch(MEMBERS).jit()(bootstrap_key, x, y)
gradient = loss.lift(eqx.filter_grad)
optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, STEPS))


@eqx.filter_jit
def train(networks, samples):
    """Adam works element by element, so it takes the whole batch as it is."""
    arrays, rest = eqx.partition(networks, eqx.is_array)

    def step(state, _):
        arrays, memory = state
        slope = gradient(eqx.combine(arrays, rest), *samples, decays[:, None])
        updates, memory = optimiser.update(slope, memory)
        return (eqx.apply_updates(arrays, updates), memory), None

    (arrays, _), _ = jax.lax.scan(step, (arrays, optimiser.init(arrays)), length=STEPS)
    return eqx.combine(arrays, rest)


predictions = predict.outer("network", "x").jit(partition=True)


# [by hand]
def by_hand(function, networks, x, y, decays):
    some = eqx.if_array(0)
    function = eqx.filter_vmap(function, in_axes=(some, 0, 0, None))
    function = eqx.filter_vmap(function, in_axes=(some, None, None, 0))
    return function(networks, x, y, decays)


# [end]
finely = jnp.linspace(-3, 3, 201)


def draw(found):
    figure = common.new_figure(9, 3.4)
    for k, axes in enumerate(figure.subplots(1, 3, sharey=True)):
        mean, width = found[k].mean(0), 2 * found[k].std(0)
        axes.fill_between(finely, mean - width, mean + width, color="#cfe3f1", lw=0)
        axes.plot(finely, found[k].T, color=common.BLUE, lw=0.6, alpha=0.45)
        axes.plot(finely, mean, color=common.BLUE, lw=2, label="mean of 20 networks")
        axes.plot(finely, jnp.sin(2 * finely), "--", color=common.ORANGE, lw=1.3, label="truth")
        axes.plot(x, y, ".", color=common.INK, ms=6, label="seen")
        axes.set(xlabel="x", xlim=(-3, 3), ylim=(-2.9, 2.9))
        axes.set_title(f"Weight decay {decays[k]:g}")
        if k == 0:
            axes.set_ylabel("y")
        if k == 2:
            axes.legend(loc="lower left", borderaxespad=0)
    common.save(figure, "ensemble.png")


def main():
    arguments = networks, *samples, decays[:, None]
    print(gradient.plan(*arguments))
    trained = train(networks, samples)
    found = predictions(trained, finely)

    def member(networks, *index):
        return jax.tree.map(lambda leaf: leaf[index] if eqx.is_array(leaf) else leaf, networks)

    one_gradient = eqx.filter_jit(eqx.filter_grad(loss.__wrapped__))
    slopes = eqx.filter_jit(gradient)(*arguments)

    def one(i, j):
        return one_gradient(member(networks, i, j), samples[0][j], samples[1][j], decays[i])

    common.check(eqx.filter(slopes, eqx.is_array), (3, MEMBERS), one)
    one_prediction = eqx.filter_jit(predict.__wrapped__)
    common.check(
        found, found.shape, lambda i, j, k: one_prediction(member(trained, i, j), finely[k])
    )
    nested = eqx.filter_jit(by_hand)(eqx.filter_grad(loss.__wrapped__), networks, *samples, decays)
    both = zip(jax.tree.leaves(slopes), jax.tree.leaves(nested), strict=True)
    assert all(jnp.allclose(a, b, atol=1e-5) for a, b in both), "the hand-written nest differs"
    draw(found)


if __name__ == "__main__":
    main()
