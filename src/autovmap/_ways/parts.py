"""A plan run in a way of its own: looped, folded, over the devices of a mesh, in chunks on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
from jax import lax

from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body, Running, make_nest, run
from autovmap._run.once import again, shorten, trace_once
from autovmap._run.reach import primitives
from autovmap._run.result import Result
from autovmap._spec.spec import Spec
from autovmap._ways.chunk import plan_chunks
from autovmap._ways.chunk_keep import MakeKeeper, Written
from autovmap._ways.chunk_run import Chunked, Outputs, opened
from autovmap._ways.explicit import entries
from autovmap._ways.options import Ways

if TYPE_CHECKING:
    from autovmap._ways.reduce_known import Remembered
    from autovmap._ways.reduce_run import Reducing
    from autovmap._ways.shard import Shards
    from autovmap._ways.shard_run import Local

Stage: TypeAlias = Literal["whole", "empty", "step", "finish", "one"]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What was decided of a call before its program was looked up.

    `examples` is the most of them at once, on each device; None for all. `sharded` are the batch
    axes along which the arguments lie on several devices.
    """

    examples: int | None = None
    remat: bool = False
    sharded: tuple[int, ...] = ()
    shards: "Shards | None" = None
    mesh: Any = None
    stage: Stage = "whole"
    """Which part of the work this is: all, or what a loop on the host takes step by step."""
    rest: bool = False
    """Whether a step is that of the smaller last chunk."""
    passing: bool = False
    """Whether a step gives a chunk's result, or the fold so far, beside what is kept."""
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # JAX hashes and compares what is static at each call, and a plan is long.
        object.__setattr__(self, "_hash", hash(self._key()))

    def _key(self) -> tuple[Any, ...]:
        at = (self.shards, self.mesh, self.stage, self.rest, self.passing)
        return (self.examples, self.remat, self.sharded, *at)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Parts) and self._key() == other._key())

    def __hash__(self) -> int:
        return self._hash


WHOLE = Parts()
"""All at once."""


def run_parts(
    plan: CallPlan,
    parts: Parts,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping,
    state: Any = (),
    reducing: "Reducing | None" = None,
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
        keepers = _keepers(reducing, parts.passing)
        valid = {} if reducing is None else reducing.valid
        nests = make_nest if reducing is None else reducing.nests
        chunked = Chunked(plan, chunks, body, leaves, groups, caught, keepers, valid, nests)
        if parts.stage == "empty":
            return chunked.for_host(chunked.empty())
        outputs, starts = state
        if parts.stage == "finish":
            return joined(chunked.finished(opened(outputs or starts)))
        one = chunked.one(starts, parts.rest)
        if parts.stage == "one":
            return joined(chunked.finished(one))
        # Donated and given back as what they are: data for a key would be no use to JAX.
        outputs = chunked.put(opened(outputs), one, starts)
        if not parts.passing:
            return chunked.for_host(outputs)
        so_far = chunked.so_far(outputs, one, starts, parts.rest)
        return chunked.for_host(outputs), joined(so_far, chunks.sizes(parts.rest))

    placed = parts.shards is not None and bool(parts.shards.placed)
    traced = body
    if placed and reducing is None and not on_mesh() and not any(map(_is_typed_by_mesh, leaves)):
        # Once for the result's shapes and for the devices.
        once = trace_once(plan, body, leaves, lambda _: None)
        # With derivatives of its own the function is traced on a device's part itself: what it
        # would not do there, they would not either, and it fails while there is another way.
        traced = again(plan, once) if has_plain_derivatives(once.jaxpr) else body

    def inside(part: CallPlan, leaves: Sequence[Any], local: "Local | None" = None) -> Outputs:
        """The outputs of a part of the batch: all, or what `local` says of one device's."""
        # Where a part is traced outside of the mesh, so are its derivatives: see `shard_trace`.
        example = body if local is not None and local.outside else traced
        own = reducing if reducing is None or local is None else reducing.on_device(local)
        nests = make_nest if own is None else own.nests
        if parts.examples is not None:
            chunks = plan_chunks(part, parts.examples, parts.sharded, overlaps)
            if chunks.splits:
                keepers = _keepers(own)
                valid = {} if own is None else own.valid
                if own is None and local is None and traced is body and not on_mesh():
                    # Once for the result's shapes and for the chunks.
                    example = again(part, trace_once(part, body, leaves, lambda _: None))
                how = (groups, caught, keepers, valid, nests)
                chunked = Chunked(part, chunks, example, leaves, *how)
                if chunked.repeats:  # what a function does beside computing is done once
                    chunks = plan_chunks(part, parts.examples, parts.sharded, overlaps=False)
                    chunked = Chunked(part, chunks, example, leaves, *how)
                return chunked.run(parts.remat)
        nest = nests(part, groups)
        outputs = nest(Running(example, leaves, caught), *[leaves[i] for i in part.mapped])
        return outputs if own is None else own.folded(part, outputs, groups)

    if parts.shards is not None and parts.shards.placed:
        from autovmap._ways.shard_run import sharded

        return joined(sharded(plan, parts.shards, parts.mesh, leaves, groups, inside))
    return joined(inside(plan, leaves))


def _keepers(reducing: "Reducing | None", passing: bool = False) -> MakeKeeper:
    """What keeps the outputs of chunks: where they belong, or folded."""
    if reducing is None:
        return Written
    from autovmap._ways.reduce_keep import keepers_of

    return keepers_of(reducing, passing)


def _is_typed_by_mesh(leaf: Any) -> bool:
    """Whether it is part of a leaf's type how it lies on an Explicit mesh."""
    return isinstance(leaf, jax.Array) and any(entries(leaf))


def has_plain_derivatives(closed: Any) -> bool:
    """Whether a program is made of JAX's own operations alone, whose derivatives JAX knows."""
    names = primitives(closed) - {"pjit", "jit"}
    return all(hasattr(lax, f"{x}_p") and not x.startswith("custom_") for x in names)


def on_mesh() -> bool:
    """Whether a mesh is set: what is traced then may not run on a part of it."""
    return bool(jax.sharding.get_abstract_mesh().shape)


def run_in_way(
    spec: Spec,
    ways: Ways,
    grouping: Grouping,
    plan: CallPlan,
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
    if spec.reduce is not None:
        from autovmap._ways.reduce_parts import run_reduced

        return run_reduced(
            plan, spec, ways.looped, body, leaves, grouping, parts or WHOLE, state, known
        )
    if ways.looped:
        from autovmap._ways.loop_run import run_loop

        return run_loop(plan, body, leaves, grouping)
    if parts is not None:
        return run_parts(plan, parts, body, leaves, grouping, state)
    return run(plan, make_nest(plan, grouping.groups), body, leaves, grouping)


def stretched(
    spec: Spec, grouping: Grouping, plan: CallPlan, body: Body, leaves: Sequence[Any]
) -> Grouping:
    """Where outputs go; under `stretch_outputs=False` the function's jaxpr tells."""
    if spec.options.stretch_outputs or spec.reduce is not None:
        return grouping  # a fold finds out itself
    return shorten(plan, body, leaves, grouping)
