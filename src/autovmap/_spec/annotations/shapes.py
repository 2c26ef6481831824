"""Annotations that tell an array's dims: jaxtyping's, NumPy's, and unions of them."""

import functools
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autovmap._spec.ranks import Choice, Core, CoreDim, Either, Key, Tree, plain

KEY_DTYPE = "prng_key"
"""What jaxtyping calls the dtype of a typed PRNG key."""

MANY = "[...]"
"""How a path goes on to any one of several values: names of dims differ from one to another."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """What an annotation tells of one array: its rank, and the dtypes (none: any)."""

    rank: Core | Key
    dtypes: tuple[Any, ...] = ()


def jaxtyping() -> Any:
    """The module, if somebody has imported it: else no annotation can be its own."""
    return sys.modules.get("jaxtyping")


def is_jaxtyped(annotation: Any) -> bool:
    """Whether an annotation is one of jaxtyping's arrays."""
    module = jaxtyping()
    return (
        module is not None
        and isinstance(annotation, type)
        and issubclass(annotation, module.AbstractArray)
    )


def is_pytree(annotation: Any) -> bool:
    """Whether an annotation is jaxtyping's `PyTree`, with a leaf type or without."""
    module = jaxtyping()
    return (
        module is not None
        and isinstance(annotation, type)
        and hasattr(module, "PyTree")
        and issubclass(annotation, module.PyTree)
    )


def is_batch(word: str) -> bool:
    """Whether a word of a jaxtyping shape stands for any number of dims.

    >>> [is_batch(word) for word in ("...", "*batch", "?*shape", "#*b", "2*n", "n")]
    [True, True, True, True, False, False]
    """
    return word == "..." or "*" in _modified(word)[0]


def _modified(word: str) -> tuple[str, str]:
    """The signs before a dim, and the dim itself; `name=` may stand between them.

    >>> _modified("?*shape"), _modified("rows=#3"), _modified("n==m")
    (('?*', 'shape'), ('#', '3'), ('', 'n==m'))
    """
    signs = ""
    while word and (word[0] in "#*_?" or word.count("=") == 1):
        if word[0] in "#*_?":
            signs, word = signs + word[0], word[1:]
        else:
            word = word.partition("=")[2]
    return signs, word


def core_dims(text: str, owner: str = "") -> tuple[CoreDim, ...] | None:
    """The core dims that a jaxtyping shape names, or None where `...` is not in front.

    A leading `...` or `*batch` stands for batch dims. `_`, `#n`, `?n` and `n+1` are dims of which
    nothing can be checked across arguments. With `owner`, names are that value's own.

    >>> [str(dim) for dim in core_dims("*batch 3 n _ #k n+1 cols=4")]
    ['3', 'n', '_', '_', '_', '4']
    """
    words = text.split()
    if words and is_batch(words[0]):
        words = words[1:]
    if any(is_batch(word) for word in words):
        return None
    return tuple(_dim(word, owner) for word in words)


def _dim(word: str, owner: str) -> CoreDim:
    signs, word = _modified(word)
    if signs:
        return CoreDim()
    if word.isidentifier() and MANY in owner:
        return CoreDim()
    if word.isidentifier():
        return CoreDim(f"{owner}.{word}" if owner else word)
    return CoreDim(size=int(word)) if word.isdecimal() else CoreDim()


def read_jaxtyped(annotation: Any, owner: str) -> Shaped | None:
    """What a jaxtyping array tells, or None where its number of dims is open."""
    dims = core_dims(annotation.dim_str, owner)
    if dims is None:
        return None
    dtypes: Any = annotation.dtypes
    dtypes = tuple(dtypes) if isinstance(dtypes, (tuple, list)) else ()
    if dtypes == (KEY_DTYPE,) and not dims:
        return Shaped(Key(), dtypes)
    return Shaped(Core(len(dims), dims), dtypes)


def is_numpy_array(annotation: Any) -> bool:
    """Whether an annotation is `np.ndarray[shape, dtype]`."""
    return typing.get_origin(annotation) is np.ndarray


def read_numpy(annotation: Any) -> Shaped | None:
    """What `np.ndarray[tuple[int, int], np.dtype[...]]` tells, or None for any number of dims."""
    shape, *rest = typing.get_args(annotation)
    sizes = typing.get_args(shape)
    if typing.get_origin(shape) is not tuple or Ellipsis in sizes:
        return None
    dims = tuple(CoreDim(size=_literal(size)) for size in sizes)
    scalar = typing.get_args(rest[0]) if rest else ()
    kind = scalar[0] if scalar else Any
    return Shaped(Core(len(dims), dims), _dtypes(kind))


