"""Dtypes that JAX's own operations refuse or lose: keys go as their data, weak types come back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives

from autovmap._bind.kinds import FLOAT0, LeafType, is_key


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


def weakened(array: Any) -> Any:
    """The same array with a weak type, as a Python number would give it to a result."""
    return primitives.convert_element_type_p.bind(
        array, new_dtype=array.dtype, weak_type=True, sharding=None
    )


def from_host(array: np.ndarray[Any, Any], like: LeafType) -> Any:
    """A NumPy array as a JAX array, with the weak type and placement that a leaf has.

    Nothing is compiled for it, as each new shape would cost anew.
    """
    if array.dtype == FLOAT0:
        return array
    made = _weak(array) if like.weak else jax.device_put(array)
    return made if like.sharding is None else jax.device_put(made, like.sharding)


def _weak(array: np.ndarray[Any, Any]) -> Any:
    """A NumPy array as a JAX array of weak type.

    To convert one, JAX compiles a program for each shape (65 ms). Its pickles hold NumPy's data
    with the weak type beside it, and are read without: so this is made as if read from one.
    """
    try:
        pickle: Any = jnp.asarray(0.0).__reduce__()
        read, (*_, said) = pickle
        made = read(*array.__reduce__(), {**said, "weak_type": True})
        if made.weak_type and made.shape == array.shape:
            return made
    except Exception:  # a JAX whose pickles are otherwise
        pass
    return weakened(jax.device_put(array))
