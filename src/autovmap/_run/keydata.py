"""Arrays of keys as their data: JAX gathers, updates and pads no keys, but their numbers."""

from typing import Any

import jax

from autovmap._bind.kinds import is_key


def as_data(array: Any) -> Any:
    """An array as it is, or the data of an array of keys, whose last dim is a key's own."""
    return jax.random.key_data(array) if is_key(array) else array


def as_key(data: Any, like: Any) -> Any:
    """Data as keys, if that is what it is the data of."""
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(like)) if is_key(like) else data
