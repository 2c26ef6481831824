"""A bank of Kalman filters: dynamax, tracks x assumed agilities of the target."""

import common
import jax
import jax.numpy as jnp
import numpy as np
from dynamax.linear_gaussian_ssm import LinearGaussianSSM, lgssm_filter

# [one example]
from autovmap import auto_vmap, like


def make_model(agility, dt=1.0, noise=20.0):
    """A target moves straight on, but for random accelerations of so many m/s²."""
    steps = jnp.array([[1.0, dt], [0.0, 1.0]])
    jolt = jnp.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    model, _ = LinearGaussianSSM(state_dim=4, emission_dim=2).initialize(
        initial_mean=jnp.zeros(4),
        initial_covariance=jnp.diag(jnp.array([100.0**2, 10.0**2] * 2)),
        dynamics_weights=jnp.kron(jnp.eye(2), steps),
        dynamics_covariance=agility**2 * jnp.kron(jnp.eye(2), jolt),
        emission_weights=jnp.kron(jnp.eye(2), jnp.array([[1.0, 0.0]])),
        emission_covariance=noise**2 * jnp.eye(2),
    )
    return model


@auto_vmap(model=like(make_model(1.0)), seen=2)
def track(model, seen):
    """The log-likelihood of one track, and the positions that the filter tells."""
    filtered = lgssm_filter(model, seen)
    return filtered.marginal_loglik, filtered.filtered_means[:, ::2]


@auto_vmap(key="key", model=like(make_model(1.0)), randomness="different")
def simulate(key, model):
    """One track: where the target is each second, and where it is seen."""
    states, seen = LinearGaussianSSM(4, 2).sample(model, key, num_timesteps=120)
    return states[:, ::2], seen


# [the call]
true_agility = np.array([0.1, 1.0, 10.0])  # m/s²
assumed = np.geomspace(0.01, 100, 41)


def with_agility(agility):
    """Many models, of which only the covariance of the dynamics has batch dims."""
    one = make_model(1.0)
    covariance = agility[:, None, None] ** 2 * one.dynamics.cov
    return one._replace(dynamics=one.dynamics._replace(cov=covariance))


tracks, seen = simulate.batch(20).jit()(jax.random.key(0), with_agility(true_agility))
models = with_agility(assumed)
bank = track.outer("seen", "model").jit()


# [by hand]
def by_hand(function, models, seen):
    axes = jax.tree.map(lambda _: None, models)
    axes = axes._replace(dynamics=axes.dynamics._replace(cov=0))
    over_models = jax.vmap(function, (axes, None))
    over_tracks = jax.vmap(over_models, (None, 0))
    return jax.vmap(over_tracks, (None, 0))(models, seen)


# [end]
def draw(likelihood, positions):
    figure = common.new_figure(9, 3.9)
    left, right = figure.subplots(1, 2)
    colors = common.ORANGE, common.GREEN, common.BLUE

    of, target, at = 3, 1, slice(30, 90)  # a minute of one track, as it runs to the east
    seconds, origin = jnp.arange(120)[at], tracks[of, target, at, 0][0]
    true, dots = (each[of, target, at, 0] - origin for each in (tracks, seen))
    left.plot(seconds, true, color=common.GREY, lw=6, alpha=0.4, label="true")
    left.plot(seconds, dots, ".", color=common.GREY, ms=5, label="seen")
    for k, color in (10, common.ORANGE), (20, common.GREEN), (40, common.BLUE):
        told = positions[of, target, k, at, 0] - origin
        left.plot(seconds, told, color=color, lw=1.5, label=f"filter of {assumed[k]:g} m/s²")
    left.set(ylim=(-105, 80), xlabel="time (s)", ylabel="position to the east (m)")
    left.set_title(f"A track of the target with {true_agility[target]:g} m/s²")
    left.legend(loc="upper right", ncols=1)

    rise = (likelihood - likelihood.max(-1, keepdims=True)).mean(0)
    for k, color in enumerate(colors):
        right.plot(assumed, rise[k], color=color, lw=1.8)
        right.plot([true_agility[k]] * 2, [-150, 3], ":", color=color, lw=1)
        right.annotate(f"{true_agility[k]:g} m/s²", (true_agility[k], 4), color=color, ha="center")
    right.set(xscale="log", ylim=(-150, 14), xlabel="agility that the filter assumes (m/s²)")
    right.set_ylabel("log-likelihood, below the best filter's")
    right.set_title("Targets of three agilities, mean of 20 tracks")
    common.save(figure, "kalman.png")


def main():
    print(bank.plan(models, seen))
    likelihood, positions = bank(models, seen)

    plain = track.__wrapped__
    one_track = jax.jit(plain)
    common.check(
        (likelihood, positions),
        likelihood.shape,
        lambda i, j, k: one_track(make_model(assumed[k]), seen[i, j]),
        rtol=1e-3,
        atol=1e-2,
    )
    nested = jax.jit(by_hand, static_argnums=0)(plain, models, seen)
    assert jnp.array_equal(likelihood, nested[0]), "the hand-written nest differs"
    draw(likelihood, positions)


if __name__ == "__main__":
    main()
