"""What a static value is told by, down to all that it holds; what may change is refused.

A compiled program goes on with the static values that it was traced with. So each is keyed by
what it holds at the call, and a value that could change unseen selects no program at all.
"""

import collections
import dataclasses
import enum
import functools
import sys
import types
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from autovmap._bind.kinds import Kind, kind_of
from autovmap._cache import same

ATOMS = (int, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
TRUSTED = ("jax", "jaxlib", "numpy", "ml_dtypes", "autovmap")
"""Libraries whose objects, if they can be called or compared, do not change what they mean."""
CONTAINERS = (list, set, dict, bytearray, collections.deque, np.ndarray, np.ma.MaskedArray)
MOST = 10_000
"""How many values a function may close over before it is not looked through any more."""

BUILTIN = (
    *(types.BuiltinFunctionType, types.MethodDescriptorType, types.ClassMethodDescriptorType),
    *(types.WrapperDescriptorType, types.MethodWrapperType, types.GetSetDescriptorType),
)


class Changing(Exception):
    """A value that may change while it selects a program: its path inside, and why."""

    def __init__(self, value: Any, path: str, why: str) -> None:
        super().__init__(path, why)
        self.value = value
        self.path = path
        self.why = why


@dataclasses.dataclass(slots=True)
class Walk:
    """Where a value stands in the static value that is looked through.

    `closed` says that a function closes over it. There a list or a dict is keyed by its contents:
    whoever passes a function can't know what it was made with, or write it otherwise. `fixed` says
    that nothing is keyed, as `jax.jit` compares by `==` alone: there all that may change is
    refused.
    """

    path: str = ""
    closed: bool = False
    fixed: bool = False
    above: tuple[int, ...] = ()
    count: list[int] = dataclasses.field(default_factory=lambda: [0])

    def into(self, value: Any, step: str, closed: bool = False) -> "Walk":
        """One level down."""
        self.count[0] += 1
        if self.count[0] > MOST:
            raise Changing(value, self.path, "holds too much to be looked through at each call")
        return Walk(
            self.path + step,
            self.closed or closed,
            self.fixed,
            (*self.above, id(value)),
            self.count,
        )


Reader: TypeAlias = Callable[[Any, Walk], Hashable]


def static_key(value: Any) -> Hashable:
    """What tells a static value from others: floats to the last bit, functions by closures too.

    >>> static_key((1, 2.0)) == static_key((1, 2.0)), static_key(0.0) == static_key(-0.0)
    (True, False)
    >>> static_key([1])
    Traceback (most recent call last):
        ...
    autovmap._ways.constant.Changing: ('', 'has no hash')

    Raises:
        Changing: it may change, or something that it holds.
    """
    # Most are one of these, at each call: nothing is looked through.
    cls: type[Any] = type(value)
    if cls in ATOMS:
        return (cls, value)
    reader = _reader(cls)
    if (reader is _function and _is_bare(value)) or (reader is _trusted and _is_trusted(value)):
        return (cls, value)
    return (cls, reader(value, Walk()))


def may_hold_arrays(value: Any) -> bool:
    """Whether a leaf that is no array or number may hold one: all but plain values may."""
    cls = cast("type[Any]", type(value))
    if kind_of(cls) is not Kind.OTHER or cls in ATOMS or isinstance(value, (type, enum.Enum)):
        return False
    reader = _reader(cls)
    return not ((reader is _function and _is_bare(value)) or _is_trusted(value))


def check_constant(value: Any, fixed: bool = False) -> None:
    """Check a static value; `fixed` says that `jax.jit` compares it by `==` alone.

    Raises:
        Changing: it may change; if `fixed`, also an object whose attributes can be set.
    """
    _key(value, Walk(fixed=fixed))


def is_constant(value: Any) -> bool:
    """Whether a value can be static where it is keyed by what it holds."""
    try:
        static_key(value)
    except Changing:
        return False
    return True


def _key(value: Any, walk: Walk) -> Hashable:
    cls = cast("type[Any]", type(value))
    if cls in ATOMS:
        return (cls, value)
    if id(value) in walk.above:
        return ("above", len(walk.above) - walk.above.index(id(value)))
    return (cls, _reader(cls)(value, walk))


@functools.lru_cache(maxsize=1024)
def _reader(cls: type[Any]) -> Reader:
    """How values of a type are told apart."""
    for types_, reader in READERS:
        if issubclass(cls, types_):
            return reader
    if kind_of(cls) in (Kind.ARRAY, Kind.CONVERTIBLE, Kind.REF):  # a tracer is CONVERTIBLE
        return _alone
    if issubclass(cls, CONTAINERS) or cls.__hash__ is None:
        return _container
    compared = cls.__hash__ is not object.__hash__ and cls.__eq__ is not object.__eq__
    called = any("__call__" in vars(base) for base in cls.__mro__)
    module = cls.__module__.partition(".")[0]
    if module in ("jax", "jaxlib"):
        return _trusted
    if module in sys.stdlib_module_names and compared:
        return _by_text
    if module in TRUSTED or module in sys.stdlib_module_names:
        return _trusted if compared or called else _closed_alone
    frozen = _is_frozen(cls)
    if frozen and dataclasses.is_dataclass(cls):
        return functools.partial(_held, names=tuple(f.name for f in dataclasses.fields(cls)))
    if frozen:
        return _held
    return _settable if compared or called else _opaque


def _is_frozen(cls: type[Any]) -> bool:
    """Whether a class lets nobody set the attributes of its instances, or says how."""
    parameters = getattr(cls, "__dataclass_params__", None)
    return bool(parameters and parameters.frozen) or cls.__setattr__ is not object.__setattr__


def _itself(value: Any, walk: Walk) -> Hashable:
    return value


def _by_text(value: Any, walk: Walk) -> Hashable:
    """A value of the standard library: equal ones may differ, but not in how they are written.

    `range(0)` and `range(1, 1)` are, `Decimal("1.0")` and `Decimal("1.00")`, one moment in two
    time zones.
    """
    return value, repr(value)


def _choice(value: Any, walk: Walk) -> Hashable:
    """A member of an enum: one object, but what it was given may be a list."""
    own = {name: held for name, held in vars(value).items() if not name.startswith("_")}
    return value, _named(value, {"value": value._value_, **own}, walk)


def _alone(value: Any, walk: Walk) -> Hashable:
    return same(value)


def _float(value: Any, walk: Walk) -> Hashable:
    return float.hex(value)


def _complex(value: Any, walk: Walk) -> Hashable:
    return float.hex(value.real), float.hex(value.imag)


def _scalar(value: Any, walk: Walk) -> Hashable:
    return str(value.dtype), value.tobytes()


def _items(value: Any, walk: Walk) -> Hashable:
    return tuple(_key(x, walk.into(value, f"[{i}]")) for i, x in enumerate(value))


def _members(value: Any, walk: Walk) -> Hashable:
    return frozenset(_key(x, walk.into(value, "")) for x in value)


def _slice(value: Any, walk: Walk) -> Hashable:
    parts = {"start": value.start, "stop": value.stop, "step": value.step}
    return _named(value, parts, walk)


def _partial(value: Any, walk: Walk) -> Hashable:
    parts = {"func": value.func, "args": value.args, **value.keywords}
    return _named(value, parts, walk), _named(value, vars(value), walk)


def _method(value: Any, walk: Walk) -> Hashable:
    return _named(value, {"__func__": value.__func__, "__self__": value.__self__}, walk)


def _builtin(value: Any, walk: Walk) -> Hashable:
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, (type, types.ModuleType)):
        return value
    return same(owner), value.__name__, _key(owner, walk.into(value, ".__self__"))


