"""What there is to know of a callable before it is decorated: its name, and whose method it is."""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jax

from autovmap._spec.annotations.scope import module_of, scope_of
from autovmap._spec.fold import Gradient
from autovmap._spec.spec import Spec


def adopt(decorated: Any, function: Any) -> None:
    """Give a decorated object the function's name, docstring, annotations and attributes."""
    functools.update_wrapper(decorated, function, updated=())
    keep_abstract(decorated, function)
    attributes = getattr(function, "__dict__", {}).items()
    public = [(name, value) for name, value in attributes if not name.startswith("_")]
    taken = dir(type(decorated)) if public else ()
    for name, value in public:
        if name not in taken:
            setattr(decorated, name, value)
    module = module_of(function)
    if module:
        decorated.__globals__ = module  # as functions have them: `jaxtyped` resolves names there
    inner = unwrap_partial(function)
    for name in ("__name__", "__qualname__"):
        if name not in vars(decorated):
            setattr(decorated, name, getattr(inner, name, type(inner).__name__))


def keep_abstract(decorated: Any, function: Any) -> None:
    """Mark what is made of an abstract method as one, as `functools.wraps` and `jax.jit` do."""
    if getattr(function, "__isabstractmethod__", False):
        decorated.__isabstractmethod__ = True


def show_annotations(
    decorated: Any, told: Spec, signature: inspect.Signature, function: Any
) -> None:
    """Give a decorated object annotations that are true of it; `__wrapped__` keeps its own."""
    if "jaxtyping" not in sys.modules:  # then no annotation can be one of its own
        return
    from autovmap._spec.annotations.shown import true_annotations

    found = true_annotations(told, signature, scope_of(function))
    if not found:
        return
    decorated.__annotations__ = {**getattr(decorated, "__annotations__", {}), **found}
    parameters = [
        parameter.replace(annotation=found.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
    ]
    returned = found.get("return", signature.return_annotation)
    decorated.__signature__ = signature.replace(parameters=parameters, return_annotation=returned)


def unwrap_partial(function: Any) -> Any:
    """The function inside `functools.partial`s."""
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    return function


def is_made_of(transformed: Any, function: Any) -> bool:
    """Whether a callable says that it wraps this function, as what `jax.grad` returns does."""
    inner = getattr(transformed, "__wrapped__", None)
    while inner is not None:
        if inner is function:
            return True
        inner = getattr(inner, "__wrapped__", None)
    return False


def shown_name(function: Any) -> str:
    """A function's name as messages show it: a method's with its class."""
    function = unwrap_partial(function)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return (name or type(function).__name__).rsplit("<locals>.", 1)[-1]


def is_method(function: Any, signature: inspect.Signature) -> bool:
    """Whether a function stands in a class body and its first parameter is the object.

    Under a `staticmethod` it stands there without one, and no decorator below can see that; so
    the parameter's name decides, and `__set_name__` mends an unusual one.
    """
    first = next(iter(signature.parameters), "")
    return in_class_body(function) and first in ("self", "cls", "mcs")


def in_class_body(function: Any) -> bool:
    """Whether a function's name says that it stands in a class body."""
    *outer, _ = getattr(function, "__qualname__", "").split(".") or [""]
    return bool(outer) and outer[-1] != "<locals>"


def takes_first(signature: inspect.Signature) -> bool:
    """Whether the first parameter is one that an object can be bound to alone."""
    first = next(iter(signature.parameters.values()), None)
    return first is not None and first.kind is not inspect.Parameter.VAR_POSITIONAL


def by_name(decorated: Any) -> Any:
    """What stands under a decorated object's name in its module."""
    found: Any = sys.modules.get(decorated.__module__)
    for name in decorated.__qualname__.split("."):
        found = getattr(found, name, None)
    return found


@dataclass(frozen=True)
class Transform:
    """A transformation of functions with its options.

    Where `bound`, it gets a method as bound to its object, so that `argnums` count without it.
    """

    transform: Callable[..., Any]
    options: tuple[tuple[str, Any], ...] = ()
    bound: bool = False

    def __call__(self, function: Callable[..., Any]) -> Any:
        """The transformed function; of a method, one of the object and the other arguments."""
        if not self.bound:
            return self.transform(function, **dict(self.options))

        @functools.wraps(function)
        def transformed(itself: Any, /, *args: Any, **kwargs: Any) -> Any:
            method = types.MethodType(function, itself)
            return self.transform(method, **dict(self.options))(*args, **kwargs)

        return transformed

    def gradient(self, function: Callable[..., Any]) -> Gradient | None:
        """That it makes a function's gradient; None where it is, or does, anything else."""
        options = dict(self.options)
        argnums, has_aux = options.pop("argnums", 0), options.pop("has_aux", False)
        whole = all(type(i) is int for i in (argnums if type(argnums) is tuple else (argnums,)))
        known = self.transform is jax.grad or self.transform is jax.value_and_grad
        if not known or options or not whole or type(has_aux) is not bool:
            return None
        value = self.transform is jax.value_and_grad
        return Gradient(function, argnums, has_aux, value, self.bound)
