"""A plan run in parts: over the devices of a mesh, in chunks on each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from autovmap._plan.plan import PlanData
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body, Running, make_nest, run
from autovmap._run.result import Result
from autovmap._spec.spec import Spec
from autovmap._ways.chunk import plan_chunks
from autovmap._ways.chunk_run import Chunked, Outputs, opened
from autovmap._ways.loop_run import run_loop
from autovmap._ways.reduce_run import Reducing, fold_looped, reducing_of, traced_once
from autovmap._ways.shard import Shards
from autovmap._ways.shard_run import sharded

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
    caught = Result(plan.function, grouping)

    def joined(outputs: Outputs) -> Any:
        if reducing is not None:
            return caught.joined(reducing.finished(outputs, groups))
        return caught.join(outputs, plan)

    if parts.stage != "whole":
        chunks = plan_chunks(plan, parts.examples or 1, parts.sharded)
        chunked = Chunked(plan, chunks, body, leaves, groups, caught)
        if parts.stage == "empty":
            return chunked.finished(chunked.empty())
        outputs, starts = state
        if parts.stage == "one":
            return joined(chunked.finished(chunked.one(starts)))
        if parts.stage == "step":
            # Donated and given back as what they are: data for a key would be no use to JAX.
            return chunked.finished(chunked.put(opened(outputs), chunked.one(starts), starts))
        return joined(outputs)

    def inside(part: PlanData, leaves: Sequence[Any]) -> Outputs:
        if parts.examples is not None:
            chunks = plan_chunks(part, parts.examples, parts.sharded)
            if chunks.splits:
                return Chunked(part, chunks, body, leaves, groups, caught).run(parts.remat)
        nest = make_nest(part, groups)
        outputs = nest(Running(body, leaves, caught), *[leaves[i] for i in part.mapped])
        return outputs if reducing is None else reducing.folded(part, outputs, groups)

    if parts.shards is not None and parts.shards.placed:
        return joined(sharded(plan, parts.shards, parts.mesh, leaves, groups, inside))
    return joined(inside(plan, leaves))


def run_reduced(
    plan: PlanData,
    spec: Spec,
    looped: bool,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping,
    parts: Parts = WHOLE,
    state: Any = (),
) -> Any:
    """Run a plan whose outputs are folded: as `run_parts` otherwise."""
    reducing = reducing_of(plan, spec)
    if looped:
        return fold_looped(reducing, spec, run_loop(plan, body, leaves), grouping)
    body, grouping = traced_once(plan, spec, body, leaves, grouping)
    return run_parts(plan, parts, body, leaves, grouping, state, reducing)
