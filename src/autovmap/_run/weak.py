"""Weak types, which padding, cutting and updating an array in place lose."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives

from autovmap._bind.leaf_type import FLOAT0, LeafType


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
