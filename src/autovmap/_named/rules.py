"""The rules of the bracket notation that need no shapes, and the sizes given by keyword."""

import functools
import inspect
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from autovmap._lines import value_text
from autovmap._named.notation import (
    ANONYMOUS,
    Axis,
    Composed,
    Node,
    Nodes,
    Pattern,
    Repeat,
    Span,
    axes_of,
    is_anonymous,
    mistake,
    parse,
    pointed,
)
from autovmap._spec.operands import KEYWORDS
from autovmap._spec.ranks import ByValue, Core, Tree
from autovmap.errors import SpecError

Sizes: TypeAlias = tuple[tuple[str, int | tuple[int, ...]], ...]
"""Sizes by name; a tuple for the axes of an ellipsis."""


@dataclass(frozen=True, slots=True)
class Entry(Core):
    """What a rank tree says of an argument under a pattern: which part is the argument's."""

    index: int = 0


PATTERNS = 512
"""How many patterns are remembered."""


def read_pattern(text: Any, function: str = "named_vmap") -> Pattern:
    """Read a pattern; every mistake that needs no shapes is found here.

    >>> pattern = read_pattern("a b [c d], a [c] -> b [c] a")
    >>> len(pattern.inputs), [axis.name for axis in axes_of(pattern.outputs[0])]
    (2, ['b', 'c', 'a'])

    Raises:
        SpecError: the pattern is malformed; the message shows it with a caret.
    """
    if not isinstance(text, str):
        raise SpecError(
            f"{function}: got {text!r} of type {type(text).__name__}; give a pattern, as in "
            f'named_vmap("b [n], [n] -> b")'
        )
    return _read(text)


@functools.lru_cache(maxsize=PATTERNS)  # a pattern in a method's body is read at each call
def _read(text: str) -> Pattern:
    pattern = parse(text)
    for nodes in (*pattern.inputs, *pattern.outputs):
        _check_repeats(text, nodes)
    _check_brackets(pattern)
    _check_depths(pattern)
    for nodes in pattern.inputs:
        _check_input(text, nodes)
    for nodes in pattern.outputs:
        _check_output(text, nodes)
    return pattern


def _repeats(nodes: Sequence[Node]) -> list[tuple[Repeat, bool]]:
    """The repeats in some nodes, and whether each stands in a composition."""
    found: list[tuple[Repeat, bool]] = []
    for node in nodes:
        if isinstance(node, Repeat):
            found.append((node, False))
        elif isinstance(node, Composed):
            found += [(repeat, True) for repeat, _ in _repeats(node.nodes)]
    return found


def _check_repeats(text: str, nodes: Nodes) -> None:
    free: list[Span] = []
    for repeat, _ in _repeats(nodes):
        axes = list(axes_of(repeat.nodes))
        if not any(axis.name for axis in axes):
            raise mistake(
                text, "repeats something that has no name; name it, as in a...", repeat.span
            )
        inner = [node for node in _under(repeat.nodes) if isinstance(node, Repeat)]
        if inner:
            raise mistake(text, "has an ellipsis inside an ellipsis", *[i.span for i in inner])
        if repeat.free:
            free.append(repeat.span)
    if len(free) > 1:
        said = "has [...] twice in one part, so neither says how many dims it is; name one: [s...]"
        raise mistake(text, said, *free)


def _under(nodes: Sequence[Node]) -> list[Node]:
    found = list(nodes)
    for node in nodes:
        if not isinstance(node, Axis):
            found += _under(node.nodes)
    return found


def _all_axes(pattern: Pattern) -> list[Axis]:
    return [axis for nodes in (*pattern.inputs, *pattern.outputs) for axis in axes_of(nodes)]


def _check_brackets(pattern: Pattern) -> None:
    """An axis is always a core dim, or never. `...` and `[...]` are two things."""
    by_name: dict[str, list[Axis]] = {}
    for axis in _all_axes(pattern):
        if axis.name and axis.name != ANONYMOUS:
            by_name.setdefault(axis.name, []).append(axis)
    for name, axes in by_name.items():
        if len({axis.core for axis in axes}) > 1:
            raise mistake(
                pattern.text,
                f"has {name!r} in brackets and outside of them; an axis is a core dim everywhere "
                f"or nowhere",
                *[axis.span for axis in axes],
            )


def _check_depths(pattern: Pattern) -> None:
    """A name stands for one axis everywhere, or for several (`a...`) everywhere."""
    for nodes in (*pattern.inputs, *pattern.outputs):
        for repeat, _ in _repeats(nodes):
            names = {axis.name for axis in axes_of(repeat.nodes)}
            for axis in _single_axes(pattern):
                if axis.name in names - {None}:
                    raise mistake(
                        pattern.text,
                        f"has {axis.name!r} with an ellipsis and without one; it stands for "
                        f"several axes everywhere or nowhere",
                        repeat.span,
                        axis.span,
                    )


