"""Which arguments without a rank are static when a function is compiled.

Told once, from the parameters alone: what a call passes never changes it.
"""

import collections.abc
import enum
import inspect
import types
import typing
from collections.abc import Callable, Collection
from typing import Any

import jax
import numpy as np

from autovmap._bind.kinds import ARRAYS, a, is_traced, kind_of, shown, traced_outside
from autovmap._frames import warn
from autovmap._lines import value_text
from autovmap._spec.annotations.scope import Scope
from autovmap._spec.ranks import is_mapped
from autovmap._spec.spec import VAR_KEYWORD, Spec
from autovmap._ways.constant import Changing, check_constant, is_constant
from autovmap.errors import SpecError

EIGHTH = 8
"""With so many different values of a static number, there is a warning."""
STATIC: tuple[type, ...] = (bool, int, str, bytes, enum.Enum, type, np.dtype)
BUILTIN = {list: "a tuple", set: "a frozenset", dict: "a tuple of pairs"}
"""What to pass in place of a builtin that has no hash."""
TRACED: tuple[type, ...] = (float, complex, np.generic, np.ndarray)


def static_names(
    spec: Spec,
    signature: inspect.Signature,
    scope_of: Callable[[], Scope],
    skip_first: bool = False,
) -> tuple[str, ...]:
    """The parameters without a rank whose annotation or default says that they are static.

    An annotation that is definite decides: a bool, int, str, enum, type or callable is static, a
    float or an array is traced. Otherwise a default value of the former kinds is static; a
    callable only if JAX takes it for a leaf, as a module holds arrays. With `skip_first` the first
    is a method's object.
    """
    unranked = [p for p in spec.parameters[skip_first:] if not is_mapped(p.rank)]
    if not unranked:
        return ()
    scope, found = scope_of(), list[str]()
    for p in unranked:
        parameter = signature.parameters[p.name]
        said = _said_by_annotation(parameter.annotation, scope)
        if said is None:
            default = parameter.default
            said = default is not inspect.Parameter.empty and (
                isinstance(default, STATIC)
                or (callable(default) and jax.tree_util.all_leaves([default]))
            )
        if said:
            found.append(p.name)
    return tuple(found)


def _said_by_annotation(annotation: Any, scope: Scope) -> bool | None:
    """Whether a parameter is static; None where its annotation does not tell."""
    if annotation is inspect.Parameter.empty:
        return None
    try:
        said = {_is_static(member) for member in _members(scope.resolve(annotation), scope)}
    except Exception:  # an annotation that does not resolve says nothing here
        return None
    said.discard(None)
    return said.pop() if len(said) == 1 else None


def _members(annotation: Any, scope: Scope) -> list[Any]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return [m for a in arguments for m in _members(scope.resolve(a), scope)]
    if origin in (typing.Annotated, typing.Final):
        return _members(scope.resolve(arguments[0]), scope)
    return [] if annotation in (None, type(None)) else [annotation]


def _is_static(annotation: Any) -> bool | None:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return True
    cls = annotation if origin is None else origin
    if not isinstance(cls, type):
        return True if cls is typing.Callable else None
    if issubclass(cls, STATIC) or cls is collections.abc.Callable:
        return True
    return False if issubclass(cls, TRACED) or hasattr(cls, "at") else None


def given_names(given: Any, what: str, spec: Spec, ranked: Collection[str] = ()) -> tuple[str, ...]:
    """What a caller named in `static_argnames` or `donate_argnames`, checked.

    A name is a parameter's, or that of a keyword which `**kwargs` takes.
    """
    function, known = spec.function, [p.name for p in spec.parameters]
    takes_any = any(p.kind is VAR_KEYWORD for p in spec.parameters)
    try:
        names: tuple[str, ...] = (given,) if isinstance(given, str) else tuple(given)
    except TypeError:
        raise SpecError(
            f"{function}.jit(): {what} is {value_text(given)}; give the name of a parameter, or "
            "several"
        ) from None
    for name in names:
        if name not in known and not takes_any:
            raise SpecError(
                f"{function}.jit(): {what} has {value_text(name)}, which is not a parameter; the "
                f"parameters are: {', '.join(known) or 'none'}"
            )
        if name in ranked:
            raise SpecError(
                f"{function}.jit(): {what} has {name!r}, which has a base rank, and so is "
                f"traced; leave it out of {what}, or give it no rank"
            )
    return names


def count_value(seen: set[Any], key: Any, what: str, value: Any, remedy: str) -> None:
    """Warn when a static number takes its eighth value.

    Args:
        seen: the keys of its values so far, to which this one's is added.
        key: what tells this one from others.
        what: what opens the message, such as "f(): n is a static number that".
        value: the value.
        remedy: what to do about it.
    """
    if key in seen or len(seen) >= EIGHTH:
        return
    seen.add(key)
    if len(seen) == EIGHTH:
        warn(
            f"{what} takes its eighth value, {value!r}, and each value is compiled separately; "
            f"{remedy}"
        )


def is_number(value: Any) -> bool:
    """Whether a static value is a number of many: no bool, of which there are two."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def refuse_changing(value: Any, where: str, fixed: bool = False) -> None:
    """Refuse a static value that may change, as a program would go on with what it held.

    Args:
        value: the value.
        where: what opens the message.
        fixed: whether `jax.jit` compares it by `==` alone: see `check_constant`.

    Raises:
        SpecError: with what it holds that may change.
    """
    try:
        check_constant(value, fixed)
    except Changing as error:
        raise SpecError(f"{where}{_why(value, error, fixed)}") from None


def _why(value: Any, error: Changing, fixed: bool) -> str:
    name = a(type(value).__name__)
    stale = "a compiled function would keep using its old contents after they change"
    ways: list[str] = []
    if fixed and is_constant(value):
        ways.append("call .jit(partition=True), which looks into it at each call")
    if error.path:
        inside = f" is {name} whose {error.path} is {a(type(error.value).__name__)}, which"
        ways.append("hold a tuple, a number or a frozen dataclass there")
        return f"{inside} {error.why}: {stale}; {', or '.join(ways)}"
    if type(value) in BUILTIN:
        return f" is {shown(value)}, {name}, which {error.why}; pass {BUILTIN[type(value)]}"
    ways.append(
        "register the class (jax.tree_util.register_dataclass, register_pytree_node)"
        + (
            " or make it a frozen dataclass"
            if fixed
            else ", make it a frozen dataclass, or give it __hash__ and __eq__"
        )
    )
    return f" is {name}, which is not a pytree and {error.why}: {stale}; {', or '.join(ways)}"


def refuse_static(value: Any, parameter: str, where: str, function: str) -> None:
    """Refuse what can't be the value of a static parameter: an array, or what may change.

    Raises:
        SpecError: with what to pass instead.
    """
    if is_traced(value):
        raise SpecError(f"{function}(): {traced_outside(parameter, function)}") from None
    if kind_of(type(value)) in ARRAYS:
        raise SpecError(
            f"{where} is {shown(value)}, an array, but {parameter} is static, by its annotation, "
            f"its default or static_argnames: pass a Python value (x.item(), x.tolist()), or say "
            f"yourself what is static, as in .jit(static_argnames=())"
        ) from None
    refuse_changing(value, where, fixed=True)
