"""What kind of value a leaf is, by its type: what a plan, a program and an annotation see in it."""

import enum
import functools
import sys
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._plan.leaf import root, shape_text
from autovmap._spec.ranks import Choice, Core, Either, Key, NoArray, Tree, is_mapped, leaves_of
from autovmap.errors import SpecError

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


ARRAYS = (Kind.ARRAY, Kind.NUMPY, Kind.CONVERTIBLE, Kind.REF, Kind.STRUCT)
"""The kinds that JAX takes for an array, or that stand for one."""


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
    text = repr(leaf.item() if isinstance(leaf, np.generic) else leaf)  # NumPy 2 adds its name
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


NO_ARRAYS = frozenset((bool, int, float, complex, str, bytes, type(None)))
"""Types that can't be or hold an array, to which most values without a rank belong."""


def expects_no_array(tree: Tree) -> bool:
    """Whether nothing below is mapped, and an annotation tells that no array is expected."""
    return not is_mapped(tree) and any(isinstance(leaf, NoArray) for leaf in leaves_of(tree))


def refuse_arrays(value: Any, tree: Tree, path: str, function: str) -> None:
    """Refuse an array with dims in an argument that is not mapped, by its annotation."""
    if type(value) in NO_ARRAYS:
        return
    rank = next(leaf for leaf in leaves_of(tree) if isinstance(leaf, NoArray))
    refuse_array(value, rank, path, function)
    if not rank.inside:
        return
    try:
        flat, _ = tree_flatten_with_path(value)
    except Exception:  # whatever a node that was never meant for JAX may raise
        return
    for keys, leaf in flat:
        refuse_array(leaf, rank, path + keystr(keys), function)


def refuse_array(leaf: Any, rank: NoArray, path: str, function: str) -> None:
    """Refuse an array with dims where an annotation says that none is mapped, or nothing."""
    kind = kind_of(type(leaf))
    if kind in (Kind.OTHER, Kind.INT, Kind.NUMBER) or leaf.shape == ():
        return
    name = root(path)
    below = name != path
    given = "{...}" if below else len(leaf.shape)
    raise SpecError(
        f"{function}(): {path} is {shown(leaf)}, but {name if below else 'it'} {rank.why}; give "
        f"its base rank by name, as in @auto_vmap(..., {name}={given}); None for not mapped"
    )


def chosen(rank: Either, leaf: Any, where: str) -> Core | Key:
    """The base rank that a union's members say for a leaf of this dtype."""
    if kind_of(type(leaf)) in (Kind.INT, Kind.NUMBER):
        return Core(0) if rank.numbers else rank.choices[0].rank
    dtype = "prng_key" if is_key(leaf) else str(leaf.dtype)
    for choice in rank.choices:
        if _is_for(choice, dtype):
            return choice.rank
    said = "; ".join(", ".join(map(str, choice.dtypes)) for choice in rank.choices)
    raise SpecError(
        f"{where} is {shown(leaf)}, and no member of its annotation is for arrays of that dtype, "
        f"but: {said}"
    )


def _is_for(choice: Choice, dtype: str) -> bool:
    return not choice.dtypes or any(
        name == dtype if isinstance(name, str) else name.fullmatch(dtype) for name in choice.dtypes
    )
