"""The frame around a small call of `f.jit()`, written out for the parameters of a function.

Packing the arguments and going through them in a loop would take twice as long as the frame itself.
So its source is made for each function, as `dataclasses` make theirs.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, TypeAlias

from autovmap._frames import leave_out_frames
from autovmap._ways.distinct import PLAIN, Args, Arguments, Kwargs

Call: TypeAlias = Callable[..., Any]

ABSENT = object()
MADE_HERE = __file__ + ", made for the parameters of a function"
SOURCE = """\
def make({_}program, {_}array, {_}others, {_}plain, {_}otherwise, {_}given, {_}leave_out_frames):
    {_}type, {_}failure, {_}absent = type, Exception, ABSENT
    def call({parameters}, *{_}more, **{_}named):
        try:
            if {fits} and not {_}more and not {_}named:
                return {_}program({names})
            {_}args, {_}kwargs = {_}given(({all_names},), {_}named)
            return {_}otherwise(*{_}args, *{_}more, **{_}kwargs)
        except {_}failure as {_}error:
            {_}leave_out_frames({_}error)
            raise
    return call
"""


@functools.lru_cache(maxsize=256)
def _maker(names: tuple[str, ...], count: int, static: frozenset[str]) -> Callable[..., Call]:
    """Makes the frames of functions whose parameters have these names: see `written_out`."""
    own = "_"  # at the front of this code's names, and of no parameter's
    while any(name.startswith(own) for name in names):
        own += "_"
    given, missing = names[:count], names[count:]
    types = {name: f"{own}type({name})" for name in given}
    traced = [types[name] for name in given if name not in static]
    fits = [f"{types[name]} in {own}plain" for name in given if name in static]
    fits += [f"{name} is {own}absent" for name in missing]
    if traced:  # most often all are JAX's arrays, which a chain of `is` tells soonest
        arrays = " is ".join([*traced, f"{own}array"])
        others = " and ".join(f"{each} in {own}others" for each in traced)
        fits.append(f"({arrays} or ({others}))")
    source = SOURCE.format(
        _=own,
        parameters=", ".join(f"{name}={own}absent" for name in names),
        all_names=", ".join(names),
        names=", ".join(given),
        fits=" and ".join(fits),
    )
    scope: dict[str, Any] = {"ABSENT": ABSENT}
    exec(compile(source, MADE_HERE, "exec"), scope)
    return scope["make"]


def written_out(
    program: Call,
    name: str,
    names: tuple[str, ...],
    count: int,
    static: frozenset[str],
    array: type,
    others: frozenset[type],
    otherwise: Call,
) -> Call:
    """A call that hands on so many arguments of these types as they are.

    Args:
        program: gets them by position.
        name: the function's, which Python tells where an argument comes twice.
        names: of all its parameters; each takes an argument by position or by name.
        count: how many of them are given.
        static: those whose arguments are plain static values.
        array: the type of the others' arguments, most often.
        others: all types that these have.
        otherwise: any other call.
    """

    def given(values: Args, named: Kwargs) -> Arguments:
        """The arguments that were there."""
        front = tuple(itertools.takewhile(lambda value: value is not ABSENT, values))
        rest = zip(names[len(front) :], values[len(front) :], strict=True)
        return front, {**{name: v for name, v in rest if v is not ABSENT}, **named}

    make = _maker(names, count, static)
    call = make(program, array, others, PLAIN, otherwise, given, leave_out_frames)
    call.__qualname__ = name
    return call
