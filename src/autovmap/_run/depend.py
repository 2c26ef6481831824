"""On which batch axes each output depends: to keep the others at size 1, and to explain errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.leaves import is_array
from autovmap._plan.outputs import Group
from autovmap._plan.plan import PlanData
from autovmap._run.nest import Body, Running, make_nest, squeeze
from autovmap._run.reach import Axes, reached
from autovmap._run.result import FRONT, Groups, Place, Result
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Output:
    """A leaf of a result: its path, its group, and the batch axes that it depends on."""

    path: str
    group: Group
    axes: Axes


def shorten(
    plan: PlanData, body: Body, arrays: Sequence[Any], groups: Groups, place: Place | None
) -> tuple[Groups, Place | None]:
    """The groups under which an output is stretched only along the axes that it depends on."""
    if plan.trivial:
        return groups, place
    outputs = dependencies(plan, body, arrays, groups, place)
    short = [replace(output.group, axes=output.axes) for output in outputs]
    return tuple(dict.fromkeys(short)) or groups, lambda _: short


def refuse_dependent(
    plan: PlanData, body: Body, arrays: Sequence[Any], groups: Groups, place: Place | None
) -> SpecError | None:
    """The error for an output that is declared free of the batch but depends on it, if any."""
    if all(group.position is not None for group in groups):
        return None
    for output in dependencies(plan, body, arrays, groups, place):
        if output.group.position is None and output.axes:
            named = {
                layer.axis: f" {layer.name!r}" for layer in plan.layers if layer.name is not None
            }
            axes = ", ".join(f"{axis}{named.get(axis, '')}" for axis in sorted(output.axes))
            return SpecError(
                f"{plan.function}(): out_axes declares result{output.path} None, free of the "
                f"batch, but it depends on batch axis {axes}; give it a position, or compute it "
                f"from arguments without batch dims alone"
            )
    return None


def dependencies(
    plan: PlanData, body: Body, arrays: Sequence[Any], groups: Groups, place: Place | None
) -> list[Output]:
    """What each leaf of the result depends on, from a trace of one example.

    A leaf that is no array depends on nothing.
    """
    inputs: list[Axes] = [
        frozenset(layer.axis for layer in plan.layers if layer.in_axes[row] is not None)
        for row in plan.mapped
    ]
    names = {layer.name: layer.axis for layer in plan.layers if layer.name is not None}
    found: list[Output] = []

    def probe(rows: Sequence[Any]) -> list[Any]:
        def example(*mapped: Any) -> list[Any]:
            leaves = list(rows)
            for row, value in zip(plan.mapped, mapped, strict=True):
                leaves[row] = value
            result = body(leaves)
            outputs, _ = tree_flatten_with_path(result)
            placed = place(result) if place else [groups[0]] * len(outputs)
            for (path, _), group in zip(outputs, placed, strict=True):
                found.append(Output(keystr(path), group, frozenset()))
            kept[:] = [i for i, (_, leaf) in enumerate(outputs) if is_array(leaf)]
            return [outputs[i][1] for i in kept]

        kept: list[int] = []
        jaxpr = jax.make_jaxpr(example)(*[rows[row] for row in plan.mapped])
        for i, axes in zip(kept, reached(jaxpr, inputs, names), strict=True):
            found[i] = replace(found[i], axes=axes)
        return []

    nest = make_nest(plan)
    leaves = squeeze(plan, arrays)
    caught = Result(plan.function, FRONT, None)
    jax.eval_shape(
        lambda mapped: nest(Running(probe, leaves, caught), *mapped),
        [leaves[row] for row in plan.mapped],
    )
    return found
