"""The nest of vmaps that a plan asks for, around a function of flat leaves; its axes' names."""

import contextlib
import inspect
from collections.abc import Callable, Generator, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax

from autovmap._plan.outputs import Group, layer_out_axis
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import FRONT, Grouping
from autovmap._run.hidden import refuse_dependent
from autovmap._run.result import Result, finished, refuse_lazy
from autovmap.errors import SpecError

Body: TypeAlias = Callable[[Sequence[Any]], Any]
"""The user's function, of one example's leaves."""


@dataclass(slots=True, eq=False)
class Running:
    """What one call takes into the nest: a pytree node without leaves, which vmap lets through."""

    body: Body
    leaves: Sequence[Any]
    result: Result


@dataclass(slots=True, eq=False)
class Direct:
    """As `Running`, where each leaf is a whole positional argument: no tree is put together."""

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: dict[str, Any]
    result: Result


for _cls in (Running, Direct):
    jax.tree_util.register_pytree_node(_cls, lambda node: ((), node), lambda node, _: node)

Nest: TypeAlias = Callable[..., Any]
"""Layers of vmap around `_example`: made once for a plan, called with a `Running` and the leaves
that some layer maps."""


def make_nest(plan: CallPlan, groups: Sequence[Group] = FRONT.groups) -> Nest:
    """The plan's layers of vmap; the first layer is the outermost.

    vmap gets flat lists, never the user's nodes: their constructors may validate. What is not
    mapped stays out of vmap's sight, so that it can be of any type. A nest holds nothing of a
    call, so that it can be kept for all calls of one plan (making a vmap costs more than all
    else that is done here).
    """

    def example(running: Running, *mapped: Any) -> Any:
        leaves = list(running.leaves)
        for i, value in zip(plan.mapped, mapped, strict=True):
            leaves[i] = value
        return running.result.split(running.body(leaves))

    return _layers(example, plan, groups, lambda axes: axes)


def make_direct_nest(plan: CallPlan, order: Sequence[int]) -> Nest:
    """The same for a `Direct`: `order` says at which positions the plan's leaves stand.

    Every Python frame between the caller and the function costs more than its own time, as JAX's
    are many and CPython keeps them in small chunks.
    """
    places = [order[row] for row in plan.mapped]

    def example(direct: Direct, *mapped: Any) -> Any:
        args = list(direct.args)
        for i, value in zip(places, mapped, strict=True):
            args[i] = value
        return direct.result.split_front(direct.function(*args, **direct.kwargs))

    return _layers(example, plan, FRONT.groups, lambda axes: axes[0])


def _layers(
    nest: Nest,
    plan: CallPlan,
    groups: Sequence[Group],
    prefix: Callable[[tuple[int | None, ...]], Any],
) -> Nest:
    """The layers of a plan around the function of one example.

    `prefix` makes vmap's `out_axes` of one axis for each group.
    """
    # JAX asks for the signature at every call, and Python makes it anew for whom has none kept.
    vars(nest)["__signature__"] = inspect.signature(nest)
    for i, layer in reversed(list(enumerate(plan.layers))):
        named: dict[str, Any] = {}
        if layer.unmapped:
            named["axis_size"] = layer.size
        if layer.name is not None:
            named["axis_name"] = layer.name
        if layer.spmd_name is not None:
            named["spmd_axis_name"] = layer.spmd_name
        nest = jax.vmap(
            nest,
            in_axes=(None, *[layer.in_axes[row] for row in plan.mapped]),
            out_axes=prefix(tuple([layer_out_axis(group, plan.layers, i) for group in groups])),
            **named,
        )
    return nest


def run(
    plan: CallPlan,
    nest: Nest,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping = FRONT,
) -> Any:
    """Run a plan: call `body` for every example at once.

    Args:
        plan: what to do.
        nest: its layers, by `make_nest`.
        body: the function of one example's leaves, in the plan's order.
        leaves: the leaves, after the steps before the nest.
        grouping: into which groups outputs fall.

    Returns:
        The result, of the structure that `body` returns.
    """
    if plan.trivial:
        result = body(leaves)
        refuse_lazy(result, [result], plan.function)
        refuse_lazy(result, jax.tree.leaves(result), plan.function)
        return finished(result, plan, grouping) if plan.parts else result
    caught = Result(plan, grouping)
    out = nest(Running(body, leaves, caught), *[leaves[i] for i in plan.mapped])
    result = caught.join(out, plan)
    if not plan.layers:  # nothing was traced, so no array could be told for an example's own
        refuse_dependent(body, leaves, result, plan.function)
    return result


# A context variable, as threads and tasks have calls of their own around them.
_bound: ContextVar[tuple[tuple[Hashable, str], ...]] = ContextVar("bound", default=())


@contextlib.contextmanager
def _named(plan: CallPlan, names: Sequence[Hashable]) -> Generator[None]:
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


def naming(plan: CallPlan, names: Sequence[Hashable]) -> contextlib.AbstractContextManager[None]:
    """Bind axis names around a call: those that were declared for collectives.

    The names of a pattern are not: two patterns may well both speak of `b`.

    Raises:
        SpecError: a decorated call around this one has bound a name already.
    """
    return _named(plan, names) if names else _nothing
