"""A plan whose outputs are folded, all at once or in parts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body
from autovmap._run.once import trace_once
from autovmap._spec.spec import Spec
from autovmap._ways.loop_run import run_loop
from autovmap._ways.parts import WHOLE, Parts, on_mesh, run_parts
from autovmap._ways.reduce_gradient import GradientBody
from autovmap._ways.reduce_known import Remembered
from autovmap._ways.reduce_loop import fold_looped
from autovmap._ways.reduce_run import reducing_of
from autovmap._ways.reduce_units import traced_once


def run_reduced(
    plan: CallPlan,
    spec: Spec,
    looped: bool,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping,
    parts: Parts = WHOLE,
    state: Any = (),
    known: Remembered | None = None,
) -> Any:
    """Run a plan whose outputs are folded: as `run_parts` otherwise.

    `known` is where it is kept of an uncompiled call how its outputs are folded.
    """
    # The real sizes of a padded batch; without a trace, under `jax.disable_jit`, NumPy's.
    padded = (
        parts.stage == "whole" and bool(state) and isinstance(state[1], (jax.Array, np.ndarray))
    )
    reducing = reducing_of(plan, spec, state[1] if padded else None)
    if looped:
        short = None
        if not spec.options.stretch_outputs and plan.layers:
            short = trace_once(plan, body, leaves, lambda _: None).axes
        return fold_looped(reducing, spec, run_loop(plan, body, leaves), grouping, short)
    if any(size == 0 for size in plan.batch_shape):
        # Of no examples there is nothing to share out, and XLA aborts on an all-reduce of an empty
        # complex sum (jax 0.10.2).
        parts = replace(parts, shards=None)
    elsewhere = parts.shards is not None or on_mesh()
    before = None if known is None else known.get()
    if before is not None:
        same = before.grouping(plan, spec, grouping)
        watched = Watched(body)
        try:
            return run_parts(plan, parts, watched, leaves, same, state, reducing)
        except Exception:  # it does not fit any more, or what is wrong shows again below
            if watched.failed:
                raise
    found = traced_once(plan, spec, body, leaves, grouping, elsewhere)
    # A call that does not fit runs the function again, so nothing is kept of one with effects.
    keeps = plan.layers and not found.effects and not isinstance(body, GradientBody)
    if known is not None and keeps:
        known.put(found.units, found.groups)
    body, grouping = found.body, grouping.regrouped(found.groups)
    reducing = replace(reducing, summed=found.summed)
    return run_parts(plan, parts, body, leaves, grouping, state, reducing)


class Watched:
    """A function of one example, of which is known whether it raised."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.failed = False

    def __call__(self, rows: Sequence[Any]) -> Any:
        try:
            return self._body(rows)
        except BaseException:
            self.failed = True
            raise
