"""Between signatures and parameters: which operand is which, and ranks as a signature."""

import inspect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, cast

from autovmap._spec.gufunc import Gufunc, read_core_shape, read_gufunc
from autovmap._spec.ranks import UNMAPPED, ByValue, Core, CoreDim, Tree
from autovmap.errors import SpecError

KEYWORDS = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)


def lone_signature(ranks: Sequence[Any], function: str) -> Gufunc | None:
    """The signature, where a declaration is one: a lone string other than the marker "key"."""
    alone = len(ranks) == 1
    for text in ranks:
        if not isinstance(text, str) or not ("->" in text or (alone and "(" in text)):
            continue
        if alone and "->" in text:
            return read_gufunc(text, open_outputs=True)
        if alone:
            return _without_arrow(text)
        raise SpecError(
            f"{function}(): the signature {text!r} must be the only positional argument; rank by "
            f"name what it does not cover"
        )
    return None


def _without_arrow(text: str) -> Gufunc:
    """Refuse a lone core shape: it may as well be a signature whose outputs were forgotten."""
    try:
        return read_gufunc(text)
    except SpecError as error:
        if _is_core_shape(text):
            named = f"for the core shape of one parameter, name it: x={text!r}"
            raise SpecError(f"{error}; {named}") from None
        raise


def _is_core_shape(text: str) -> bool:
    try:
        read_core_shape(text, "")
    except SpecError:
        return False
    return True


def operands(
    gufunc: Gufunc,
    parameters: Sequence[inspect.Parameter],
    named: Mapping[str, Tree],
    excluded: frozenset[int | str],
    function: str,
) -> dict[str, Tree]:
    """The rank trees of a signature's operands, parameter by parameter."""
    found: dict[str, Tree] = {}
    left = [Core(len(dims), dims) for dims in gufunc.inputs]
    for i, parameter in enumerate(parameters):
        if (
            parameter.kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
            or not left
        ):
            break
        several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        if parameter.name in excluded or (i in excluded and not several):
            continue
        if parameter.name in named:
            raise SpecError(
                f"{function}(): parameter {parameter.name!r} is ranked by the signature and by "
                f"name; leave {parameter.name}=... out"
            )
        if several:
            found[parameter.name], left = ByValue(_spread(left, i, excluded)), []
        else:
            found[parameter.name] = left.pop(0)
    if left:
        names = ", ".join(found) or "none"
        raise SpecError(
            f"{function}(): the signature {gufunc} has {len(gufunc.inputs)} operands for "
            f"{len(found)} positional parameter{'s' * (len(found) != 1)} ({names})"
        )
    return found


def refuse_left_over(
    gufunc: Gufunc,
    parameters: Sequence[inspect.Parameter],
    ranked: Mapping[str, Tree],
    function: str,
) -> None:
    """Refuse a signature that says nothing of an argument that every call must have.

    Raises:
        SpecError: with the parameters that are left over.
    """
    needed = [
        p
        for p in parameters
        if p.default is inspect.Parameter.empty
        and p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    left = [p.name for p in needed if p.name not in ranked]
    if left:
        count = len(gufunc.inputs)
        raise SpecError(
            f"{function}(): the signature {gufunc} has {count} operand{'s' * (count != 1)}, but "
            f"{function} has {len(needed)} positional parameters without a default "
            f"({', '.join(p.name for p in needed)}); "
            f"add an operand for {left[0]}, or declare that it is not mapped: {left[0]}=None"
        )


def _spread(
    operands: Sequence[Tree], first: int, excluded: frozenset[int | str]
) -> tuple[Tree, ...]:
    """The operands that `*args` takes, with the excluded indices between them."""
    left = list(operands)
    found: list[Tree] = []
    while left or first + len(found) in excluded:
        found.append(UNMAPPED if first + len(found) in excluded else left.pop(0))
    return tuple(found)


def as_signature(parameters: Sequence[tuple[str, Tree]], ranked: Sequence[str]) -> str | None:
    """Ranks as a signature with dims named in order, or as they are; its outputs are not known.

    None where an operand is a tree or a key, or an unmapped parameter precedes a mapped one.

    >>> as_signature([("s", Core(0)), ("m", Core(2))], ["s", "m"])
    '(),(a,b)->...'
    """
    first = parameters[: len(ranked)]
    if [name for name, _ in first] != list(ranked):
        return None
    if not all(isinstance(tree, Core) for _, tree in first):
        return None
    cores = [cast("Core", tree) for _, tree in first]
    known = {dim.name for core in cores for dim in core.dims}
    names = (name for name in map(_letters, itertools.count()) if name not in known)

    def text(core: Core) -> str:
        dims = core.dims or (CoreDim(),) * core.rank
        return ",".join(next(names) if dim.name is dim.size is None else str(dim) for dim in dims)

    return ",".join(f"({text(core)})" for core in cores) + "->..."


def _letters(i: int) -> str:
    """a, b, ..., z, a1, b1, ..."""
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")
