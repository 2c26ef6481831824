"""One call by every entry point and in every way of running."""

import types
from collections.abc import Callable, Mapping
from typing import Any

from autovmap import auto_vmap, named_vmap
from faults.cases.case import Case, Thunk, one_device

WAYS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "call": lambda f: f,
    ".plan": lambda f: f.plan,
    ".jit()": lambda f: f.jit(),
    ".chunk(2)": lambda f: f.chunk(2),
    ".bucket()": lambda f: f.bucket(),
    ".shard('d')": lambda f: f.shard("d", mesh=one_device()),
    ".loop()": lambda f: f.loop(),
}
"""How a decorated function may be called."""

NAMED_WAYS = ("call", ".plan", ".jit()", ".loop()")
"""Those that a pattern leaves open."""


def entries(
    body: Any,
    ranks: Mapping[str, Any] | None = None,
    signature: str | None = None,
    annotations: Mapping[str, Any] | None = None,
    pattern: str | None = None,
) -> dict[str, Thunk]:
    """One function declared by each entry point that is told how."""
    found: dict[str, Thunk] = {}
    if ranks is not None:
        found["auto_vmap"] = lambda: auto_vmap(**ranks)(body)
    if signature is not None:
        found["signature"] = lambda: auto_vmap(signature)(body)
    if annotations is not None:
        found["annotations"] = lambda: auto_vmap(annotated(body, annotations))
    if pattern is not None:
        found["named_vmap"] = lambda: named_vmap(pattern)(body)
    return found


def annotated(body: Any, annotations: Mapping[str, Any]) -> Any:
    """A copy of a function with these annotations."""
    copy = types.FunctionType(
        body.__code__, body.__globals__, body.__name__, body.__defaults__, body.__closure__
    )
    copy.__kwdefaults__ = body.__kwdefaults__
    copy.__annotations__ = dict(annotations)
    return copy


def called(
    row: int,
    name: str,
    declared: Mapping[str, Thunk],
    args: Callable[[], tuple[Any, ...]],
    kwargs: Mapping[str, Any] | None = None,
    needs: str | None = None,
    without: tuple[str, ...] = (),
) -> Case:
    """A call of each declaration in every way; `args` makes the arguments anew for each.

    Ways in `without` are left out.
    """
    made: dict[str, Thunk] = {}
    for entry, declare in declared.items():
        for way in NAMED_WAYS if entry == "named_vmap" else WAYS:
            if way in without:
                continue
            made[f"{entry}: {way}"] = _thunk(declare, way, args, kwargs or {})
    return Case(row, name, made, needs)


def _thunk(declare: Thunk, way: str, args: Any, kwargs: Mapping[str, Any]) -> Thunk:
    return lambda: WAYS[way](declare())(*args(), **kwargs)
