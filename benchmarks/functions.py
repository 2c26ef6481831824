"""A dozen functions of one example, each as autovmap, as a nest by hand, and as batched code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def definite(*shape: int) -> Any:
    """Positive definite matrices."""
    a = RNG.normal(size=shape)
    return jnp.asarray(a @ a.swapaxes(-1, -2) + 5 * np.eye(shape[-1]), jnp.float32)


@dataclass(frozen=True)
class Function:
    """A function of two arguments, with their ranks and shapes for one example."""

    name: str
    one: Callable[[Any, Any], Any]
    ranks: tuple[int, int]
    make: tuple[Callable[..., Any], Callable[..., Any]]
    core: tuple[tuple[int, ...], tuple[int, ...]]
    batched: Callable[[Any, Any], Any] | None = None
    """The same for a batch axis in front of both, as one would write it without vmap."""


def scan(x, y):
    return lax.scan(lambda c, v: (0.9 * c + v, c * v), jnp.zeros(()), x)[1].sum() + y.sum()


def batched_scan(x, y):
    step = lambda c, v: (0.9 * c + v, c * v)  # noqa: E731
    return lax.scan(step, jnp.zeros(x.shape[0]), x.T)[1].sum(0) + y.sum(-1)


def attention(q, k):
    return jax.nn.softmax(q @ k.T / 4) @ k


def convolution(x, w):
    return jnp.convolve(x, w, mode="same")


FUNCTIONS = [
    Function(
        "matmul chain",
        lambda a, b: a @ b @ a,
        (2, 2),
        (normal, normal),
        ((16, 16),) * 2,
        lambda a, b: a @ b @ a,
    ),
    Function(
        "Cholesky solve",
        lambda a, b: jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(a), True), b),
        (2, 1),
        (definite, normal),
        ((12, 12), (12,)),
    ),
    Function(
        "MLP",
        lambda w, x: jnp.tanh(w @ jnp.tanh(w @ x)),
        (2, 1),
        (normal, normal),
        ((16, 16), (16,)),
        lambda w, x: jnp.tanh(w @ jnp.tanh(w @ x[..., None]))[..., 0],
    ),
    Function("scan", scan, (1, 1), (normal, normal), ((50,), (50,)), batched_scan),
    Function(
        "while",
        lambda x, y: lax.while_loop(lambda c: c < 5, lambda c: c + jnp.abs(x) + 0.1, y * 0),
        (0, 0),
        (normal, normal),
        ((), ()),
    ),
    Function(
        "cond",
        lambda x, y: lax.cond(x > 0, jnp.sin, jnp.cos, y),
        (0, 1),
        (normal, normal),
        ((), (32,)),
        lambda x, y: jnp.where(x[:, None] > 0, jnp.sin(y), jnp.cos(y)),
    ),
    Function(
        "sort",
        lambda x, y: jnp.sort(x) * y,
        (1, 1),
        (normal, normal),
        ((64,), (64,)),
        lambda x, y: jnp.sort(x, axis=-1) * y,
    ),
    Function("conv", convolution, (1, 1), (normal, normal), ((64,), (5,))),
    Function(
        "fft",
        lambda x, y: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(y)),
        (1, 1),
        (normal, normal),
        ((64,), (64,)),
        lambda x, y: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(y)),
    ),
    Function(
        "gather",
        lambda x, y: x[jnp.argsort(y)],
        (1, 1),
        (normal, normal),
        ((64,), (64,)),
        lambda x, y: jnp.take_along_axis(x, jnp.argsort(y, axis=-1), axis=-1),
    ),
    Function(
        "eigh",
        lambda a, b: jnp.linalg.eigh(a)[0] * b,
        (2, 1),
        (definite, normal),
        ((8, 8), (8,)),
        lambda a, b: jnp.linalg.eigh(a)[0] * b,
    ),
    Function(
        "attention",
        attention,
        (2, 2),
        (normal, normal),
        ((16, 16), (16, 16)),
        lambda q, k: jax.nn.softmax(q @ k.swapaxes(-1, -2) / 4, axis=-1) @ k,
    ),
]
