"""Ways of calling a function: which values of a call are ranked, where they stand, and defaults.

All of it follows from the number of positional arguments and the names of the keywords, so it is
worked out once for all calls of one *style*. What is said of arguments that do not fit the
parameters stands here too.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autovmap._bind.kinds import expects_no_array
from autovmap._bind.leaves import as_array
from autovmap._lines import did_you_mean
from autovmap._spec.ranks import ByValue, Tree, is_mapped, is_matched
from autovmap._spec.spec import KEYWORD_ONLY, POSITIONAL_ONLY, VAR_KEYWORD, VAR_POSITIONAL, Spec
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Slot:
    """One value of a call: its place among the arguments, and what is declared of it."""

    place: int | str
    path: str
    parameter: str
    rank: Tree
    positions: Tree

    def value(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The value itself, among the arguments of a call."""
        return args[self.place] if isinstance(self.place, int) else kwargs[self.place]


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """What follows from the number of positional arguments and the names of the keywords."""

    slots: tuple[Slot, ...]
    default_args: tuple[Any, ...]
    default_kwargs: Mapping[str, Any]
    checked: tuple[Slot, ...] = ()  # not mapped, and annotated as what is no array
    plain: bool = True
    """Whether the arguments may be looked up as they are: none is checked, added or converted,
    and those with a rank are positional."""
    places: tuple[int, ...] = ()
    """Where the ranked arguments stand, if all of them are positional."""
    shared: tuple[int | str, ...] = ()
    """Where the arguments without a rank stand."""


def style_of(
    spec: Spec,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    class_first: bool,
) -> Style:
    """Bind once for all calls of this style, as the same arguments always find the same places."""
    check_arguments(spec, signature, args, kwargs)
    _check_operands(spec, len(args))
    default_args, default_kwargs = _defaults(spec, signature, len(args), kwargs)
    order = {parameter.name: i for i, parameter in enumerate(spec.parameters)}
    count, keywords = len(args) + len(default_args), [*kwargs, *default_kwargs]
    found = [slot for slot in argument_slots(spec, count, keywords) if is_matched(slot.rank)]
    # Keywords come in any order: plans, and the errors that name leaves, have the parameters'.
    found.sort(key=lambda slot: order[slot.parameter])
    given = list(argument_slots(spec, len(args), list(kwargs)))
    checked = tuple(slot for slot in given if expects_no_array(slot.rank))
    plain = not (checked or default_args or default_kwargs or spec.numpy_calls or class_first)
    places = tuple(slot.place for slot in found if isinstance(slot.place, int))
    plain = plain and len(places) == len(found)
    ranked = {slot.place for slot in found}
    shared = tuple(slot.place for slot in given if slot.place not in ranked)
    return Style(tuple(found), default_args, default_kwargs, checked, plain, places, shared)


