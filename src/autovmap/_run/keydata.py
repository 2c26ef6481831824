"""Arrays of keys as their data: JAX gathers, updates and pads no keys, but their numbers."""

from typing import Any

import jax

from autovmap._bind.kinds import is_key


def as_data(array: Any) -> Any:
    """An array as it is, or the data of an array of keys, whose last dims are a key's own."""
    return jax.random.key_data(array) if is_key(array) else array


def as_keys(data: Any, like: Any) -> Any:
    """Data as what it is the data of: keys of the kind that an array or a shape has, or itself."""
    return jax.random.wrap_key_data(data, impl=_kind(like)) if is_key(like) else data


def data_shape(like: Any) -> Any:
    """The shape and dtype of the data of an array or a shape."""
    return jax.eval_shape(jax.random.key_data, like) if is_key(like) else like


def _kind(like: Any) -> Any:
    """The implementation of keys; a shape has it only inside of a trace."""
    if isinstance(like, jax.Array):
        return jax.random.key_impl(like)
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), like)
    return found[0]
