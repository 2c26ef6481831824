"""The shortcut of uncompiled calls: a call like one before is not bound and flattened again.

Taken where each ranked argument is an array or a number as a whole, given by position. Then the
way of calling, shapes and dtypes tell everything, and the nest calls the function itself. The
library is right without this file, and a call then costs some microseconds more: nothing but
`AutoVmapped.__call__` and `Engine.call` knows of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from autovmap._bind.binder import PLANS, STYLES, Call, may_promote
from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.leaves import facts, to_jax
from autovmap._bind.style import Style
from autovmap._bind.trees import fresh
from autovmap._cache import BoundedCache
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import FRONT
from autovmap._run.nest import Direct, Nest, make_direct_nest
from autovmap._run.result import Result
from autovmap._run.steps import prepared

ARRAY, NUMPY, CONVERTIBLE = Kind.ARRAY, Kind.NUMPY, Kind.CONVERTIBLE
BARE = (NUMPY, Kind.INT, Kind.NUMBER)
"""Kinds beside JAX arrays that are leaves for sure."""
FLOAT = (Kind.NUMBER, *facts(0.0))
"""What a plan depends on in a Python float: the same for each."""


@dataclass(slots=True)
class Known:
    """The plan of calls of one kind, and its nest once one of them has come again."""

    plan: CallPlan
    converts: bool
    """Whether a leaf has to be made a JAX array at each call."""
    nest: Nest | None = None


class Shortcut:
    """The calls of one function that were planned before and need no binding."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._styles: BoundedCache[Style] = BoundedCache(STYLES)
        self._known: BoundedCache[Known] = BoundedCache(PLANS)

    def find(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Nest, Direct, list[Any], CallPlan] | None:
        """The nest, what goes into it, and the plan, of a call like one that was kept.

        The caller enters the nest itself: every Python frame between it and the function costs
        more than its own time, as JAX's are many and CPython keeps them in small chunks.
        """
        style = self._styles.find((len(args), *kwargs))
        if style is None:
            return None
        key: list[Any] = [style]
        leaves: list[Any] = []
        for place in style.places:
            value = args[place]
            leaves.append(value)
            cls = type(value)
            if kind_of(cls) is ARRAY:
                aval = value.aval  # its slots are quicker than the array's own properties
                key += (aval.shape, aval.dtype)
            elif cls is float:
                key += FLOAT
            elif (found := _bare_facts(value, cls)) is not None:
                key += found
            else:
                return None
        known = self._known.find(tuple(key))
        if known is None:
            return None
        plan = known.plan
        if plan.promotion is not None and may_promote() != "allow":
            return None
        nest = known.nest
        if nest is None:
            nest = known.nest = make_direct_nest(plan, style.places)
        given: Any = args
        if known.converts or plan.changed:
            leaves = list(prepared(plan, [to_jax(leaf) for leaf in leaves]))
            given = list(args)
            for place, leaf in zip(style.places, leaves, strict=True):
                given[place] = leaf
        for place in style.shared:
            if isinstance(place, str):
                kwargs[place] = fresh(kwargs[place])
                continue
            value = args[place]
            if (one := fresh(value)) is not value:
                given = given if isinstance(given, list) else list(args)
                given[place] = one
        direct = Direct(self._function, given, kwargs, Result(plan, FRONT))
        return nest, direct, [leaves[i] for i in plan.mapped], plan

    def keep(self, call: Call) -> None:
        """Keep the plan of a call, if no ranked argument is a tree and the plan is but layers."""
        style, plan = call.style, call.planned.plan
        if not style.plain or not plan.plain or plan.trivial or plan.parts:
            return
        key: list[Any] = [style]
        values = [call.args[place] for place in style.places]
        for value in values:
            cls = type(value)
            if kind_of(cls) is ARRAY:
                key += (value.shape, value.dtype)
            elif (found := _bare_facts(value, cls)) is not None:
                key += found
            else:
                return
        if call.planned.places == tuple(range(len(values))):
            converts = any(kind_of(type(value)) is NUMPY for value in values)
            self._styles.put((len(call.args), *call.kwargs), style)
            self._known.put(tuple(key), Known(plan, converts))


def _bare_facts(value: Any, cls: type) -> tuple[Any, ...] | None:
    """What a plan depends on in a value that is a leaf for sure, and no JAX array; else None."""
    kind = kind_of(cls)
    if kind in BARE:
        return (kind, *facts(value))
    if kind is CONVERTIBLE and hasattr(cls, "aval"):  # a tracer, whose own attributes are slow
        aval = jax.typeof(value)
        return (kind, aval.shape, aval.dtype)
    return None