def check_arguments(
    spec: Spec, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Check that a call's arguments fit the parameters.

    Raises:
        TypeError: one is missing, unexpected or given twice.
    """
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        why = str(error).replace("multiple values", "got multiple values")  # as a call says it
        why = _unexpected(signature, kwargs) or _too_many(signature, args) or why
        if spec.numpy_calls and spec.signature is not None and "positional" not in why:
            expected = len(spec.signature.inputs or ())
            why = (
                f"wrong number of positional arguments: expected {expected}, got {len(args)}: {why}"
            )
        raise TypeError(f"{spec.function}() {why}") from None


def _too_many(signature: inspect.Signature, args: tuple[Any, ...]) -> str:
    """What Python says to a call with more positional arguments than there are parameters."""
    parameters = [p for p in signature.parameters.values() if p.kind is not VAR_KEYWORD]
    if any(p.kind is VAR_POSITIONAL for p in parameters):
        return ""
    by_position = [p for p in parameters if p.kind is not KEYWORD_ONLY]
    most, least = len(by_position), sum(p.default is p.empty for p in by_position)
    if len(args) <= most:
        return ""
    takes = f"{most}" if least == most else f"from {least} to {most}"
    plural, were = "s" * (most != 1), "was" if len(args) == 1 else "were"
    return f"takes {takes} positional argument{plural} but {len(args)} {were} given"


def _unexpected(signature: inspect.Signature, kwargs: Mapping[str, Any]) -> str:
    """The first keyword that is not a parameter: Python names it before what is missing."""
    parameters = signature.parameters
    if any(p.kind is VAR_KEYWORD for p in parameters.values()):
        return ""
    unknown = next((name for name in kwargs if name not in parameters), None)
    if unknown is None:
        return ""
    slip = did_you_mean(unknown, parameters)
    return f"got an unexpected keyword argument {unknown!r}{slip}"


def _check_operands(spec: Spec, count: int) -> None:
    """Refuse more or fewer values for `*args` than the signature has operands for it."""
    positional = [p for p in spec.parameters if p.kind not in (KEYWORD_ONLY, VAR_KEYWORD)]
    last = positional[-1] if positional else None
    if spec.signature is None or last is None or not isinstance(last.rank, ByValue):
        return
    first = len(positional) - 1
    children = last.rank.children
    fewest = first + max(i for i, child in enumerate(children, 1) if is_mapped(child))
    if not fewest <= count <= first + len(children):
        raise SpecError(
            f"{spec.function}(): wrong number of positional arguments: expected {fewest}, got "
            f"{count} (signature {spec.signature})"
        )


def argument_slots(spec: Spec, count: int, keywords: Sequence[str]) -> Iterator[Slot]:
    """The values of a call, by position and by keyword.

    Raises:
        TypeError: there is no parameter for one: see `check_arguments`, which says more.
    """
    positional = [p for p in spec.parameters if p.kind not in (KEYWORD_ONLY, VAR_KEYWORD)]
    if count > len(positional) and not any(p.kind is VAR_POSITIONAL for p in positional):
        raise TypeError(f"{spec.function}() got too many positional arguments")
    for i in range(count):
        parameter = positional[min(i, len(positional) - 1)]
        path, at = parameter.name, 0
        if parameter.kind is VAR_POSITIONAL:
            at = i - len(positional) + 1
            path = f"{path}[{at}]"
        yield Slot(i, path, parameter.name, parameter.rank_of(at), parameter.positions_of(at))
    for name in keywords:
        parameter = spec.parameter(name)
        if parameter is None:
            raise TypeError(f"{spec.function}() got an unexpected keyword argument {name!r}")
        path = f"{parameter.name}[{name!r}]" if parameter.kind is VAR_KEYWORD else name
        rank, positions = parameter.rank_of(name), parameter.positions_of(name)
        yield Slot(name, path, parameter.name, rank, positions)


def _defaults(
    spec: Spec, signature: inspect.Signature, given: int, kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The defaults of ranked parameters that this style leaves out, to be passed explicitly.

    Unranked ones stay out of the call, as the function may tell a default from a value given (a
    jitted function does). By position only those are passed that can't be passed by keyword.
    """
    args: list[Any] = []
    kept = 0
    keywords: dict[str, Any] = {}
    for i, parameter in enumerate(spec.parameters):
        default = signature.parameters[parameter.name].default
        left_out = default is not inspect.Parameter.empty and parameter.name not in kwargs
        ranked = is_mapped(parameter.rank) and default is not None and not spec.numpy_calls
        if parameter.kind is POSITIONAL_ONLY:
            if i >= given and left_out:
                args.append(default)
                kept = len(args) if ranked else kept
        elif left_out and ranked and (i >= given or parameter.kind is KEYWORD_ONLY):
            keywords[parameter.name] = default
    return tuple(args[:kept]), keywords


def with_arrays(
    slots: Sequence[Slot], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments, with numbers and lists of scalars under a rank as arrays."""
    made = {slot.place: as_array(slot.value(args, kwargs)) for slot in slots}
    return (
        tuple(made.get(i, value) for i, value in enumerate(args)),
        {name: made.get(name, value) for name, value in kwargs.items()},
    )
