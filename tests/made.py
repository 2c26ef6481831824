"""Arrays for tests, made by NumPy: JAX would compile a program for each new shape."""

import jax
import numpy as np


def numbers(*shape: int) -> jax.Array:
    """Distinct small floats, none of them zero."""
    count = int(np.prod(shape, dtype=int))
    return on_device((np.arange(1, count + 1, dtype=np.float32) / 8).reshape(shape))


def on_device(array: np.ndarray) -> jax.Array:
    """A JAX array of its own; `jnp.asarray` compiles for each new shape."""
    return jax.device_put(array.copy())
