"""Where the names in annotations are looked up: of a function, and of a class's fields."""

import builtins
import dataclasses
import functools
import inspect
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast


@dataclass(frozen=True)
class Scope:
    """The names that an annotation may use."""

    module: dict[str, Any]
    inner: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Names of the class body, of closed-over variables, of type parameters."""
    bound: Mapping[Any, Any] = field(default_factory=dict[Any, Any])
    """What the type variables of a generic class stand for."""
    owner: str = ""
    """The path of the value whose fields these are: names of dims are its own."""
    around: tuple[type, ...] = ()
    """The classes whose fields are being read."""

    def resolve(self, annotation: Any) -> Any:
        """An annotation as an object; a string or forward reference is evaluated.

        Raises:
            Exception: whatever evaluating it raises, `NameError` for one.
        """
        while isinstance(annotation, (str, typing.ForwardRef)):
            text = annotation if isinstance(annotation, str) else annotation.__forward_arg__
            annotation = eval(text, self.module, dict(self.inner))
        return annotation

    def find(self, name: Sequence[str]) -> Any:
        """What a name stands for, with attributes of modules and classes; None if for nothing."""
        found: Any = self.builtins.get(name[0])
        for names in (self.module, self.inner):
            found = names.get(name[0], found)
        for attribute in name[1:]:
            if not isinstance(found, (types.ModuleType, type)):
                break
            found = getattr(found, attribute, None)
        return found

    @property
    def builtins(self) -> Mapping[str, Any]:
        """Python's own names, as the module sees them."""
        found = self.module.get("__builtins__", builtins)
        return vars(found) if isinstance(found, types.ModuleType) else found


def scope_of(function: Any) -> Scope:
    """Where the names in a function's annotations are looked up, now."""
    function = _innermost(function)
    module = module_of(function)
    if isinstance(function, type):
        return Scope(module, dict(vars(function)))
    inner: dict[str, Any] = {}
    owner: Any = None
    for name in getattr(function, "__qualname__", "").split(".")[:-1]:
        owner = module.get(name) if owner is None else getattr(owner, name, None)
    if isinstance(owner, type):
        inner.update(vars(owner))
    for name, cell in zip(
        getattr(getattr(function, "__code__", None), "co_freevars", ()),
        getattr(function, "__closure__", None) or (),
        strict=False,
    ):
        try:
            inner[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    inner.update({p.__name__: p for p in getattr(function, "__type_params__", ())})
    return Scope(module, inner)


def module_of(function: Any) -> dict[str, Any]:
    """The names of the module in which a function or class stands."""
    function = _innermost(function)
    return getattr(function, "__globals__", None) or _module(function)


def _innermost(function: Any) -> Any:
    """The Python function or class whose text the annotations stand in."""
    while True:
        if isinstance(function, functools.partial):
            function = cast("Any", function).func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(function, type) or hasattr(function, "__globals__"):
            return function
        elif inspect.isfunction(call := vars(type(function)).get("__call__")):
            function = call
        else:
            return function


def _module(thing: Any) -> dict[str, Any]:
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    return {} if module is None else vars(module)


def fields_of(cls: type, outer: Scope, path: str) -> list[tuple[str, Any, Scope]] | None:
    """The fields of a dataclass, NamedTuple or TypedDict that are not static; None for others.

    Each with its annotation (`inspect.Parameter.empty` where it has none) and its scope.
    """
    if dataclasses.is_dataclass(cls):
        names = [f.name for f in dataclasses.fields(cls) if not _is_static(f)]
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = list(cast("tuple[str, ...]", cast("Any", cls)._fields))
    elif typing.is_typeddict(cls):
        names = list(cls.__annotations__)
    else:
        return None
    return [(name, *_field(cls, name, outer, path)) for name in names]


def _is_static(f: "dataclasses.Field[Any]") -> bool:
    """As `equinox.field`, `jax.tree_util.register_dataclass` and flax say it."""
    return bool(f.metadata.get("static", False)) or f.metadata.get("pytree_node") is False


def _field(cls: type, name: str, outer: Scope, path: str) -> tuple[Any, Scope]:
    """A field's annotation, in the scope of the class of the family that says it."""
    for base in cls.__mro__:
        own = inspect.get_annotations(base)
        if name in own:
            inner = {**vars(base), **{p.__name__: p for p in getattr(base, "__type_params__", ())}}
            around = (*outer.around, cls)
            return own[name], Scope(_module(base), inner, outer.bound, path, around)
    return inspect.Parameter.empty, outer


def bound_variables(cls: type, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """What the type variables of a generic class stand for in `cls[arguments]`."""
    return dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
