"""What each device of a mesh has folded, brought to all of them."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._bind.kinds import is_key
from autovmap._run.dtypes import as_data, as_keys
from autovmap._ways.fold_parts import Names

LARGE = 1 << 20
"""The bytes of all devices' parts together up to which they go through one all-reduce.

A small collective costs its start, whatever it carries, so one is better than two. A large one
costs its bytes, of which an all-reduce of rows moves twice as many as an all-gather does, and
more than two all-reduces of one row: there the fewest bytes are best.
"""


def is_small(array: Any, names: Names) -> bool:
    """Whether the parts of all devices along some mesh axes are little to send."""
    count = lax.psum(1, names) * math.prod(array.shape)
    return isinstance(count, int) and count * array.dtype.itemsize <= LARGE


def of_all(array: Any, names: Names) -> Any:
    """The arrays of all devices along some mesh axes, in their order, along a new first dim.

    One all-reduce where they are small: a sum, to which each device gives its own row, and zeros
    for the others. XLA has all-reduces that call any function, but JAX has none.
    """
    if is_key(array):
        return as_keys(of_all(as_data(array), names), array)
    if not is_small(array, names):
        return lax.all_gather(array, names)
    if array.size == 0:
        return lax.full((lax.psum(1, names), *array.shape), np.zeros((), array.dtype))
    if jnp.iscomplexobj(array):
        parts = of_all(jnp.stack([array.real, array.imag]), names)
        return lax.complex(parts[:, 0], parts[:, 1])
    if jnp.issubdtype(array.dtype, jnp.floating):
        return _floats(array, names)
    narrow = array.dtype.itemsize < 4
    return _rows(array.astype(np.uint32) if narrow else array, names).astype(array.dtype)


def greatest(array: Any, names: Names) -> Any:
    """The largest of all devices' values: `lax.pmax`, but nan where one is, and differentiable."""
    floats = jnp.issubdtype(array.dtype, jnp.floating)
    return _greatest(array, names) if floats else lax.pmax(array, names)


def least(array: Any, names: Names) -> Any:
    """The smallest of all devices' values, as `greatest`."""
    floats = jnp.issubdtype(array.dtype, jnp.floating)
    return -_greatest(-array, names) if floats else lax.pmin(array, names)


def _rows(array: Any, names: Names) -> Any:
    rows = lax.full((lax.psum(1, names), *array.shape), np.zeros((), array.dtype))
    own = lax.axis_index(names)
    return lax.psum(lax.dynamic_update_index_in_dim(rows, array, own, axis=0), names)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _floats(array: Any, names: Names) -> Any:
    # As bits, since 0.0 + -0.0 is 0.0. (XLA's all-reduce on a CPU begins with 0.0, so that rows
    # of -0.0 don't help.)
    bits, dtype = _bits(array)
    return lax.bitcast_convert_type(_rows(bits, names), dtype).astype(array.dtype)


@_floats.defjvp
def _(names: Names, primals: Any, tangents: Any) -> Any:
    return of_all(primals[0], names), _rows(tangents[0], names)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _greatest(array: Any, names: Names) -> Any:
    # As integers in the order of the floats, since an all-reduce of floats may drop a nan.
    canonical = jnp.where(jnp.isnan(array), np.asarray(np.nan, array.dtype), array)
    bits, dtype = _bits(canonical)
    order = _ordered(lax.bitcast_convert_type(bits, _signed(bits.dtype)))
    most = lax.bitcast_convert_type(_ordered(lax.pmax(order, names)), dtype)
    return most.astype(array.dtype)


@_greatest.defjvp
def _(names: Names, primals: Any, tangents: Any) -> Any:
    # As `jnp.max` has it, those that are the largest share alike; nan is equal to nothing.
    (array,), (tangent,) = primals, tangents
    most = _greatest(array, names)
    chosen = (array == most).astype(array.dtype)
    return most, lax.psum(tangent * chosen, names) / lax.psum(chosen, names)


def _ordered(bits: Any) -> Any:
    """The bits of floats as integers in the floats' order, and back."""
    return jnp.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)


def _signed(dtype: Any) -> Any:
    return np.dtype(np.int64 if dtype.itemsize == 8 else np.int32)


def _bits(array: Any) -> tuple[Any, Any]:
    """The bits of floats, and the dtype that they are of: of 32 bits or 64."""
    double = array.dtype.itemsize == 8
    dtype = np.dtype(np.float64 if double else np.float32)
    bits = np.dtype(np.uint64 if double else np.uint32)
    return lax.bitcast_convert_type(array.astype(dtype), bits), dtype