def _literal(size: Any) -> int | None:
    values = typing.get_args(size) if typing.get_origin(size) is typing.Literal else ()
    return values[0] if len(values) == 1 and isinstance(values[0], int) else None


def _dtypes(kind: Any) -> tuple[str, ...]:
    """The names of the dtypes under a NumPy scalar type."""
    if not isinstance(kind, type) or not issubclass(kind, np.generic):
        return ()
    names = (np.dtype(scalar).name for scalar in np.sctypeDict.values() if issubclass(scalar, kind))
    return tuple(sorted(set(names)))


def text_of(annotation: Any) -> str:
    """An annotation as it was written, about.

    >>> text_of(dict[str, int | None])
    'dict[str, int | None]'
    """
    if is_jaxtyped(annotation):
        array = getattr(annotation.array_type, "__name__", repr(annotation.array_type))
        return f"{annotation.dtype.__name__}[{array.split('.')[-1]}, {annotation.dim_str!r}]"
    if is_pytree(annotation):
        leaf = getattr(annotation, "leaftype", None)
        return "PyTree" if leaf is None else f"PyTree[{text_of(leaf)}]"
    if annotation is None or annotation is type(None):
        return "None"
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(text_of(argument) for argument in arguments)
    if isinstance(annotation, type) and not arguments:
        return annotation.__qualname__.split(".")[-1]
    if isinstance(annotation, types.GenericAlias):
        return f"{annotation.__origin__.__name__}[{', '.join(map(text_of, arguments))}]"
    return repr(annotation).replace("typing.", "")


def clash_of(arrays: Sequence[Shaped]) -> tuple[Any, Any] | None:
    """Two base ranks for arrays of one dtype, if there are such."""
    for i, entry in enumerate(arrays):
        for other in arrays[:i]:
            if _share(other, entry) and plain(other.rank) != plain(entry.rank):
                return plain(other.rank), plain(entry.rank)
    return None


def either(arrays: Sequence[Shaped], numbers: bool, others: bool) -> Tree:
    """The rank of a leaf that is one of several, which may also be a number or no array."""
    ranks = {plain(entry.rank) for entry in arrays}
    if len(ranks) == 1 and not others and (not numbers or ranks == {0}):
        return functools.reduce(_merge, arrays).rank
    merged = [
        functools.reduce(_merge, [entry for entry in arrays if plain(entry.rank) == rank])
        for rank in dict.fromkeys(plain(entry.rank) for entry in arrays)
    ]
    choices = tuple(Choice(entry.dtypes, entry.rank) for entry in merged)
    return Either(choices, numbers or 0 in ranks, others)


def keys_joined(arrays: Sequence[Shaped]) -> list[Shaped]:
    """A typed key and raw ones, as in jaxtyping's `PRNGKeyArray`, as one key."""
    typed = [entry for entry in arrays if isinstance(entry.rank, Key)]
    raw = [entry for entry in arrays if _is_raw_key(entry)]
    if not typed or not raw:
        return list(arrays)
    key = Shaped(Key(), (KEY_DTYPE, "uint32"))
    return [key, *(entry for entry in arrays if entry not in typed and entry not in raw)]


def _is_raw_key(entry: Shaped) -> bool:
    sizes = [dim.size for dim in entry.rank.dims] if isinstance(entry.rank, Core) else []
    return entry.dtypes == ("uint32",) and sizes in ([2], [4])


def _share(a: Shaped, b: Shaped) -> bool:
    """Whether an array's dtype may be of both; patterns may match anything."""
    if not a.dtypes or not b.dtypes:
        return True
    if not all(isinstance(dtype, str) for dtype in (*a.dtypes, *b.dtypes)):
        return True
    return not set(a.dtypes).isdisjoint(b.dtypes)


def _merge(a: Shaped, b: Shaped) -> Shaped:
    """Two of one rank as one, with what both say of its dims."""
    dtypes = tuple(dict.fromkeys((*a.dtypes, *b.dtypes))) if a.dtypes and b.dtypes else ()
    if not isinstance(a.rank, Core) or not isinstance(b.rank, Core):
        return Shaped(a.rank, dtypes)
    pairs = zip(a.rank.dims, b.rank.dims, strict=True)
    dims = tuple(x if x == y else CoreDim() for x, y in pairs)
    return Shaped(Core(a.rank.rank, dims), dtypes)
