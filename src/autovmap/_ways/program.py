"""The compiled programs that `f.chunk`, `f.shard` and `f.bucket` keep; what is decided first."""

import math
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from autovmap._bind.binder import Call
from autovmap._bind.kinds import is_traced
from autovmap._cache import BoundedCache
from autovmap._plan.layers import is_mapped_along
from autovmap._plan.plan import PlanData
from autovmap._run.grouping import Grouping
from autovmap._spec.spec import Spec
from autovmap._ways.block import plan_blocks
from autovmap._ways.block_run import run_blocks
from autovmap._ways.bucket import padded_dims, padded_sizes
from autovmap._ways.bucket_run import cut, pad, refuse_spread
from autovmap._ways.chunk import Chunks, covered, plan_chunks
from autovmap._ways.chunk_run import without
from autovmap._ways.chunk_size import Sizing
from autovmap._ways.explicit import entries
from autovmap._ways.fit import Sized
from autovmap._ways.options import Bucket, Ways
from autovmap._ways.parts import Parts
from autovmap._ways.progress import reporting
from autovmap._ways.reduce_units import cut_folded
from autovmap._ways.shard import plan_shards
from autovmap._ways.split import Partition, Split
from autovmap.errors import SpecError

SEEN = 1024
"""For how many plans it is counted how often they were seen."""


@dataclass(slots=True)
class BucketStats:
    """What the calls of an `f.bucket()` have come to.

    `calls` are those served, `compilations` the programs made for them, `hits` the calls that
    found theirs, `promotions` the batch shapes that were seen often enough to get an exact one.

    >>> from autovmap import auto_vmap
    >>> auto_vmap(x=1)(lambda x: x.sum()).bucket().stats()
    BucketStats(calls=0, compilations=0, hits=0, promotions=0)
    """

    calls: int = 0
    compilations: int = 0
    hits: int = 0
    promotions: int = 0