def _is_bare(value: Any) -> bool:
    """Whether a function holds nothing: no closure, no defaults."""
    return value.__closure__ is None and value.__defaults__ is None and not value.__kwdefaults__


def _function(value: Any, walk: Walk) -> Hashable:
    cells, defaults, keywords = value.__closure__, value.__defaults__, value.__kwdefaults__
    if _is_bare(value) or _is_trusted(value):
        return value
    parts: dict[Any, Any] = {**(keywords or {}), **dict(enumerate(defaults or ()))}
    for name, cell in zip(value.__code__.co_freevars, cells or (), strict=True):
        try:
            parts[name] = cell.cell_contents
        except ValueError:  # not set yet
            parts[name] = None
    return value, _named(value, parts, walk, closed=True)


def _is_trusted(value: Any) -> bool:
    return (getattr(value, "__module__", None) or "").partition(".")[0] in TRUSTED


def _trusted(value: Any, walk: Walk) -> Hashable:
    """An object of JAX, NumPy or the standard library, with the function that it wraps."""
    wrapped = getattr(value, "__wrapped__", None)
    if wrapped is None or _is_trusted(value):
        return value
    return value, _key(wrapped, walk.into(value, ".__wrapped__"))


def _held(value: Any, walk: Walk, names: tuple[str, ...] | None = None) -> Hashable:
    """An object of a frozen class, by all that it holds: its own equality may leave some out."""
    own = value if names is None and type(value).__eq__ is not object.__eq__ else None
    return own, _named(value, _state(value, names), walk)


