"""Six functions of libraries, batched by hand and moved: one call of each, eager and compiled.

`python benchmarks/moved.py` prints the ratios of times, ours over by hand, that
docs/howto/library.md quotes.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ratios import interleaved

from autovmap import auto_vmap


def rotate(v: Any, q: Any) -> Any:
    """A vector turned by a quaternion."""
    s, u = q[0], q[1:]
    return 2 * (u @ v) * u + (s * s - u @ u) * v + 2 * s * jnp.cross(u, v)


def nearest(points: Any, query: Any) -> Any:
    """The index of the nearest point."""
    return jnp.argmin(((points - query) ** 2).sum(-1))


def nearest_by_hand(points: Any, query: Any) -> Any:
    """By `if query.ndim == 1`."""
    found = jnp.argmin(((points - jnp.atleast_2d(query)[:, None]) ** 2).sum(-1), axis=-1)
    return found[0] if query.ndim == 1 else found


def cost(x: Any, y: Any) -> Any:
    """A distance of two points."""
    return jnp.sqrt(((x - y) ** 2).sum())


def log_prob(x: Any, mean: Any, chol: Any) -> Any:
    """A Gaussian density but for its constant."""
    z = jax.scipy.linalg.solve_triangular(chol, x - mean, lower=True)
    return -z @ z / 2 - jnp.log(jnp.diag(chol)).sum()


def smooth(x: Any, kernel: Any) -> Any:
    """A signal, smoothed."""
    return jnp.convolve(x, kernel, mode="same")


def smooth_by_hand(x: Any, kernel: Any) -> Any:
    """By reshapes."""
    flat = x.reshape(-1, x.shape[-1])
    return jax.vmap(smooth, (0, None))(flat, kernel).reshape(x.shape)


def step(state: Any, rate: Any) -> Any:
    """A step of a particle."""
    return {**state, "at": state["at"] + rate * state["speed"]}


def normal(*shape: int) -> Any:
    """Standard normal numbers."""
    return jax.random.normal(jax.random.key(0), shape)


STATE = {"at": normal(64, 3), "speed": normal(64, 3), "mass": jnp.ones(64)}
CASES = {
    "rotate, one vmap": (
        auto_vmap(v="(3)", q="(4)")(rotate),
        jax.vmap(rotate),
        (normal(64, 3), normal(64, 4)),
    ),
    "nearest, if ndim == 1": (
        auto_vmap(points=2, query=1)(nearest),
        nearest_by_hand,
        (normal(100, 3), normal(64, 3)),
    ),
    "all pairs, nested vmaps": (
        auto_vmap(x=1, y=1)(cost).outer("x", "y"),
        lambda x, y: jax.vmap(lambda a: jax.vmap(partial(cost, a))(y))(x),
        (normal(64, 3), normal(32, 3)),
    ),
    "log_prob, vectorize": (
        auto_vmap("(n),(n),(n,n)->()")(log_prob),
        jnp.vectorize(log_prob, signature="(n),(n),(n,n)->()"),
        (normal(64, 4), normal(4), jnp.eye(4)),
    ),
    "smooth, reshapes": (
        auto_vmap(x=1, kernel=1)(smooth),
        smooth_by_hand,
        (normal(8, 8, 50), jnp.ones(5) / 5),
    ),
    "step, vmap of a tree": (
        auto_vmap(state={"mass": 0, ...: 1}, rate=0)(step),
        jax.vmap(step, in_axes=(0, None)),
        (STATE, 0.1),
    ),
}


def main() -> None:
    """Print the table."""
    for name, (ours, by_hand, args) in CASES.items():
        eager = interleaved(partial(ours, *args), partial(by_hand, *args), name, "", 3.0)
        both = ours.jit(), jax.jit(by_hand)
        compiled = interleaved(*(partial(f, *args) for f in both), name, "", 1.0)
        print(f"| {name} | {eager.by_cpu:.2f} | {compiled.by_cpu:.2f} |")


if __name__ == "__main__":
    main()
