"""Which value target to learn from: rlax, discounts x values x lambdas x walks x starts."""

import common
import jax
import jax.numpy as jnp
import rlax
from matplotlib.ticker import PercentFormatter

# [one example]
from autovmap import auto_vmap

STATES, STEPS, MOVES = 20, 60, {0: 0.3, 1: 0.6, -1: 0.1}
ring = jnp.arange(STATES)
reward = jnp.sin(2 * jnp.pi * ring / STATES)  # for a step into each state of a ring


@auto_vmap(key="key", start=0, randomness="different")
def walk(key, start):
    """The states of one random walk on the ring, and its noisy rewards."""
    moves_key, noise_key = jax.random.split(key)
    chances = jnp.array([*MOVES.values()])
    moves = jax.random.choice(moves_key, jnp.array([*MOVES]), (STEPS,), p=chances)
    states = (start + moves.cumsum()) % STATES
    return states, reward[states] + 0.5 * jax.random.normal(noise_key, (STEPS,))


@auto_vmap(discount=0)
def true_values(discount):
    """The value of each state, from the ring's transition matrix."""
    step = sum(p * jnp.roll(jnp.eye(STATES), move, axis=1) for move, p in MOVES.items())
    return jnp.linalg.solve(jnp.eye(STATES) - discount * step, step @ reward)


@auto_vmap(states=1, rewards=1, values=1, discount=0, lambda_=0)
def target(states, rewards, values, discount, lambda_):
    """The target for the value of one walk's start, given values that may be wrong."""
    discounts = jnp.full(STEPS, discount)
    return rlax.lambda_returns(rewards, discounts, values[states], lambda_)[0]


# [the call]
discounts = jnp.array([0.8, 0.95])
wrongness, lambdas = jnp.linspace(0, 1, 16), jnp.linspace(0, 1, 41)
states, rewards = walk.batch(60).jit()(jax.random.key(0), ring)
truth = true_values(discounts)[:, None]
size = jnp.sqrt((truth**2).mean(-1, keepdims=True))
mistake = size * jnp.sqrt(2) * jnp.cos(4 * jnp.pi * ring / STATES)
learnt = truth + wrongness[:, None] * mistake

grid = states, rewards, learnt, discounts[:, None], lambdas
targets = target.outer(("values", "discount"), "lambda_", ("states", "rewards"))
targets = targets.chunk(memory="32MiB")


# [by hand]
def by_hand(function, states, rewards, values, discounts, lambdas):
    for _ in range(2):  # walks and starts
        function = jax.vmap(function, (0, 0, None, None, None))
    function = jax.vmap(function, (None, None, None, None, 0))
    function = jax.vmap(function, (None, None, 0, None, None))
    each = values, discounts[:, 0]
    return jax.lax.map(lambda one: function(states, rewards, *one, lambdas), each)


# [end]
def draw(found):
    bias = ((found.mean(-2) - truth[:, :, None]) ** 2).mean(-1)
    spread = found.var(-2).mean(-1)
    bias, spread = bias / size**2, spread / size**2
    error = jnp.sqrt(bias + spread)
    best = error.argmin(-1)

    figure = common.new_figure(9, 3.5)
    left, *others = figure.subplots(1, 3)
    of, wrong = 1, 9
    areas = "bias² (wrong values)", "variance (random walks)"
    left.stackplot(
        lambdas, bias[of, wrong], spread[of, wrong],
        colors=(common.BLUE, "#f3b98a"), labels=areas, lw=0,
    )  # fmt: skip
    at = lambdas[best[of, wrong]], error[of, wrong].min() ** 2
    left.plot(*at, "o", color=common.INK, ms=6, clip_on=False)
    left.annotate("best λ", at, (0, 8), textcoords="offset points", ha="center")
    left.set(xlim=(0, 1), ylim=(0, 1.35 * (error[of, wrong] ** 2).max()))
    left.set(xlabel="λ", ylabel="mean squared error of the target")
    left.set_title(f"Discount {discounts[of]:g}, error {wrongness[wrong]:.0%}")
    left.legend(loc="upper left")

    for k, axes in enumerate(others):
        shades = axes.contourf(
            lambdas, wrongness, error[k], jnp.linspace(0.2, 1, 17), cmap="viridis_r", extend="max"
        )
        axes.plot(lambdas[best[k]], wrongness, "o-", color="white", mec=common.INK, ms=5, lw=2)
        axes.set(xlabel="λ", title=f"Discount {discounts[k]:g}, best λ")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    others[0].set_ylabel("error of the values")
    figure.colorbar(shades, ax=others, label="RMS error of the target")
    common.save(figure, "targets.png")


def main():
    print(targets.plan(*grid))
    found = targets(*grid)

    plain = target.__wrapped__
    one_target = jax.jit(plain)
    common.check(
        found,
        found.shape,
        lambda d, w, i, k, s: one_target(
            states[k, s], rewards[k, s], learnt[d, w], discounts[d], lambdas[i]
        ),
    )
    nested = jax.jit(by_hand, static_argnums=0)(plain, *grid)
    assert jnp.allclose(found, nested, atol=1e-5), "the hand-written nest differs"
    draw(found)


if __name__ == "__main__":
    main()
