"""Public functions of bijx, called on batches; their results are written to a file."""

import sys

import bijx
import jax
import jax.numpy as jnp
import numpy as np
from bijx.bijections.analytic import (
    cubic_nonlinearity,
    log_grad_cubic_nonlinearity,
    log_grad_sinh_nonlinearity,
    sinh_nonlinearity,
    solve_cubic,
)
from bijx.lattice.gauge import wilson_log_prob
from bijx.nn.embeddings import KernelFourier, KernelGauss, KernelLin
from flax import nnx


def normal(*shape: int) -> jax.Array:
    """Standard normal numbers, the same at each call."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))


x = normal(5, 1)
beta = jnp.array([0.1, 0.5, 1.0, 2.0])
found = {
    "solve_cubic": solve_cubic(1.0, x, 2.0 + x**2, beta),
    "sinh": sinh_nonlinearity(x, beta, mu=0.1, nu=-0.1),
    "log_grad_sinh": log_grad_sinh_nonlinearity(x, beta, mu=0.1, nu=-0.1),
    "cubic": cubic_nonlinearity(x, 1.0, 1.0, beta),
    "log_grad_cubic": log_grad_cubic_nonlinearity(x, 1.0, 1.0, beta),
}
inside = jax.nn.sigmoid(x)
for inverse in (False, True):
    value, logdet = bijx.rational_quadratic_spline(
        inside, normal(4, 6), normal(4, 6), normal(4, 5), inverse=inverse
    )
    found |= {f"spline {inverse}": value, f"spline logdet {inverse}": logdet}
lattice = jnp.eye(2) + 0.1 * normal(3, 4, 4, 2, 2, 2)
found["wilson"] = wilson_log_prob(lattice, 2.4)
found["wilson, by beta"] = wilson_log_prob(lattice[:, None], beta)
for kernel in (KernelGauss, KernelLin, KernelFourier):
    embed = kernel(7, rngs=nnx.Rngs(0))
    found[kernel.__name__] = embed(jnp.linspace(0.1, 0.9, 6).reshape(2, 3))
full = bijx.MultivariateNormal((3,), rngs=nnx.Rngs(0))
samples, density = full.sample((4,), rng=jax.random.key(0))
found |= {"samples": samples, "density": density, "log_density": full.log_density(samples)}
found["covariance"] = bijx.DiagonalNormal((3,), rngs=nnx.Rngs(0)).cov

decorated = sys.modules["jax_autovmap"].autovmap(x=0)(lambda x: x)
decorator = "autovmap" if type(decorated).__module__.startswith("autovmap") else "jax_autovmap"
np.savez(sys.argv[1], decorator=decorator, **{k: np.asarray(v) for k, v in found.items()})
