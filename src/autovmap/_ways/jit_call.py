"""The call of `f.jit()`: that of a `jax.jit`, and the one Python frame around it.

`jax.jit` refuses what it can neither trace nor keep before it traces anything, so only a frame
around its call can explain that. And a `jax.jit` that is warm takes some NumPy arrays for what they
are not: it reads another byte order as if it were native, and forgets a mask. They are looked for
at the least price, as a frame costs a twentieth of a small call, and a look at all leaves of a tree
a tenth of a larger one.
"""

import functools
import itertools
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np

from autovmap._bind.kinds import Kind, is_traced, kind_of
from autovmap._frames import interface, leave_out_frames
from autovmap._spec.spec import POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD
from autovmap._ways.distinct import PLAIN, Args, Arguments, Kwargs, Substituted
from autovmap._ways.untraceable import Misuse

Call: TypeAlias = Callable[..., Any]

NDARRAY = np.ndarray
NUMBERS = frozenset((int, float, bool, complex))
CLEAR = NUMBERS | {str, type(None)}
"""Types of leaves, beside JAX's arrays, of which none is: most arguments are of these."""


@functools.cache
def _array_type() -> type:
    """The type of JAX's arrays: asked at a first call, as making one needs a backend."""
    with jax.ensure_compile_time_eval():  # an array too where all is traced
        return type(jax.numpy.zeros(()))


