"""Declarations that are found again: the same function, the same ranks, the same options.

In a method's body a function is declared at each call. A declaration of a module's function or of
a class's method is kept on that function, as long as it lives; of any other function, which may
close over arrays, it is found again while somebody holds it. Nothing lives longer for it.
"""

import functools
import re
import types
import typing
import weakref
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar, cast

from autovmap._bind.kinds import Kind, kind_of
from autovmap._cache import BoundedCache, same
from autovmap._function.decorated import AutoVmapped
from autovmap._function.identity import in_class_body
from autovmap._spec.annotations.scope import scope_of
from autovmap._spec.declaration import Declaration
from autovmap._spec.ranks import NODES

ATTRIBUTE = "__autovmap__"
"""The name under which a function keeps its declarations."""
KEPT = 16
"""How many different declarations a function keeps."""
NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
"""A name in an annotation that is text, with its attributes."""
ATOMS = (int, str, type(None), type(Ellipsis))
Face = TypeVar("Face", bound=AutoVmapped[..., Any])


class Declared:
    """The declarations that a function keeps: not copied or pickled along with it."""

    def __init__(self, function: Any = None) -> None:
        self.function = function
        self.faces: BoundedCache[AutoVmapped[..., Any]] = BoundedCache(KEPT)

    def __reduce__(self) -> Any:
        return Declared, ()


_alive: "weakref.WeakValueDictionary[Hashable, AutoVmapped[..., Any]]" = (
    weakref.WeakValueDictionary()
)
"""By the function's id too, which is its own as long as the decorated function holds it."""


class NoKey(Exception):
    """A declaration holds what can't be compared safely, such as an array."""


def declaration_key(
    declared: Declaration, skip_first: bool | None, function: Any = None
) -> Hashable:
    """What a declaration of a function says, as a key; None where it can't be one.

    >>> declaration_key(Declaration((1,)), None) == declaration_key(Declaration((True,)), None)
    False
    """
    said = declared.said()
    if said is None or (declared.annotated and not isinstance(function, types.FunctionType)):
        return None
    meant = _meant_by_text(function) if declared.annotated else None
    try:
        return (type(declared), skip_first, _code_of(function), meant, *map(_key, said))
    except NoKey:
        return None


def _key(value: Any) -> Hashable:
    """A value, so that alike ones say the same. A tuple tells its type: 1 and True are equal."""
    cls = cast("type[Any]", type(value))
    if cls in ATOMS:
        return value
    if cls in (tuple, list):
        return (cls, *map(_key, value))
    if cls is types.FunctionType:  # a rank that the object is asked for
        return _function_key(value)
    if cls is bool:
        return (cls, value)
    if cls is dict or isinstance(value, Mapping):  # an abstract class is slow to ask: late
        return (cls, *map(_key, value), *map(_key, value.values()))
    if issubclass(cls, type):  # of a node, as `like` tells it
        return (type, same(value))
    if issubclass(cls, NODES):
        return (cls, *[_key(getattr(value, name)) for name in cls.__dataclass_fields__])
    raise NoKey


def _function_key(function: types.FunctionType) -> Hashable:
    """A lambda is made anew at each call, of the same code: alike if it closes over nothing."""
    if (
        function.__closure__
        or function.__defaults__
        or function.__kwdefaults__
        or function.__dict__
    ):
        raise NoKey
    return (same(function.__code__), same(function.__globals__))


def _meant_by_text(function: types.FunctionType) -> Hashable:
    """What the names in annotations that are text stand for now, as they may be bound anew."""
    texts = [text for said in function.__annotations__.values() for text in _texts(said)]
    if not texts:
        return None
    scope = scope_of(function)
    found = [scope.find(name) for text in texts for name in _names(text)]
    # What is called as a dim of a shape happens to be ("n m") says nothing.
    return tuple(same(one) if kind_of(type(one)) is Kind.OTHER else None for one in found)


def _texts(annotation: Any) -> list[str]:
    """The texts in an annotation, such as that of `Optional["Vector"]`."""
    if isinstance(annotation, str):
        return [annotation]
    if isinstance(annotation, typing.ForwardRef):
        return [annotation.__forward_arg__]
    parts: Any = getattr(annotation, "__args__", None) or ()
    return [text for part in parts for text in _texts(part)]


@functools.lru_cache(1024)
def _names(text: str) -> tuple[tuple[str, ...], ...]:
    """The names in a text, those of attributes with what they are of."""
    return tuple(tuple(name.split(".")) for name in NAME.findall(text))


def find(function: Any, key: Hashable, face: type[Face]) -> Face | None:
    """A decorated function that was declared like this."""
    if key is None:
        return None
    kept = _store_of(function)
    found = _alive.get((id(function), key)) if kept is None else kept.faces.get(key)
    if found is None or found.__wrapped__ is not function or type(found) is not face:
        return None
    return found


def keep(function: Any, key: Hashable, made: AutoVmapped[..., Any]) -> None:
    """Let a declaration be found again."""
    if key is None:
        return
    if not _may_keep(function):
        _alive[(id(function), key)] = made
        return
    kept = _store_of(function)
    if kept is None:
        kept = Declared(function)
        setattr(function, ATTRIBUTE, kept)
    kept.faces.put(key, made)


def _store_of(function: Any) -> Declared | None:
    """What a function keeps itself, rather than from another by `functools.wraps`."""
    kept = getattr(function, "__dict__", {}).get(ATTRIBUTE)
    return kept if isinstance(kept, Declared) and kept.function is function else None


def _code_of(function: Any) -> Hashable:
    """What may be replaced in a function while it stays itself, as reloading does."""
    if not isinstance(function, types.FunctionType):
        return None
    defaults = (function.__defaults__, function.__kwdefaults__)
    annotations = function.__annotations__
    return (
        same(function.__code__),
        None if defaults == (None, None) else tuple(map(same, defaults)),
        tuple((name, same(said)) for name, said in annotations.items()) if annotations else None,
    )


def _may_keep(function: Any) -> bool:
    """Whether a function lives as long as its module or class, and closes over nothing else."""
    if not isinstance(function, types.FunctionType):
        return False
    inside = "<locals>" in function.__qualname__ and not in_class_body(function)
    return not inside and function.__code__.co_freevars in ((), ("__class__",))
