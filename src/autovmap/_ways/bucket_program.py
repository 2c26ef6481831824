"""The programs of `f.bucket()`: padded calls, counted, and exact ones for what comes back often."""

import functools
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from autovmap._bind.binder import Call
from autovmap._bind.kinds import is_traced
from autovmap._cache import BoundedCache
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping
from autovmap._spec.spec import Spec
from autovmap._ways.block import Blocks, plan_blocks
from autovmap._ways.block_run import run_blocks
from autovmap._ways.bucket import padded_dims, padded_sizes
from autovmap._ways.bucket_run import cut, pad, refuse_spread
from autovmap._ways.options import Bucket
from autovmap._ways.reduce_units import cut_folded
from autovmap._ways.split import SEEN, TRACED, Partition, Split, Static

Job: TypeAlias = Callable[[Split], Any]
"""How the calls of one structure, shapes and dtypes are run."""


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


class Count:
    """How often a batch shape was seen."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0


@dataclass(slots=True, eq=False)
class Padding:
    """How all calls of one structure, shapes, dtypes and places are padded."""

    plan: CallPlan
    sizes: Mapping[int, tuple[int, int]]
    """The batch axes that are padded: their sizes, and the padded ones."""
    pads: tuple[tuple[int, Mapping[int, int]], ...]
    """The traced arrays that are padded: their dims, with the new sizes."""
    count: Count
    effects: bool | None = None
    """Whether the function does more than compute, once that is known."""


class Buckets:
    """The calls of one function in buckets.

    Args:
        spec: the function's.
        bucket: what the caller said of buckets.
        grouping: where outputs go.
        partition: the programs of a whole batch.
        blocks: those of one block, where a batch goes through in blocks.
        traced: how many programs were traced so far, in this thread.
    """

    def __init__(
        self,
        spec: Spec,
        bucket: Bucket,
        grouping: Grouping,
        partition: Partition,
        blocks: Partition,
        traced: Callable[[], int],
    ) -> None:
        self._spec = spec
        self._bucket = bucket
        self._grouping = grouping
        self._partition = partition
        self._block_partition = blocks
        self._traced = traced
        self._seen: BoundedCache[Count] = BoundedCache(SEEN)
        self._effects: BoundedCache[bool] = BoundedCache(SEEN)
        self._lock = threading.Lock()
        self._stats = BucketStats()

    def job(self, call: Call, split: Split) -> tuple[Job, bool]:
        """How a call is run, and whether each call of its structure, shapes and dtypes is so."""
        # What stands inside a bucket is decided of the padded call, while its program is traced.
        if any(map(is_traced, split.arrays)):
            return self._partition, False
        plan = call.planned.plan
        leaves = [call.leaves[place] for place in call.planned.places]
        refuse_spread(plan, leaves)
        count = self._seen.keep(split.key(), Count())
        if self._bucket.block is not None:
            blocks = plan_blocks(plan, self._bucket.block)
            blocked = functools.partial(self._blocked, call, leaves, blocks, count)
            return functools.partial(self._served, blocked), False
        sizes = padded_sizes(plan, self._bucket)
        # A fold is told the real sizes: a batch that fills its bucket shares the program too.
        if not sizes and (self._spec.reduce is None or 0 in plan.batch_shape):
            return functools.partial(self._served, self._partition), True
        lasting = True
        if self._spec.numpy_calls or call.style.default_args or call.style.default_kwargs:
            # What is padded is no part of the arguments as they were given.
            split, lasting = self._partition.split(call.args, call.kwargs), False
        places = enumerate(_array_places(call, split.static))
        pads = [(place, padded_dims(plan, row, sizes)) for row, place in places]
        padding = Padding(plan, sizes, tuple((i, dims) for i, dims in pads if dims), count)
        padded = functools.partial(self._padded, padding)
        run = padded if lasting else lambda _: padded(split)
        return functools.partial(self._served, run), lasting

    def _served(self, run: Job, split: Split) -> Any:
        """Serve a call, and count it, with the programs that were traced for it."""
        before = self._traced()
        result = run(split)
        with self._lock:
            self._stats.calls += 1
            compiled = self._traced() - before
            self._stats.compilations += compiled
            self._stats.hits += not compiled
        return result

    def _padded(self, job: Padding, split: Split) -> Any:
        if self._promoted(job.count):
            return self._partition(split)
        plan, arrays = job.plan, list(split.arrays)
        for place, dims in job.pads:
            arrays[place] = pad(arrays[place], dims)
        padded = Split(split.static, arrays)
        # As data, so that one program is for all sizes.
        real: Any = () if self._spec.reduce is None else np.asarray(plan.batch_shape, np.int32)
        if job.effects is None:
            job.effects = self._has_effects(padded, real)
        if job.effects:  # what it does beside computing is for real examples
            return self._partition(split)
        result = self._partition(padded, starts=real)
        if self._spec.reduce is not None:
            return cut_folded(result, plan, job.sizes, self._spec, self._grouping)
        return cut(result, plan, job.sizes, self._grouping.of(result))

    def _blocked(
        self, call: Call, leaves: Sequence[Any], blocks: Blocks, count: Count, split: Split
    ) -> Any:
        if not blocks.count or self._promoted(count):
            return self._partition(split)

        return run_blocks(blocks, leaves, self._block_program(call), self._grouping.of)

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
            return self._block_partition(Split(split.static, arrays))

        return run

    def _has_effects(self, split: Split, starts: Any) -> bool:
        """Whether a program does more than compute: it calls back, or prints."""
        key = split.key()
        found = self._effects.get(key)
        if found is None:
            traced = self._partition.program.trace(split.static, None, split.arrays, (), starts)
            found = bool(traced.jaxpr.effects)
            self._effects.put(key, found)
        return found

    def _promoted(self, count: Count) -> bool:
        """Whether a batch shape has been seen so often that it has a program of its own."""
        promote = self._bucket.promote
        if promote is None:
            return False
        with self._lock:
            count.seen += 1
            self._stats.promotions += count.seen == promote
        return count.seen >= promote

    def stats(self) -> BucketStats:
        """A copy of the counts so far."""
        with self._lock:
            return replace(self._stats)


def _array_places(call: Call, static: Static) -> list[int]:
    """Where each leaf of a call's plan stands among the arrays that are traced.

    -1 for one that is static, as a number in a tree is.
    """
    args, values = (group.children() for group in static.treedef.children())
    firsts = [0, *itertools.accumulate(part.num_leaves for part in (*args, *values))]
    order = [*range(len(args)), *static.names]
    flat: list[int] = []
    for slot in call.slots:
        at = order.index(slot.place)
        flat += range(firsts[at], firsts[at + 1])
    traced = [leaf is TRACED for leaf in static.kept]
    return [
        sum(traced[: flat[place]]) if traced[flat[place]] else -1 for place in call.planned.places
    ]
