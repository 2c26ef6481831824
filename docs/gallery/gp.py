"""How well few points tell a kernel's hyperparameters: tinygp, data sets x amplitudes x scales."""

import common
import jax
import jax.numpy as jnp
import tinygp

# [one example]
from autovmap import auto_vmap, like

NOISE = 0.2
where = jnp.sort(jax.random.uniform(jax.random.key(5), (25,), maxval=10.0))
finely = jnp.linspace(0.0, 12.0, 91)


def make_kernel(amplitude, scale):
    return amplitude**2 * tinygp.kernels.Matern52(scale)


@auto_vmap(kernel=like(make_kernel(1.0, 1.0)), y=1)
def log_likelihood(kernel, y):
    """Of one data set under one kernel."""
    return tinygp.GaussianProcess(kernel, where, diag=NOISE**2).log_probability(y)


@auto_vmap(kernel=like(make_kernel(1.0, 1.0)), y=1)
def predict(kernel, y):
    """The mean and the variance of the curve, in between the points and beyond."""
    curve = tinygp.GaussianProcess(kernel, where, diag=NOISE**2).condition(y, finely).gp
    return curve.loc, curve.variance


@auto_vmap(key="key", kernel=like(make_kernel(1.0, 1.0)), randomness="different")
def draw_data(key, kernel):
    return tinygp.GaussianProcess(kernel, where, diag=NOISE**2).sample(key)


# [the call]
truth = 1.0, 1.5  # amplitude, length scale
amplitudes, scales = jnp.geomspace(0.25, 8, 40), jnp.geomspace(0.2, 20, 40)
kernels = make_kernel(amplitudes[:, None], scales)
data = draw_data.batch(3)(jax.random.key(1), make_kernel(*truth))

surface = log_likelihood.outer("kernel", "y").jit()
curves = predict.outer("kernel", "y").chunk(memory="16MiB")


# [by hand]
def by_hand(function, kernels, data):
    shape = jnp.broadcast_shapes(*(leaf.shape for leaf in jax.tree.leaves(kernels)))
    kernels = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), kernels)
    over_data = jax.vmap(function, (None, 0))
    return jax.vmap(jax.vmap(over_data, (0, None)), (0, None))(kernels, data)


# [end]
def draw(likelihood, mean, variance):
    weight = jax.nn.softmax(likelihood, (0, 1))[..., None]  # all of the grid, as likely before
    average = (weight * mean).sum((0, 1))
    total = (weight * (variance + mean**2)).sum((0, 1)) - average**2

    figure = common.new_figure(9, 5.2)
    above, below = figure.subplots(2, 3, sharex="row", sharey="row", height_ratios=(1.15, 1))
    for k, (surface, curve) in enumerate(zip(above, below, strict=True)):
        values = likelihood[..., k] - likelihood[..., k].max()
        shades = surface.contourf(
            scales, amplitudes, values, jnp.linspace(-10, 0, 11), cmap="cividis", extend="min"
        )
        # with two parameters, a drop of log(20) bounds a region of 95 %
        surface.contour(scales, amplitudes, values, [-jnp.log(20)], colors="white", linestyles="-")
        row, column = jnp.unravel_index(values.argmax(), values.shape)
        surface.plot(
            scales[column], amplitudes[row], "o", color="white", mec=common.INK, label="maximum"
        )
        surface.plot(*truth[::-1], "P", color=common.ORANGE, mec="white", ms=10, label="truth")
        surface.set(xscale="log", yscale="log", xlabel="length scale")
        surface.set_title(f"Data set {k + 1}")

        for mid, spread, color, label in (
            (average[k], total[k], common.BLUE, "averaged over the grid"),
            (mean[row, column, k], variance[row, column, k], common.ORANGE, "at the maximum"),
        ):
            width = 2 * jnp.sqrt(spread)
            curve.fill_between(finely, mid - width, mid + width, color=color, alpha=0.2, lw=0)
            curve.plot(finely, mid, color=color, lw=1.6, label=label)
        curve.plot(where, data[k], ".", color=common.INK, ms=5)
        curve.set(xlabel="x", xlim=(0, 12))
    for axis, ticks in ((above[0].xaxis, (0.3, 1, 3, 10)), (above[0].yaxis, (0.3, 1, 3))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    above[0].set_ylabel("amplitude")
    above[0].legend(loc="upper left", labelcolor="white")
    below[0].set_ylabel("y")
    below[0].legend(loc="lower left", borderaxespad=0)
    figure.colorbar(shades, ax=above, label="log-likelihood, below its best")
    common.save(figure, "gp.png")


def main():
    print(surface.plan(kernels, data))
    likelihood = surface(kernels, data)
    mean, variance = curves(kernels, data)

    # the matrices depend on the kernels alone, so there is none for each kernel and data set
    program = str(jax.make_jaxpr(surface)(kernels, data))
    assert "[40,40,25,25]" in program
    assert "[40,40,3,25,25]" not in program

    plain = log_likelihood.__wrapped__, predict.__wrapped__
    one_likelihood, one_curve = map(jax.jit, plain)

    def one(i, j, k):
        example = make_kernel(amplitudes[i], scales[j]), data[k]
        return one_likelihood(*example), *one_curve(*example)

    common.check((likelihood, mean, variance), likelihood.shape, one, rtol=1e-2, atol=1e-3)
    nested = jax.jit(by_hand, static_argnums=0)(plain[0], kernels, data)
    assert jnp.allclose(likelihood, nested, rtol=1e-3), "the hand-written nest differs"
    draw(likelihood, mean, variance)


if __name__ == "__main__":
    main()
