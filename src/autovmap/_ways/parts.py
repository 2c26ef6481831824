"""A plan run in parts: over the devices of a mesh, in chunks on each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import jax

from autovmap._plan.plan import PlanData
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body, Running, make_nest, run
from autovmap._run.once import again, trace_once
from autovmap._run.result import Result
from autovmap._spec.spec import Spec
from autovmap._ways.chunk import plan_chunks
from autovmap._ways.chunk_run import Chunked, Outputs, Written, opened
from autovmap._ways.loop_run import run_loop
from autovmap._ways.reduce_gradient import GradientBody
from autovmap._ways.reduce_keep import keepers_of
from autovmap._ways.reduce_known import Remembered
from autovmap._ways.reduce_loop import fold_looped
from autovmap._ways.reduce_run import Reducing, reducing_of
from autovmap._ways.reduce_units import traced_once
from autovmap._ways.shard import Shards
from autovmap._ways.shard_run import Local, sharded

Stage: TypeAlias = Literal["whole", "empty", "step", "finish", "one"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What was decided of a call before its program was looked up.

    `examples` is the most of them at once, on each device; None for all. `sharded` are the batch
    axes along which the arguments lie on several devices.
    """

    examples: int | None = None
    remat: bool = False
    sharded: tuple[int, ...] = ()
    shards: Shards | None = None
    mesh: Any = None
    stage: Stage = "whole"
    """Which part of the work this is: all, or what a loop on the host takes step by step."""
    rest: bool = False
    """Whether a step is that of the smaller last chunk."""
    passing: bool = False
    """Whether a step gives a chunk's result, or the fold so far, beside what is kept."""


WHOLE = Parts()
"""All at once."""


def run_parts(
    plan: PlanData,
    parts: Parts,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping,
    state: Any = (),
    reducing: Reducing | None = None,
) -> Any:
    """Run a plan as it was decided: as `run` otherwise.

    `state` is what a loop on the host hands on: the outputs so far, and where a chunk begins.
    """
    groups = grouping.groups
    if plan.trivial and reducing is None:
        return run(plan, make_nest(plan, groups), body, leaves, grouping)
    caught = Result(plan, grouping)

    def joined(outputs: Outputs, sizes: Mapping[int, int] | None = None) -> Any:
        if reducing is not None:
            return caught.joined(reducing.finished(outputs, groups, sizes))
        return caught.join(outputs, plan)

    overlaps = reducing is None

    if parts.stage != "whole":
        chunks = plan_chunks(plan, parts.examples or 1, parts.sharded, overlaps)
        keepers = Written if reducing is None else keepers_of(reducing, parts.passing)
        valid = {} if reducing is None else reducing.valid
        nests = make_nest if reducing is None else reducing.nests
        chunked = Chunked(plan, chunks, body, leaves, groups, caught, keepers, valid, nests)
        if parts.stage == "empty":
            return chunked.shown(chunked.empty())
        outputs, starts = state
        if parts.stage == "finish":
            return joined(chunked.finished(opened(outputs or starts)))
        one = chunked.one(starts, parts.rest)
        if parts.stage == "one":
            return joined(chunked.finished(one))
        # Donated and given back as what they are: data for a key would be no use to JAX.
        outputs = chunked.put(opened(outputs), one, starts)
        if not parts.passing:
            return chunked.shown(outputs)
        so_far = chunked.so_far(outputs, one, starts, parts.rest)
        return chunked.shown(outputs), joined(so_far, chunks.sizes(parts.rest))

    def inside(part: PlanData, leaves: Sequence[Any], local: Local | None = None) -> Outputs:
        """The outputs of a part of the batch: all, or what `local` says of one device's."""
        own = reducing if reducing is None or local is None else reducing.on_device(local)
        nests = make_nest if own is None else own.nests
        if parts.examples is not None:
            chunks = plan_chunks(part, parts.examples, parts.sharded, overlaps)
            if chunks.splits:
                keepers = Written if own is None else keepers_of(own)
                valid = {} if own is None else own.valid
                example = body
                if own is None and local is None and not on_mesh():
                    # Once for the result's shapes and for the chunks.
                    example = again(part, trace_once(part, body, leaves, lambda _: None))
                how = (groups, caught, keepers, valid, nests)
                chunked = Chunked(part, chunks, example, leaves, *how)
                if chunked.repeats:  # what a function does beside computing is done once
                    chunks = plan_chunks(part, parts.examples, parts.sharded, overlaps=False)
                    chunked = Chunked(part, chunks, body, leaves, *how)
                return chunked.run(parts.remat)
        nest = nests(part, groups)
        outputs = nest(Running(body, leaves, caught), *[leaves[i] for i in part.mapped])
        return outputs if own is None else own.folded(part, outputs, groups)

    if parts.shards is not None and parts.shards.placed:
        return joined(sharded(plan, parts.shards, parts.mesh, leaves, groups, inside))
    return joined(inside(plan, leaves))


def on_mesh() -> bool:
    """Whether a mesh is set: what is traced then may not run on a part of it."""
    return bool(jax.sharding.get_abstract_mesh().shape)


def run_reduced(
    plan: PlanData,
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
    padded = parts.stage == "whole" and bool(state) and isinstance(state[1], jax.Array)
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
        try:
            return run_parts(plan, parts, body, leaves, same, state, reducing)
        except Exception:  # it does not fit any more, or what is wrong shows again below
            pass
    found = traced_once(plan, spec, body, leaves, grouping, elsewhere)
    if known is not None and plan.layers and not isinstance(body, GradientBody):
        known.put(found.units, found.groups)
    body, grouping = found.body, grouping.regrouped(found.groups)
    reducing = replace(reducing, summed=found.summed)
    return run_parts(plan, parts, body, leaves, grouping, state, reducing)
