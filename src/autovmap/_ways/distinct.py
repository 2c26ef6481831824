"""Static values of `f.jit()`, told apart where `==` holds different ones to be equal.

`jax.jit` tells static values of one type apart by `==`: `0.0` and `-0.0`, `(1,)` and `(True,)`, and
frozen dataclasses that differ in a field left out of the comparison share a program there. So
such values go in under a stand-in, which is one object for each value.
"""

import types
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax

from autovmap._cache import BoundedCache
from autovmap._ways.constant import Changing, check_constant, static_key

VALUES = 1024
"""How many values of a program are told apart."""
PLAIN = frozenset((int, bool, str, bytes, type(None), type, types.FunctionType))
"""Types of which equal values are the same; `jax.jit` tells the types themselves apart."""

NUMBERS = (int, bool, float, complex)
ALIKE_BY_NAME = frozenset(NUMBERS if jax.__version_info__ < (0, 10) else ())
"""Types that `jax.jit` tells apart by position, but not in static keyword arguments: with 0.6 `n=1`
and `n=True` share a program, with 0.10 and later they do not."""

Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
Arguments: TypeAlias = tuple[Args, Kwargs]
Substituted: TypeAlias = Callable[[Args, Kwargs], Arguments]
"""A function of a call's arguments, which gives them with stand-ins where they are needed."""


class StandIn:
    """What `jax.jit` gets in place of a static value: equal to itself alone."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


class Distinct:
    """The stand-ins for the static values of one program."""

    def __init__(self) -> None:
        self._by_key: BoundedCache[StandIn] = BoundedCache(VALUES)
        # An object that is constant all the way down is looked through once.
        self._by_object: BoundedCache[tuple[Any, StandIn]] = BoundedCache(VALUES)

    def by_name(self, value: Any) -> Any:
        """The stand-in for the value of a keyword argument, or the value itself."""
        if type(value) not in ALIKE_BY_NAME:
            return self.of(value)
        return self._by_key.keep(static_key(value), StandIn(value))

    def of(self, value: Any) -> Any:
        """The stand-in for a value, or the value itself if no other is equal to it.

        So is one that may change or has no hash: it is refused by JAX or when it is traced.
        """
        cls = type(value)
        if cls in PLAIN or cls.__eq__ is object.__eq__ or cls is StandIn:
            return value
        if cls is float and value and value == value:  # neither a zero nor a NaN
            return value
        known = self._by_object.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        try:
            hash(value)  # an array has none, nor has what holds one
            check_constant(value, fixed=True)
            found = self._by_key.keep(static_key(value), StandIn(value))
        except (Changing, TypeError):
            return value
        if cls not in NUMBERS:
            self._by_object.put(id(value), (value, found))
        return found


def substituting(positions: Sequence[int], names: Sequence[str]) -> Substituted:
    """What gives a call's static values stand-ins, of one program.

    Args:
        positions: where static values stand among the positional arguments.
        names: the static keyword arguments.
    """
    distinct = Distinct()
    of, by_name = distinct.of, distinct.by_name

    def substituted(args: Args, kwargs: Kwargs) -> Arguments:
        count = len(args)
        for i in positions:
            if i < count and (found := of(args[i])) is not args[i]:
                args = (*args[:i], found, *args[i + 1 :])
        for name in names:
            if name in kwargs and (found := by_name(kwargs[name])) is not kwargs[name]:
                kwargs = {**kwargs, name: found}
        return args, kwargs

    return substituted


def values_of(args: Args, kwargs: Kwargs) -> Arguments:
    """The arguments, with the values that stand-ins stand for."""
    given = tuple([x.value if type(x) is StandIn else x for x in args])
    return given, {n: x.value if type(x) is StandIn else x for n, x in kwargs.items()}