class Kept:
    """The programs of one function under one set of ways of running."""

    def __init__(
        self,
        run: Callable[..., Any],
        spec: Spec,
        ways: Ways,
        static: Sequence[str],
        grouping: Grouping,
        run_block: Callable[..., Any] | None = None,
    ) -> None:
        """`run` takes arguments, keyword arguments, the `Parts` that were decided, and a state.

        `run_block` is the same for one block of a batch, where it goes through in blocks.
        """
        self._spec = spec
        self.ways = ways
        """How the calls are run."""
        self._grouping = grouping
        self._traces = threading.local()
        self._seen: BoundedCache[int] = BoundedCache(SEEN)
        self._effects: BoundedCache[bool] = BoundedCache(SEEN)
        self._lock = threading.Lock()
        self._stats = BucketStats()

        def counted(run: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*call: Any) -> Any:
                self._traces.count = self._traced() + 1
                return run(*call)

            return counting

        self.partition = Partition(counted(run), spec, static)
        self._block_partition = Partition(counted(run_block or run), spec, static)
        chunk = ways.chunk
        self._sizing = None if chunk is None else Sizing(spec, self.partition, chunk)

    def _traced(self) -> int:
        """How many programs were traced in this thread."""
        return getattr(self._traces, "count", 0)

    def run(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a call by its kept program."""
        split = self.partition.split(args, kwargs)
        if self.ways.bucket is not None:
            return self._bucketed(call, split)
        parts = self._decided(call, lambda: split)
        chunk = self.ways.chunk
        if chunk is not None and chunk.progress and not any(map(is_traced, split.arrays)):
            return self._reported(call, split, parts, chunk.progress)
        return self.partition(split, parts)

    def _reported(
        self,
        call: Call,
        split: Split,
        parts: Parts,
        progress: Callable[[int, int], Any] | bool,
    ) -> Any:
        """A loop on the host over compiled chunks, which tells how far it is."""
        plan = call.planned.plan
        chunks = self._chunks(plan, parts)
        total = math.prod(int(size) for size in plan.batch_shape)
        with reporting(progress, total, self._spec.function) as report:
            if not chunks.splits:
                result = jax.block_until_ready(self.partition(split, parts))
                report(total)
                return result
            outputs = self.partition(split, replace(parts, stage="empty"))
            step = replace(parts, stage="step")
            whole = math.prod(split.size for split in chunks.splits)
            done = 0
            for starts, own in zip(chunks.starts(), covered(chunks), strict=True):
                at = np.asarray(starts, np.int32)
                now = replace(step, rest=chunks.is_rest(starts))
                outputs = jax.block_until_ready(self.partition(split, now, outputs, at))
                done += math.prod(stop - first for first, stop in own)
                report(done * (total // whole))
            finish = replace(parts, stage="finish")
            if self._spec.reduce is not None:  # what is kept is of no use to the result
                return self.partition(split, finish, (), outputs)
            return self.partition(split, finish, outputs)

    def iterate(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[tuple[slice, ...], Any]]:
        """The result of each chunk, with its place in the batch shape."""
        plan = call.planned.plan
        split = self.partition.split(args, kwargs)
        parts = self._decided(call, lambda: split)
        chunks = self._chunks(plan, parts)
        block = len(plan.batch_shape)
        if not chunks.splits:
            yield (slice(None),) * block, self.partition(split, parts)
            return
        if self._spec.reduce is not None:
            yield from self._folded(split, replace(parts, passing=True), chunks, block)
            return
        one = replace(parts, stage="one")
        for starts, own in zip(chunks.starts(), covered(chunks), strict=True):
            out = self.partition(split, one, (), np.asarray(starts, np.int32))
            index = [slice(None)] * block
            again: dict[int, int] = {}
            for cut_axis, start, (first, stop) in zip(chunks.splits, starts, own, strict=True):
                index[cut_axis.axis] = slice(first, stop)
                if first != start:
                    again[cut_axis.axis] = first - start
            if again:
                out = without(out, plan, again, self._grouping.of(out))
            yield tuple(index), out

    def _folded(
        self, split: Split, parts: Parts, chunks: Chunks, block: int
    ) -> Iterator[tuple[tuple[slice, ...], Any]]:
        """The fold of all chunks so far after each of them, with the place of this one."""
        kept = self.partition(split, replace(parts, stage="empty"))
        for starts, own in zip(chunks.starts(), covered(chunks), strict=True):
            step = replace(parts, stage="step", rest=chunks.is_rest(starts))
            kept, out = self.partition(split, step, kept, np.asarray(starts, np.int32))
            index = [slice(None)] * block
            for cut_axis, part in zip(chunks.splits, own, strict=True):
                index[cut_axis.axis] = slice(*part)
            yield tuple(index), out

    def _chunks(self, plan: PlanData, parts: Parts) -> Chunks:
        """The chunks of a loop on the host; where outputs are folded, none holds another's."""
        overlaps = self._spec.reduce is None
        return plan_chunks(plan, parts.examples or 1, parts.sharded, overlaps)

    def decide(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Parts:
        """What is decided of a call before its program is looked up."""
        return self._decided(call, lambda: self.partition.split(args, kwargs))

    def _decided(self, call: Call, split: Callable[[], Split]) -> Parts:
        """The same; the arguments are taken apart only where a size depends on them."""
        parts = self._placed(call)
        if self._sizing is None:
            return parts
        examples = self._sizing.given
        if examples is None:
            inner = call.planned.plan if parts.shards is None else parts.shards.inner
            examples = self._sizing.decide(call, inner, parts, split())
        return replace(parts, examples=examples)

    def _placed(self, call: Call) -> Parts:
        """What is decided of a call but for how many examples run at once."""
        remat = self.ways.chunk is not None and self.ways.chunk.remat
        if self.ways.shard is None:
            return Parts(remat=remat, sharded=sharded_axes(call))
        mesh = current_mesh(self.ways.shard.mesh, self._spec.function)
        shards = plan_shards(call.planned.plan, self.ways.shard, dict(mesh.shape))
        return Parts(remat=remat, shards=shards, mesh=mesh)

    def known_size(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sized | None:
        """How many examples run at once, if that is decided."""
        if self._sizing is None:
            return None
        if self._sizing.given is not None:
            return Sized(self._sizing.given)
        return self._sizing.known(self._placed(call), self.partition.split(args, kwargs))

    def _bucketed(self, call: Call, split: Split) -> Any:
        bucket = self.ways.bucket
        assert bucket is not None
        plan = call.planned.plan
        leaves = [call.leaves[place] for place in call.planned.places]
        # What stands inside a bucket is decided of the padded call, while its program is traced.
        if any(map(is_traced, split.arrays)):
            return self.partition(split)
        refuse_spread(plan, leaves)
        before = self._traced()
        if bucket.block is not None:
            result = self._blocked(call, split, leaves, bucket.block, bucket.promote)
        else:
            result = self._padded(call, split, leaves, bucket)
        with self._lock:
            self._stats.calls += 1
            compiled = self._traced() - before
            self._stats.compilations += compiled
            self._stats.hits += not compiled
        return result

    def _padded(self, call: Call, split: Split, leaves: Sequence[Any], bucket: Bucket) -> Any:
        plan = call.planned.plan
        sizes = padded_sizes(plan, bucket)
        # A fold is told the real sizes: a batch that fills its bucket shares the program too.
        fills = self._spec.reduce is not None and 0 not in plan.batch_shape
        if not (sizes or fills) or self._promoted((plan, split.key()), bucket.promote):
            return self.partition(split)
        rows = [pad(x, padded_dims(plan, i, sizes)) for i, x in enumerate(leaves)]
        # As data, so that one program is for all sizes.
        real: Any = () if self._spec.reduce is None else np.asarray(plan.batch_shape, np.int32)
        args, kwargs = call.arguments(rows)
        padded = self.partition.split(tuple(args), kwargs)
        if self._has_effects(padded, real):  # what it does beside computing is for real examples
            return self.partition(split)
        result = self.partition(padded, starts=real)
        if self._spec.reduce is not None:
            return cut_folded(result, plan, sizes, self._spec, self._grouping)
        return cut(result, plan, sizes, self._grouping.of(result))

    def _blocked(
        self, call: Call, split: Split, leaves: Sequence[Any], block: int, promote: int | None
    ) -> Any:
        plan = call.planned.plan
        blocks = plan_blocks(plan, block)
        if not blocks.count or self._promoted((plan, split.key()), promote):
            return self.partition(split)
        return run_blocks(
            blocks,
            leaves,
            self._block_program(call),
            self._grouping.of,
        )

    def _has_effects(self, split: Split, starts: Any) -> bool:
        """Whether a program does more than compute: it calls back, or prints."""
        key = split.key()
        found = self._effects.get(key)
        if found is None:
            traced = self.partition.program.trace(split.statics, None, split.arrays, (), starts)
            found = bool(traced.jaxpr.effects)
            self._effects.put(key, found)
        return found

    def _block_program(self, call: Call) -> Callable[[Sequence[Any]], Any]:
        """The program of one block, of a block's leaves; a call is taken apart once for all."""
        split: Split | None = None
        places: list[int | None] = []

        def run(rows: Sequence[Any]) -> Any:
            nonlocal split, places
            if split is None:
                args, kwargs = call.arguments(rows)
                split = self._block_partition.split(tuple(args), kwargs)
                row_of = {id(row): i for i, row in enumerate(rows)}
                places = [row_of.get(id(array)) for array in split.arrays]
            pairs = zip(split.arrays, places, strict=True)
            arrays = [x if place is None else rows[place] for x, place in pairs]
            return self._block_partition(Split(split.statics, arrays))

        return run

    def _promoted(self, key: Hashable, promote: int | None) -> bool:
        """Whether a batch shape has been seen so often that it has a program of its own."""
        if promote is None:
            return False
        with self._lock:
            seen = (self._seen.get(key) or 0) + 1
            self._seen.put(key, seen)
            self._stats.promotions += seen == promote
        return seen >= promote

    def stats(self) -> BucketStats:
        """A copy of the counts so far."""
        with self._lock:
            return replace(self._stats)


def sharded_axes(call: Call) -> tuple[int, ...]:
    """The batch axes along which an argument lies on several devices."""
    plan = call.planned.plan
    found: set[int] = set()
    for place, leaf in zip(call.planned.places, plan.leaves, strict=True):
        array = call.leaves[place]
        spec = getattr(getattr(array, "sharding", None), "spec", ())
        if is_traced(array):  # it lies on no device, but on an Explicit mesh its type tells
            spec = entries(array)
        if not any(spec):
            continue
        for axis in range(-len(plan.batch_shape), 0):
            if is_mapped_along(leaf, axis):
                dim = leaf.array_dim(axis)
                if dim < len(spec) and spec[dim] is not None:
                    found.add(axis)
    return tuple(sorted(found))


def current_mesh(given: Any, function: str) -> Any:
    """The mesh that was given, or else the one that is set.

    Raises:
        SpecError: there is none.
    """
    mesh = given
    if mesh is None:
        mesh = jax.sharding.get_abstract_mesh()
    if mesh is None or not mesh.shape:
        raise SpecError(
            f"{function}.shard(): there is no mesh; give one, as in .shard(..., mesh=...), or set "
            f"one around the call (jax.set_mesh, in older JAX jax.sharding.use_mesh)"
        )
    return mesh
