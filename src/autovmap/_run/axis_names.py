"""Which axis names the decorated calls around have bound: one bound twice would hide the other."""

import contextlib
from collections.abc import Generator, Hashable
from contextvars import ContextVar

from autovmap._plan.plan import PlanData
from autovmap.errors import SpecError

_bound: ContextVar[tuple[tuple[Hashable, str], ...]] = ContextVar("bound", default=())


@contextlib.contextmanager
def _named(plan: PlanData) -> Generator[None]:
    outer = _bound.get()
    own = tuple((layer.name, plan.function) for layer in plan.layers if layer.name is not None)
    for name, _ in own:
        for other, function in outer:
            if name == other:
                raise SpecError(
                    f"{plan.function}(): axis_name {name!r} is bound already by {function}(), "
                    f"which calls it; the inner axis would silently hide the outer one, so give "
                    f"one of them another name"
                )
    token = _bound.set(outer + own)
    try:
        yield
    finally:
        _bound.reset(token)


_nothing = contextlib.nullcontext()


def naming(plan: PlanData) -> contextlib.AbstractContextManager[None]:
    """Bind the plan's axis names around a call.

    Raises:
        SpecError: a decorated call around this one has bound a name already.
    """
    return _named(plan) if plan.named else _nothing
