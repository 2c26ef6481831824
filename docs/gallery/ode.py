"""The paradox of enrichment: diffrax, carrying capacities x starts of predators and prey."""

import common
import diffrax
import jax
import jax.numpy as jnp

# [one example]
from autovmap import auto_vmap

DEATHS, BIRTHS = 0.3, 0.8  # of predators: in a unit of time, and for each prey eaten


def rates(t, number, capacity):
    prey, predator = number["prey"], number["predator"]
    eaten = prey * predator / (1 + prey)
    return {
        "prey": prey * (1 - prey / capacity) - eaten,
        "predator": BIRTHS * eaten - DEATHS * predator,
    }


@auto_vmap(start={"prey": 0, "predator": 0}, capacity=0, times=1)
def solve(start, capacity, times):
    """Prey and predators at these times, and how many steps the solver took."""
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rates),
        diffrax.Tsit5(),
        t0=0.0,
        t1=times[-1],
        dt0=0.01,
        y0=start,
        args=capacity,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-7),
        max_steps=10_000,
    )
    return solution.ys, solution.stats["num_steps"]


# [the call]
capacity = jnp.linspace(0.8, 5, 64)
start = {"prey": jnp.array([0.3, 1.0, 2.5]), "predator": jnp.array([0.2, 1.5, 0.6])}
times = jnp.concatenate([jnp.linspace(0, 100, 501), jnp.linspace(400, 500, 501)])

sweep = solve.outer("capacity", "start").chunk(12)


# [by hand]
def by_hand(function, start, capacity, times):
    over_starts = jax.vmap(function, ({"prey": 0, "predator": 0}, None, None))
    over_both = jax.vmap(over_starts, (None, 0, None))
    chunks = capacity.reshape(-1, 4)  # of 12 examples: it must divide
    found = jax.lax.map(lambda part: over_both(start, part, times), chunks)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), found)


# [end]
def draw(numbers):
    figure = common.new_figure(9, 3.5)
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.3))
    colors = common.BLUE, common.ORANGE, common.GREEN
    for axes, k in zip(panels, (12, 27), strict=False):
        for i, color in enumerate(colors):
            prey, predator = numbers["prey"][k, i, :501], numbers["predator"][k, i, :501]
            axes.plot(prey, predator, color=color, lw=1.2)
            axes.plot(prey[0], predator[0], "o", color=color)
        axes.set(xlabel="prey", xlim=(0, 3), ylim=(0, 2.2), title=f"Capacity {capacity[k]:.1f}")
    panels[0].set_ylabel("predators")

    late = numbers["prey"][:, :, 501:]
    ends = panels[2]
    for i, (color, width) in enumerate(zip(colors, (6, 3.5, 1.2), strict=True)):
        for extreme in (late[:, i].min(-1), late[:, i].max(-1)):
            ends.plot(capacity, extreme, color=color, lw=width)
    bifurcation = 1 + 2 * DEATHS / (BIRTHS - DEATHS)
    ends.axvline(bifurcation, color=common.INK, lw=1, ls=":")
    ends.annotate("Hopf  \nbifurcation,  \nby theory  ", (bifurcation, 1e-3), ha="right")
    ends.set(yscale="log", xlabel="capacity", ylabel="prey, least and most", ylim=(6e-4, 8))
    ends.set_title("In the long run, from all three starts")
    common.save(figure, "ode.png")


def main():
    arguments = start, capacity, times
    print(sweep.plan(*arguments))
    numbers, steps = sweep(*arguments)
    # a chunk ends with its own slowest example, not with the slowest of all
    assert steps.reshape(-1, 12).max(-1).mean() < 0.8 * steps.max()

    plain = solve.__wrapped__
    one_solve = jax.jit(plain)
    common.check(
        numbers,
        steps.shape,
        lambda i, j: one_solve({name: start[name][j] for name in start}, capacity[i], times)[0],
        rtol=2e-2,
        atol=2e-3,
    )
    nested = jax.jit(by_hand, static_argnums=0)(plain, *arguments)
    assert jnp.array_equal(steps, nested[1]), "the hand-written nest differs"
    draw(numbers)


if __name__ == "__main__":
    main()
