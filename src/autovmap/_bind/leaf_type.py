"""The type of a leaf: all that a compiled program depends on in it, but for its values."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from autovmap._bind.kinds import Kind, is_traced, kind_of

NUMBERS = (Kind.INT, Kind.NUMBER)
FLOAT0 = jax.dtypes.float0


@dataclass(frozen=True, slots=True)
class LeafType:
    """Shape, dtype, weak type and placement of a leaf that is traced.

    What JAX compiles alike is alike here: a NumPy array, a JAX array and a
    `jax.ShapeDtypeStruct` of one shape and dtype are of one type, and so are a number and an
    array of weak type without dims.

    >>> leaf_type(np.ones((2, 3))) == leaf_type(jax.ShapeDtypeStruct((2, 3), "float32"))
    True
    >>> leaf_type(1.5)
    LeafType(shape=(), dtype=dtype('float32'), weak=True, sharding=None)
    """

    shape: tuple[Any, ...]
    dtype: Any
    weak: bool = False
    sharding: Any = None
    """Where it lies, if it is committed to that; None for what may lie anywhere."""

    def struct(self) -> jax.ShapeDtypeStruct:
        """What stands for such a leaf in `lower` and `eval_shape`."""
        return jax.ShapeDtypeStruct(
            self.shape, self.dtype, sharding=self.sharding, weak_type=self.weak
        )


def leaf_type(leaf: Any) -> LeafType:
    """The type of an array, a number, a Ref, a tracer or a `jax.ShapeDtypeStruct`."""
    if kind_of(type(leaf)) in NUMBERS:
        leaf = jax.typeof(leaf)
    dtype = leaf.dtype
    if isinstance(dtype, np.dtype) and dtype != FLOAT0:
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    return LeafType(
        tuple(leaf.shape), dtype, bool(getattr(leaf, "weak_type", False)), _placement(leaf)
    )


def _placement(leaf: Any) -> Any:
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return leaf.sharding
    if not isinstance(leaf, jax.Array):
        return None
    if is_traced(leaf):  # only on an Explicit mesh does a tracer know where it lies
        sharding = getattr(jax.typeof(leaf), "sharding", None)
        return sharding if any(getattr(sharding, "spec", ())) else None
    return leaf.sharding if leaf.committed else None
