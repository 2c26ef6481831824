"""On which batch axes each output depends: to keep the others at size 1, and to explain errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.leaves import is_array
from autovmap._plan.outputs import Group
from autovmap._plan.plan import PlanData
from autovmap._run.grouping import FRONT, Grouping
from autovmap._run.nest import Body, Running, make_nest
from autovmap._run.reach import Axes, reached
from autovmap._run.result import Result
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
    inputs: list[Axes] = [
        frozenset(layer.axis for layer in plan.layers if layer.in_axes[row] is not None)
        for row in plan.mapped
    ]
    names = {layer.name: layer.axis for layer in plan.layers if layer.name is not None}
    found: list[Dependence] = []

    def probe(rows: Sequence[Any]) -> list[Any]:
        def example(*mapped: Any) -> list[Any]:
            given = list(rows)
            for row, value in zip(plan.mapped, mapped, strict=True):
                given[row] = value
            result = body(given)
            outputs, _ = tree_flatten_with_path(result)
            for (path, _), group in zip(outputs, grouping.of(result), strict=True):
                found.append(Dependence(keystr(path), group, frozenset()))
            kept[:] = [i for i, (_, leaf) in enumerate(outputs) if is_array(leaf)]
            return [outputs[i][1] for i in kept]

        kept: list[int] = []
        jaxpr = jax.make_jaxpr(example)(*[rows[row] for row in plan.mapped])
        for i, axes in zip(kept, reached(jaxpr, inputs, names), strict=True):
            found[i] = replace(found[i], axes=axes)
        return []

    nest = make_nest(plan)
    caught = Result(plan, FRONT)
    jax.eval_shape(
        lambda mapped: nest(Running(probe, leaves, caught), *mapped),
        [leaves[row] for row in plan.mapped],
    )
    return found
