"""Functions and nodes that the tests of faults decorate and are given."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

BATCH = jnp.arange(12.0).reshape(4, 3)


class Pair(NamedTuple):
    """A named tuple."""

    w: Any
    b: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Data:
    """A dataclass that JAX knows."""

    w: Any
    b: Any


@dataclasses.dataclass
class Held:
    """A dataclass that JAX does not know."""

    x: Any

    def get(self) -> Any:
        """What it holds."""
        return self.x


def plain(x: Any, y: Any = 0) -> Any:
    """A function to be decorated."""
    return x


def clashing(x: Any, out_axes: Any) -> Any:
    """Its second parameter bears an option's name."""
    return x + out_axes


def varied(x: Any, *rest: Any, **extra: Any) -> Any:
    """Any number of arguments."""
    return x


async def coroutine(x: Any) -> Any:
    """An async function."""
    return x


async def async_generator(x: Any) -> Any:
    """An async generator."""
    yield x


def generator(x: Any) -> Any:
    """A generator."""
    yield x
