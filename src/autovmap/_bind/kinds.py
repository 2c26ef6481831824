"""What kind of value a leaf is, by its type."""

import enum
import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from autovmap._plan.leaf import shape_text

REF: tuple[type, ...] = (jax.Ref,) if hasattr(jax, "Ref") else ()


class Kind(enum.Enum):
    """How a leaf is treated; it follows from the leaf's type alone."""

    ARRAY = enum.auto()
    NUMPY = enum.auto()
    CONVERTIBLE = enum.auto()
    INT = enum.auto()
    NUMBER = enum.auto()
    REF = enum.auto()
    STRUCT = enum.auto()
    MASKED = enum.auto()
    OTHER = enum.auto()


@functools.lru_cache(maxsize=512)
def kind_of(cls: type) -> Kind:
    """The kind of every value of a type."""
    if issubclass(cls, jax.Array):
        return Kind.ARRAY
    if issubclass(cls, np.ma.MaskedArray):
        return Kind.MASKED
    if issubclass(cls, (np.ndarray, np.generic)):
        return Kind.OTHER if issubclass(cls, (np.str_, np.bytes_)) else Kind.NUMPY
    if issubclass(cls, int) and not issubclass(cls, bool):
        return Kind.INT
    if issubclass(cls, (bool, float, complex)):
        return Kind.NUMBER
    if REF and issubclass(cls, REF):
        return Kind.REF
    if issubclass(cls, jax.ShapeDtypeStruct):
        return Kind.STRUCT
    has_value = hasattr(cls, "__jax_array__") and hasattr(cls, "shape") and hasattr(cls, "dtype")
    return Kind.CONVERTIBLE if has_value else Kind.OTHER


def is_key(array: Any) -> bool:
    """Whether an array holds typed PRNG keys."""
    dtype = array.dtype
    if isinstance(dtype, np.dtype):  # as nearly all are: JAX's answer takes ten times as long
        return False
    return bool(jnp.issubdtype(dtype, jax.dtypes.prng_key))


def shown(leaf: Any) -> str:
    """An array by dtype and shape, anything else by a short repr."""
    if kind_of(type(leaf)) not in (Kind.OTHER, Kind.INT, Kind.NUMBER):
        return f"{leaf.dtype}[{shape_text(tuple(leaf.shape))}]"
    text = repr(leaf)
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= 40 else text[:37] + "..."


def kind_text(value: Any) -> str:
    """An array by dtype and shape, anything else by its type's name."""
    known = kind_of(type(value)) not in (Kind.OTHER, Kind.INT, Kind.NUMBER)
    return shown(value) if known else type(value).__name__


def a(noun: str) -> str:
    """A noun behind its indefinite article.

    >>> a("Box"), a("Env"), a("M"), a("MLP"), a("Unit"), a("Unset"), a("int")
    ('a Box', 'an Env', 'an M', 'an MLP', 'a Unit', 'an Unset', 'an int')
    """
    spelt = (len(noun) == 1 or noun[1:2].isupper()) and noun[0] in "FHLMNRSX"
    vowel = noun[:1].lower() in tuple("aeiou") and not noun.lower().startswith(("uni", "us"))
    return f"{'an' if spelt or vowel else 'a'} {noun}"


def is_traced(leaf: Any) -> bool:
    """Whether an array is a tracer: it lies on no device."""
    return isinstance(leaf, jax.Array) and getattr(leaf, "sharding", None) is None


def traced_outside(name: str, function: str) -> str:
    """What to do about an argument that is static to us, but a tracer when it gets here."""
    return (
        f"{name} is static in a compiled call of {function}, but a jax.jit (or another "
        f"transformation) around this call traces it, so its value is not seen; name {name} in "
        f"the static_argnames of that jax.jit"
    )


def is_sparse(cls: Any) -> bool:
    """Whether a class is one of JAX's sparse arrays, which `jax.vmap` maps as one value each."""
    sparse = sys.modules.get("jax.experimental.sparse")
    return sparse is not None and isinstance(cls, type) and issubclass(cls, sparse.JAXSparse)