def _single_axes(pattern: Pattern) -> list[Axis]:
    def single(nodes: Sequence[Node]) -> list[Axis]:
        found: list[Axis] = []
        for node in nodes:
            if isinstance(node, Axis):
                found.append(node)
            elif isinstance(node, Composed):
                found += single(node.nodes)
        return found

    return [axis for nodes in (*pattern.inputs, *pattern.outputs) for axis in single(nodes)]


def _check_input(text: str, nodes: Nodes) -> None:
    for axis in axes_of(nodes):
        if axis.size not in (None, 1) and not axis.core:
            raise mistake(
                text,
                f"has the number {axis.size} as a batch axis of an argument, but a result can't "
                f"have that axis; give it a name, or put it in brackets",
                axis.span,
            )
    for repeat, composed in _repeats(nodes):
        if composed and repeat.free:
            said = "has [...] in a composition of an argument, whose sizes can't be worked out"
            raise mistake(text, said, repeat.span)


def _check_output(text: str, nodes: Nodes) -> None:
    seen: dict[str, Axis] = {}
    for axis in axes_of(nodes):
        if axis.name is None or axis.core:
            continue
        first = seen.setdefault(axis.name, axis)
        if first is not axis:
            said = f"has the batch axis {axis.name!r} twice in one result"
            raise mistake(text, said, first.span, axis.span)


def read_sizes(pattern: Pattern, given: Mapping[str, Any], function: str) -> Sizes:
    """Check the sizes given by keyword, and that every axis that only results have has one.

    Raises:
        SpecError: a name that is not in the pattern, a value that is not a size, or a missing size.
    """
    names = list(dict.fromkeys(axis.name for axis in _all_axes(pattern) if axis.name))
    repeated = {
        axis.name
        for nodes in (*pattern.inputs, *pattern.outputs)
        for repeat, _ in _repeats(nodes)
        for axis in axes_of(repeat.nodes)
    }
    read: list[tuple[str, int | tuple[int, ...]]] = []
    for name, value in given.items():
        if name not in names or name == ANONYMOUS:
            shown = ", ".join(n for n in names if n != ANONYMOUS) or "none"
            raise SpecError(
                f"{function}(): {name}={value_text(value)} is not an option, and the pattern has "
                f"no axis {name!r}; its axes are: {shown}\n  {pattern.text}"
            )
        read.append((name, _size(pattern, name, value, name in repeated, function)))
    _check_new_axes(pattern, {name for name, _ in read}, function)
    return tuple(sorted(read))


def _size(
    pattern: Pattern, name: str, value: Any, repeated: bool, function: str
) -> int | tuple[int, ...]:
    several = repeated and isinstance(value, (tuple, list))
    sizes: list[Any] = list(cast("Sequence[Any]", value)) if several else [value]
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 0:
            wanted = "a non-negative int" + ", or a tuple of them" * repeated
            spans = [axis.span for axis in _all_axes(pattern) if axis.name == name]
            raise SpecError(
                f"{function}(): {name}={value_text(value)} is not a size; a size is {wanted}\n"
                f"{pointed(pattern.text, *spans)}"
            )
    read = tuple(int(size) for size in sizes)
    return read if several else read[0]


def _check_new_axes(pattern: Pattern, given: set[str], function: str) -> None:
    known = {axis.name for nodes in pattern.inputs for axis in axes_of(nodes)} | given
    for nodes in pattern.outputs:
        for axis in axes_of(nodes):
            if axis.name and not axis.core and axis.name not in known:
                name = "its size" if axis.name == ANONYMOUS else f"{axis.name}=..."
                raise SpecError(
                    f"{function}(): no argument has the axis {axis.name!r}, so its size is not "
                    f"known; give {name}\n{pointed(pattern.text, axis.span)}"
                )
        for repeat, _ in _repeats(nodes):
            names = {axis.name for axis in axes_of(repeat.nodes)}
            if not is_anonymous(repeat) and not names & known:
                raise SpecError(
                    f"{function}(): it is not known how many axes the ellipsis stands for; give "
                    f"their sizes by keyword, or write [...]\n{pointed(pattern.text, repeat.span)}"
                )


def entries(
    pattern: Pattern, parameters: Sequence[inspect.Parameter], function: str
) -> dict[str, Tree]:
    """The rank trees of the parameters: in order, each has its part of the pattern.

    `*args` takes all parts that are left, one a value. Parameters beyond are not mapped.
    """
    found: dict[str, Tree] = {}
    left = [Entry(0, index=i) for i in range(len(pattern.inputs))]
    for parameter in parameters:
        if parameter.kind in KEYWORDS or not left:
            break
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            found[parameter.name], left = ByValue(tuple(left)), []
        else:
            found[parameter.name] = left.pop(0)
    if left and (pattern.inputs != ((),) or found):
        nodes = pattern.inputs[left[0].index]
        span = nodes[0].span if nodes else Span(len(pattern.text), len(pattern.text))
        names = ", ".join(found) or "none"
        raise SpecError(
            f"{function}(): the pattern has {len(pattern.inputs)} arguments for {len(found)} "
            f"positional parameters ({names})\n{pointed(pattern.text, span)}"
        )
    return found
