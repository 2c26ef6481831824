"""Annotations that are true of the decorated function, where the function's own are jaxtyping's."""

import functools
import inspect
import operator
import types
import typing
from typing import Any

from autovmap._spec.annotations.scope import Scope
from autovmap._spec.annotations.shapes import core_dims, is_batch, is_jaxtyped, is_pytree, jaxtyping
from autovmap._spec.ranks import Core, Either, FromSelf, Key, Position, Tree, leaves_of
from autovmap._spec.spec import Spec

ANY_DIMS = "..."


def true_annotations(told: Spec, signature: inspect.Signature, scope: Scope) -> dict[str, Any]:
    """The annotations that differ for a batch: `Float[Array, "... n"]` for `Float[Array, "n"]`.

    A parameter that is not mapped keeps its own. A string that does not resolve yet is left.
    """
    if jaxtyping() is None:
        return {}
    found: dict[str, Any] = {}
    for parameter in told.parameters:
        annotation = signature.parameters[parameter.name].annotation
        rank = None if parameter.name in told.unread else parameter.rank
        _put(found, parameter.name, annotation, scope, rank, parameter.positions)
    _put(found, "return", signature.return_annotation, scope, None, told.options.out_axes)
    return found


def _put(
    found: dict[str, Any], name: str, annotation: Any, scope: Scope, rank: Tree | None, at: Tree
) -> None:
    try:
        own = scope.resolve(annotation)
        batched = _batched(own, scope, rank, at)
    except Exception:  # whatever evaluating it raises: it is reported where ranks are read
        return
    if batched is not own:
        found[name] = batched


def _batched(annotation: Any, scope: Scope, rank: Tree | None, at: Tree) -> Any:
    """An annotation with batch dims added to its arrays; the very same where it has none."""
    annotation = scope.resolve(annotation)
    if is_jaxtyped(annotation):
        text = _batched_dims(annotation.dim_str, rank, at)
        unchanged = text == annotation.dim_str
        return annotation if unchanged else annotation.dtype[annotation.array_type, text]
    if is_pytree(annotation):
        leaf = _batched(annotation.leaftype, scope, rank, at)
        if leaf is annotation.leaftype:
            return annotation
        of = (leaf,) if annotation.structure is None else (leaf, annotation.structure)
        return jaxtyping().PyTree[of if len(of) == 2 else leaf]
    return _rebuilt(annotation, scope, rank, at)


def _rebuilt(annotation: Any, scope: Scope, rank: Tree | None, at: Tree) -> Any:
    """A union or a container of others."""
    origin: Any = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    known = (typing.Union, types.UnionType, tuple, list, dict)
    if origin not in known or Ellipsis in arguments[:1]:
        return annotation
    batched = [
        argument if argument is Ellipsis else _batched(argument, scope, rank, at)
        for argument in arguments
    ]
    if all(new is old for new, old in zip(batched, arguments, strict=True)):
        return annotation
    if origin is types.UnionType:
        return functools.reduce(operator.or_, batched)
    if origin is typing.Union:
        return typing.Union[tuple(batched)]  # noqa: UP007
    container: Any = origin
    return container[tuple(batched)]


def _batched_dims(text: str, rank: Tree | None, at: Tree) -> str:
    """A shape with batch dims among its dims: see `true_annotations`."""
    words = text.split()
    position = at.index if isinstance(at, Position) else None
    ranks = {_base(leaf) for leaf in leaves_of(rank)} if rank is not None else {len(words)}
    dims = core_dims(text)
    if ranks == {None} or (rank is None and not isinstance(at, Position) and _nowhere(at)):
        return text
    if dims is None or position is None or (rank is not None and ranks != {len(dims)}):
        return ANY_DIMS
    if words and is_batch(words[0]):
        return text if position == 0 else ANY_DIMS
    start = position if position >= 0 else len(words) + 1 + position
    return " ".join([*words[:start], ANY_DIMS, *words[start:]])


def _base(leaf: Tree) -> int | None:
    """A leaf's base rank, or None where it is not mapped."""
    match leaf:
        case Core(rank=rank):
            return rank
        case Key():
            return 0
        case FromSelf():
            return -1
        case Either(choices=choices):
            ranks = {_base(choice.rank) for choice in choices}
            return ranks.pop() if len(ranks) == 1 else -1
        case _:
            return None


def _nowhere(at: Tree) -> bool:
    """Whether `out_axes` says that no batch dims are anywhere."""
    return not any(isinstance(leaf, Position) for leaf in leaves_of(at))
