"""The Nile's annual flow, and the local level model for ONE series and two scalar variances."""

# JAX's own types are partly unknown.
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass
from importlib.resources import files
from typing import TypeAlias, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from numpy.typing import NDArray

from autovmap import auto_vmap

_State: TypeAlias = tuple[Array, Array, Array]  # level, its variance, log-likelihood so far


@auto_vmap(y=1, var_obs=0, var_level=0)
def log_likelihood(y: ArrayLike, var_obs: ArrayLike, var_level: ArrayLike) -> Array:
    """The Kalman filter's log-likelihood of one series under two variances.

    >>> import numpy as np
    >>> y = np.array([3.0, 5.0, 4.0, 8.0])
    >>> log_likelihood(y, 1.0, 0.5).shape                                   # one value
    ()
    >>> log_likelihood(y, np.ones((200, 1)), np.ones(300)).shape            # a grid
    (200, 300)
    >>> log_likelihood(np.ones((7, 1, 1, 4)), np.ones((2, 1)), np.ones(3)).shape
    (7, 2, 3)

    Nothing is assumed about the first level (a diffuse start): the first value sets it, with
    variance `var_obs`, and adds only the constant log(2 pi) / 2. That is the exact limit, as in
    Durbin and Koopman, section 2.9, and in statsmodels with `use_exact_diffuse=True`.

    Args:
        y: the series, shape (years,), in any unit.
        var_obs: the variance of the noise, in that unit squared.
        var_level: the variance of the level's change from one year to the next.
    """
    y = jnp.asarray(y, float)

    def step(state: _State, seen: Array) -> tuple[_State, None]:
        level, variance, total = state  # of the level, as forecast from the years before
        surprise = seen - level
        spread = variance + var_obs
        gain = variance / spread
        total -= (jnp.log(2 * jnp.pi * spread) + surprise**2 / spread) / 2
        # gain * var_obs is variance * (1 - gain) without the subtraction, which would cancel
        return (level + gain * surprise, gain * var_obs + var_level, total), None

    variance = jnp.asarray(var_obs + var_level, y.dtype)
    constant = -jnp.log(2 * jnp.pi) / 2
    (_, _, total), _ = jax.lax.scan(step, (y[0], variance, constant), y[1:])
    return total


@auto_vmap(y=1, var_obs=0, var_level=0)
def smoothed_level(y: ArrayLike, var_obs: ArrayLike, var_level: ArrayLike) -> Array:
    """The level of every year, given all years: shape (years,).

    The model is Gaussian, so the expected noise is var_obs times minus the score of `y`: a
    gradient does the work of a Kalman smoother (Durbin and Koopman, section 2.5).

    >>> import numpy as np
    >>> smoothed_level(np.array([3.0, 5.0, 4.0, 8.0]), np.ones(2), 0.5).shape
    (2, 4)
    """
    y = jnp.asarray(y, float)
    score = cast("Array", jax.grad(log_likelihood)(y, var_obs, var_level))
    return y + var_obs * score


@auto_vmap(key="key", y=1, var_obs=0, var_level=0)
def simulate(key: Array, y: ArrayLike, var_obs: ArrayLike, var_level: ArrayLike) -> Array:
    """A series drawn from the model, as long as `y` and starting from the level `y[0]`.

    >>> import numpy as np
    >>> keys = jax.random.split(jax.random.key(0), 5)
    >>> simulate(keys, np.ones(100), 1.0, 0.5).shape
    (5, 100)
    """
    y = jnp.asarray(y, float)
    noise, change = jax.random.normal(key, (2, *y.shape), y.dtype)
    level = y[0] + jnp.sqrt(var_level) * (jnp.cumsum(change) - change[0])
    return level + jnp.sqrt(var_obs) * noise


@dataclass(frozen=True)
class Nile:
    """One flow a year, in units of 10^8 cubic metres."""

    year: NDArray[np.int64]
    flow: NDArray[np.float64]


def load_nile() -> Nile:
    """Read the series from the installed package.

    >>> nile = load_nile()
    >>> nile.year[[0, -1]].tolist(), nile.flow[:3].tolist(), nile.flow.shape
    ([1871, 1970], [1120.0, 1160.0, 963.0], (100,))
    """
    text = files("autovmap._demo").joinpath("nile.csv").read_text(encoding="utf-8")
    rows = np.array([line.split(",") for line in text.splitlines()[1:]])
    return Nile(year=rows[:, 0].astype(np.int64), flow=rows[:, 1].astype(np.float64))