def _settable(value: Any, walk: Walk) -> Hashable:
    """An object that can be compared or called, by itself and by what it holds now."""
    state = _state(value, None)
    if walk.fixed and state:
        raise Changing(value, walk.path, "lets its attributes be set")
    own = same(value) if type(value).__eq__ is object.__eq__ else value
    return own, _named(value, state, walk)


def _state(value: Any, names: tuple[str, ...] | None) -> Mapping[str, Any]:
    if names is None:
        slots = [getattr(base, "__slots__", ()) for base in type(value).__mro__]
        listed = [name for s in slots for name in ((s,) if isinstance(s, str) else s)]
        names = tuple(name for name in listed if not name.startswith("__"))
        names += tuple(getattr(value, "__dict__", ()))
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _named(
    value: Any, parts: Mapping[Any, Any], walk: Walk, closed: bool = False
) -> tuple[Hashable, ...]:
    return tuple(
        (name, _key(part, walk.into(value, f".{name}", closed))) for name, part in parts.items()
    )


def _container(value: Any, walk: Walk) -> Hashable:
    """A list, dict, set or array: refused, or by its contents in what a function closes over."""
    if isinstance(value, np.ndarray) and walk.closed:
        # jax.jit compiles an array in that a function closes over, as all JAX users know.
        return same(value) if walk.fixed else (str(value.dtype), value.shape, value.tobytes())
    if not walk.closed or walk.fixed:
        raise Changing(value, walk.path, "has no hash")
    if isinstance(value, Mapping):
        both = cast("Mapping[Any, Any]", value).items()
        return tuple(
            (_key(key, walk.into(value, "")), _key(x, walk.into(value, f"[{key!r}]")))
            for key, x in both
        )
    if isinstance(value, set):
        return _members(value, walk)
    if isinstance(value, (list, collections.deque)):
        return _items(value, walk)
    return bytes(value) if isinstance(value, bytearray) else _opaque(value, walk)


def _opaque(value: Any, walk: Walk) -> Hashable:
    """An object hashed by identity; one that a function closes over is looked into."""
    if not walk.closed or walk.fixed:
        raise Changing(value, walk.path, "is hashed by identity")
    return same(value), _named(value, _state(value, None), walk)


def _closed_alone(value: Any, walk: Walk) -> Hashable:
    """A lock, a logger, a generator of random numbers: no data that a program is made of."""
    if not walk.closed:
        raise Changing(value, walk.path, "is hashed by identity")
    return same(value)


READERS: tuple[tuple[Any, Reader], ...] = (
    (enum.Enum, _choice),
    (np.generic, _scalar),
    (float, _float),
    (complex, _complex),
    ((type, types.ModuleType, np.dtype), _itself),
    (range, _by_text),
    (tuple, _items),
    (frozenset, _members),
    (slice, _slice),
    (functools.partial, _partial),
    (types.FunctionType, _function),
    (types.MethodType, _method),
    (BUILTIN, _builtin),
)
"""The first that fits reads a value. An int, str or bytes of a class of its own is an object."""
