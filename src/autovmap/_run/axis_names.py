"""Which axis names the decorated calls around have bound: one bound twice would hide the other."""

import contextlib
from collections.abc import Generator, Hashable, Sequence
from contextvars import ContextVar

from autovmap._plan.plan import PlanData
from autovmap.errors import SpecError

# A context variable, as threads and tasks have calls of their own around them.
_bound: ContextVar[tuple[tuple[Hashable, str], ...]] = ContextVar("bound", default=())


@contextlib.contextmanager
def _named(plan: PlanData, names: Sequence[Hashable]) -> Generator[None]:
    outer = _bound.get()
    own = tuple((name, plan.function) for name in names)
    for name, _ in own:
        for other, function in outer:
            if name == other:
                raise SpecError(
                    f"{plan.function}(): axis_name {name!r} is already in use by {function}(), "
                    f"which calls it; the inner axis would silently hide the outer one, so give "
                    f"one of them another name"
                )
    token = _bound.set(outer + own)
    try:
        yield
    finally:
        _bound.reset(token)


_nothing = contextlib.nullcontext()


def naming(plan: PlanData, names: Sequence[Hashable]) -> contextlib.AbstractContextManager[None]:
    """Bind axis names around a call: those that were declared for collectives.

    The names of a pattern are not: two patterns may well both speak of `b`.

    Raises:
        SpecError: a decorated call around this one has bound a name already.
    """
    return _named(plan, names) if names else _nothing