def explaining(
    program: Any, misuse: Misuse, substituted: Substituted, settle: Callable[[Call], None]
) -> Call:
    """The call of a `jax.jit` object, explained where an argument does not do.

    Keyword arguments go in by position: `jax.jit` takes longer over keywords, and would compile a
    function that is called in both ways twice.

    Args:
        program: the `jax.jit` object.
        misuse: says which argument does not do.
        substituted: gives static values stand-ins where they have to be told apart.
        settle: gets what is to be called from now on, once more is known of the calls.
    """
    lasting: list[Call] = []
    lock = threading.Lock()

    def settle_for(call: Call, lasts: bool = False) -> None:
        with lock:
            if lasts:
                lasting.append(call)
            settle(lasting[0] if lasting else call)

    calls = Calls(program, misuse, _positional(misuse), substituted, settle_for)

    def first_call(*args: Any, **kwargs: Any) -> Any:
        try:
            looking = _looking(calls)
            has_numpy = _has_numpy((args, kwargs))
            if has_numpy:  # before they are compiled for: calls in other threads may end first
                settle_for(looking, lasts=True)
            result = looking(*args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise
        if not has_numpy:
            watching = _watching(calls, looking)
            settle_for(_alike(calls, *by_position(calls.positional, args, kwargs), watching))
        return result

    return first_call


def explaining_method(method: Call, misuse: Misuse, substituted: Substituted) -> Call:
    """The same of another method of a `jax.jit` object, such as `lower`: each call is looked at."""

    @interface
    def explained(*args: Any, **kwargs: Any) -> Any:
        if _are_misread((args, kwargs), CLEAR):
            misuse.refuse_misread(args, kwargs)
        try:
            positional, named = substituted(args, kwargs)
            return method(*positional, **named)
        except (TypeError, ValueError) as error:
            misuse.refuse(error, args, kwargs)
            raise

    return explained


# Arguments by position


def _positional(misuse: Misuse) -> tuple[str, ...]:
    """The parameters at the front that take an argument by position or by name."""
    names: list[str] = []
    for p in misuse.signature.parameters.values():
        if p.kind is not POSITIONAL_OR_KEYWORD:
            # What stands behind one that has no name has a position, but not that of its name.
            return () if p.kind is POSITIONAL_ONLY else tuple(names)
        names.append(p.name)
    return tuple(names)


def by_position(positional: tuple[str, ...], args: Args, kwargs: Kwargs) -> Arguments:
    """A call with the arguments that come next in order taken from the keywords.

    >>> by_position(("x", "y", "z"), (1,), {"z": 3, "y": 2})
    ((1, 2, 3), {})
    >>> by_position(("x", "y"), (), {"y": 2})
    ((), {'y': 2})
    """
    more: list[Any] = []
    left = dict(kwargs)
    for name in positional[len(args) :]:
        if name not in left:
            break
        more.append(left.pop(name))
    return (*args, *more), left


# The calls. What is looked for is looked for in place: a frame would cost more than the look.


@dataclass(frozen=True, slots=True)
class Calls:
    """What the calls are made of: see `explaining`."""

    program: Any
    misuse: Misuse
    positional: tuple[str, ...]
    substituted: Substituted
    settle: Callable[..., None]
    """Gets what is to be called from now on, and whether it lasts, whatever comes behind it."""


ABSENT = object()
MADE_HERE = __file__ + ", made for the parameters of a function"
ALIKE = """\
def make({_}program, {_}array, {_}others, {_}plain, {_}watching, {_}given, {_}leave_out_frames):
    {_}type, {_}failure, {_}absent = type, Exception, ABSENT
    def call({parameters}, *{_}more, **{_}named):
        try:
            if {alike} and not {_}more and not {_}named:
                return {_}program({names})
            {_}args, {_}kwargs = {_}given(({all_names},), {_}named)
            return {_}watching(*{_}args, *{_}more, **{_}kwargs)
        except {_}failure as {_}error:
            {_}leave_out_frames({_}error)
            raise
    return call
"""


@functools.lru_cache(maxsize=256)
def _made_for(names: tuple[str, ...], count: int, static: frozenset[str]) -> Callable[..., Call]:
    """What makes the call of `_alike`, for parameters of these names of which so many are given."""
    own = "_"  # at the front of this code's names, and of no parameter's
    while any(name.startswith(own) for name in names):
        own += "_"
    given, missing = names[:count], names[count:]
    types = {name: f"{own}type({name})" for name in given}
    traced = [types[name] for name in given if name not in static]
    alike = [f"{types[name]} in {own}plain" for name in given if name in static]
    alike += [f"{name} is {own}absent" for name in missing]
    if traced:  # most often all are JAX's arrays, which a chain of `is` tells soonest
        arrays = " is ".join([*traced, f"{own}array"])
        others = " and ".join(f"{each} in {own}others" for each in traced)
        alike.append(f"({arrays} or ({others}))")
    source = ALIKE.format(
        _=own,
        parameters=", ".join(f"{name}={own}absent" for name in names),
        all_names=", ".join(names),
        names=", ".join(given),
        alike=" and ".join(alike),
    )
    scope: dict[str, Any] = {"ABSENT": ABSENT}
    exec(compile(source, MADE_HERE, "exec"), scope)
    return scope["make"]


def _alike(calls: Calls, args: Args, kwargs: Kwargs, watching: Call) -> Call:
    """The call where arguments are given as here: JAX's arrays, numbers, and plain static values.

    Such calls are the many small ones. Packing their arguments and going through them in a loop
    would take twice as long as the frame itself, so it is written out for each function, as
    `dataclasses` do it. Any other call is `watching`.
    """
    misuse, names = calls.misuse, calls.positional
    static = frozenset(misuse.static)
    concrete = [x for x in args if kind_of(type(x)) is Kind.ARRAY and not is_traced(x)]
    # Typed keys have a type of their own.
    others = NUMBERS.union((_array_type(),), map(type, concrete))
    known = zip(names, args, strict=False)
    fits = all(type(value) in (PLAIN if name in static else others) for name, value in known)
    if not names or kwargs or not fits or len(names) < len(misuse.signature.parameters):
        return watching

    def given(values: Args, named: Kwargs) -> Arguments:
        """The arguments that were there."""
        front = tuple(itertools.takewhile(lambda value: value is not ABSENT, values))
        rest = zip(names[len(front) :], values[len(front) :], strict=True)
        return front, {**{name: v for name, v in rest if v is not ABSENT}, **named}

    made = _made_for(names, len(args), static)
    frame = made(calls.program, _array_type(), others, PLAIN, watching, given, leave_out_frames)
    frame.__qualname__ = misuse.spec.function  # which Python names where an argument comes twice
    return frame


def _watching(calls: Calls, looking: Call) -> Call:
    """The call where no NumPy array has been seen yet, but may come, in a tree too.

    JAX can misread one only where it has kept how to read native ones like it, and for these it
    makes an entry of their own. So the leaves are looked at when there is a new entry, and at no
    other call. A JAX that does not say how many there are has every leaf looked at.
    """
    program, misuse, positional = calls.program, calls.misuse, calls.positional
    substituted = calls.substituted if misuse.static else None
    entries = getattr(program, "_cache_size", None)
    if entries is None:
        return looking

    def call(*args: Any, **kwargs: Any) -> Any:
        before = entries()
        try:
            if kwargs:
                args, kwargs = by_position(positional, args, kwargs)
            try:
                if substituted is not None:
                    front, left = substituted(args, kwargs)
                    return program(*front, **left)
                return program(*args, **kwargs)
            except (TypeError, ValueError) as error:
                misuse.refuse(error, args, kwargs)
                raise
            finally:  # a call that is refused makes an entry too
                if entries() != before and _has_numpy((args, kwargs)):
                    calls.settle(looking, lasts=True)
                    if _are_misread((args, kwargs), CLEAR):
                        # Another thread's call may have made the entry that this one was read by.
                        misuse.refuse_misread(args, kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise

    return call


def _looking(calls: Calls) -> Call:
    """The call where arrays that would be misread are looked for among all leaves."""
    program, misuse, positional = calls.program, calls.misuse, calls.positional
    substituted = calls.substituted if misuse.static else None
    clear = CLEAR | {_array_type()}

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if kwargs:
                args, kwargs = by_position(positional, args, kwargs)
                if kwargs and _are_misread(kwargs, clear):
                    misuse.refuse_misread(args, kwargs)
            for value in args:
                cls = type(value)
                if cls is NDARRAY:
                    if not value.dtype.isnative:
                        misuse.refuse_misread(args, kwargs)
                elif cls not in clear and _are_misread(value, clear):
                    misuse.refuse_misread(args, kwargs)
            try:
                if substituted is not None:
                    front, left = substituted(args, kwargs)
                    return program(*front, **left)
                return program(*args, **kwargs)
            except (TypeError, ValueError) as error:
                misuse.refuse(error, args, kwargs)
                raise
        except Exception as error:
            leave_out_frames(error)
            raise

    return call


# What the leaves are


def _leaves(values: Any) -> list[Any]:
    """The leaves of a call's values; of static ones, which need be no pytrees, maybe none."""
    try:
        return jax.tree.leaves(values)
    except Exception:
        return []


def _has_numpy(values: Any) -> bool:
    return any(kind_of(type(leaf)) is Kind.NUMPY for leaf in _leaves(values))


def _are_misread(values: Any, clear: Collection[type]) -> bool:
    """Whether a leaf may be one that a warm `jax.jit` takes for what it is not.

    Of a subclass of `np.ndarray`, NumPy's or a user's own, a value may be one: whether it is, is
    found out where it is refused. Of the `clear` types none is.
    """
    for leaf in _leaves(values):
        cls = type(leaf)
        if cls is NDARRAY:
            if not leaf.dtype.isnative:
                return True
        elif cls not in clear and issubclass(cls, NDARRAY):
            return True
    return False
