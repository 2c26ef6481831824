"""On which batch axes each output depends: to keep the others at size 1, and to explain errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._plan.outputs import Group
from autovmap._plan.plan import PlanData
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body
from autovmap._run.once import trace_once
from autovmap._run.reach import Axes
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Dependence:
    """A leaf of a result: its path, its group, and the batch axes that it depends on."""

    path: str
    group: Group
    axes: Axes


def shorten(plan: PlanData, body: Body, leaves: Sequence[Any], grouping: Grouping) -> Grouping:
    """The grouping under which an output is stretched only along the axes that it depends on."""
    if plan.trivial:
        return grouping
    outputs = dependencies(plan, body, leaves, grouping)
    return grouping.regrouped([replace(output.group, axes=output.axes) for output in outputs])


def dependence_error(
    plan: PlanData, body: Body, leaves: Sequence[Any], grouping: Grouping
) -> SpecError | None:
    """The error for an output that depends on a batch axis which it is declared not to have."""
    if all(group.holds(layer.axis) for group in grouping.groups for layer in plan.layers):
        return None
    for output in dependencies(plan, body, leaves, grouping):
        axes = [axis for axis in sorted(output.axes) if not output.group.holds(axis)]
        if axes:
            return grouping.refusal(plan, output.path, output.group, axes)
    return None


def dependencies(
    plan: PlanData, body: Body, leaves: Sequence[Any], grouping: Grouping
) -> list[Dependence]:
    """What each leaf of the result depends on, from a trace of one example.

    A leaf that is no array depends on nothing. The leaves are given as the layers map them.
    """

    def look(result: Any) -> list[tuple[str, Group]]:
        paths = [keystr(path) for path, _ in tree_flatten_with_path(result)[0]]
        return list(zip(paths, grouping.of(result), strict=True))

    once = trace_once(plan, body, leaves, look)
    both = zip(once.seen, once.axes, strict=True)
    return [Dependence(path, group, axes) for (path, group), axes in both]
