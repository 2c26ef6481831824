"""A plan that is run with more around it than its nest of vmaps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autovmap._plan.plan import PlanData
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body, make_nest, run
from autovmap._run.once import shorten
from autovmap._spec.spec import Spec
from autovmap._ways.options import Ways
from autovmap._ways.parts import WHOLE, Parts, run_parts

if TYPE_CHECKING:
    from autovmap._ways.reduce_known import Remembered


def run_in_way(
    spec: Spec,
    ways: Ways,
    grouping: Grouping,
    plan: PlanData,
    body: Body,
    leaves: Sequence[Any],
    parts: Parts | None = None,
    state: Any = (),
    known: "Remembered | None" = None,
) -> Any:
    """Run a plan in a loop or in parts, folded, or with outputs that are not stretched.

    Args:
        spec: what is declared.
        ways: how it is run.
        grouping: where outputs go.
        plan: the call's plan.
        body: the function, of the plan's leaves.
        leaves: the leaves, prepared.
        parts: what was decided of the call, for a program that is kept.
        state: what a loop on the host hands from step to step.
        known: where it is kept of an uncompiled call how its outputs are folded.
    """
    parts = parts or WHOLE
    if spec.reduce is not None:
        from autovmap._ways.reduce_parts import run_reduced

        return run_reduced(plan, spec, ways.looped, body, leaves, grouping, parts, state, known)
    if ways.looped:
        from autovmap._ways.loop_run import run_loop

        return run_loop(plan, body, leaves, grouping)
    if ways.compiled:
        return run_parts(plan, parts, body, leaves, grouping, state)
    return run(plan, make_nest(plan, grouping.groups), body, leaves, grouping)


def stretched(
    spec: Spec, grouping: Grouping, plan: PlanData, body: Body, leaves: Sequence[Any]
) -> Grouping:
    """Where outputs go; under `stretch_outputs=False` the function's jaxpr tells."""
    if spec.options.stretch_outputs or spec.reduce is not None:
        return grouping  # a fold finds out itself
    return shorten(plan, body, leaves, grouping)
