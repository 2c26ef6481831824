"""What the caller's say is tried on: a draw, a cost, and a loss of a small model."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from autovmap import auto_vmap
from made import numbers


@auto_vmap(key="key", mean=0, scale=0, randomness="different")
def draw(key: Any, mean: Any, scale: Any = 1.0) -> Any:
    """One draw of one normal distribution."""
    return mean + scale * jax.random.normal(key)


@auto_vmap(x=1, a=0, b=0)
def cost_of(x: Any, a: Any, b: Any) -> Any:
    """A number of a vector and two numbers."""
    return {"cost": a * (x @ x) + b, "parts": [x * a, None]}


class Line(eqx.Module):
    """A small model."""

    w: jax.Array
    b: jax.Array

    def __call__(self, x: Any) -> Any:
        return jnp.tanh(self.w @ x) @ self.b


@auto_vmap(model={"w": 2, "b": 1}, x=1, a=0, b=0)
def loss(model: Any, x: Any, a: Any, b: Any) -> Any:
    return a * model(x) ** 2 + b


def models(n: int) -> Line:
    """n models in one tree."""
    return Line(jnp.sin(numbers(n, 2, 3)), jnp.cos(numbers(n, 2)))
