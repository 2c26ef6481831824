"""A loop on the host over compiled chunks: to tell how far it is, or to hand out each result."""

import contextlib
import math
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._spec.spec import Spec
from autovmap._ways.chunk import Chunks, covered, plan_chunks
from autovmap._ways.chunk_run import without
from autovmap._ways.parts import Parts
from autovmap._ways.split import Partition, Split
from autovmap.errors import SpecError


@contextlib.contextmanager
def reporting(
    progress: Callable[[int, int], Any] | bool, total: int, function: str
) -> Generator[Callable[[int], None]]:
    """A function that is told how many examples are done, for as long as the call runs.

    >>> with reporting(lambda done, total: print(done, "of", total), 10, "f") as report:
    ...     report(5)
    5 of 10
    """
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    try:
        from tqdm import TqdmWarning
        from tqdm.auto import tqdm
    except ImportError as error:
        raise SpecError(
            f"{function}.chunk(progress=True) needs tqdm: pip install tqdm, or "
            f"pass a function that takes (done, total)"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # a notebook without its widgets
        bar = tqdm(total=total, desc=function, unit="example", unit_scale=True)
    with bar:

        def report(done: int) -> None:
            bar.update(done - bar.n)

        yield report


def reported(
    spec: Spec,
    partition: Partition,
    plan: CallPlan,
    split: Split,
    parts: Parts,
    progress: Callable[[int, int], Any] | bool,
) -> Any:
    """A loop on the host over compiled chunks, which tells how far it is."""
    chunks = _chunks(spec, plan, parts)
    total = math.prod(int(size) for size in plan.batch_shape)
    with reporting(progress, total, spec.function) as report:
        if not chunks.splits:
            result = jax.block_until_ready(partition(split, parts))
            report(total)
            return result
        outputs = partition(split, replace(parts, stage="empty"))
        step = replace(parts, stage="step")
        whole = math.prod(split.size for split in chunks.splits)
        done = 0
        for starts, own in zip(chunks.starts(), covered(chunks), strict=True):
            at = np.asarray(starts, np.int32)
            now = replace(step, rest=chunks.is_rest(starts))
            outputs = jax.block_until_ready(partition(split, now, outputs, at))
            done += math.prod(stop - first for first, stop in own)
            report(done * (total // whole))
        finish = replace(parts, stage="finish")
        if spec.reduce is not None:  # what is kept is of no use to the result
            return partition(split, finish, (), outputs)
        return partition(split, finish, outputs)


def iterated(
    spec: Spec,
    partition: Partition,
    plan: CallPlan,
    split: Split,
    parts: Parts,
    groups_of: Callable[[Any], Sequence[Group]],
) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """The result of each chunk, with its place in the batch shape."""
    chunks = _chunks(spec, plan, parts)
    block = len(plan.batch_shape)
    if not chunks.splits:
        yield (slice(None),) * block, partition(split, parts)
        return
    if spec.reduce is not None:
        yield from _folded(partition, split, replace(parts, passing=True), chunks, block)
        return
    one = replace(parts, stage="one")
    for starts, own in zip(chunks.starts(), covered(chunks), strict=True):
        out = partition(split, one, (), np.asarray(starts, np.int32))
        index = [slice(None)] * block
        again: dict[int, int] = {}
        for cut_axis, start, (first, stop) in zip(chunks.splits, starts, own, strict=True):
            index[cut_axis.axis] = slice(first, stop)
            if first != start:
                again[cut_axis.axis] = first - start
        if again:
            out = without(out, plan, again, groups_of(out))
        yield tuple(index), out


def _folded(
    partition: Partition, split: Split, parts: Parts, chunks: Chunks, block: int
) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """The fold of all chunks so far after each of them, with the place of this one."""
    kept = partition(split, replace(parts, stage="empty"))
    for starts, own in zip(chunks.starts(), covered(chunks), strict=True):
        step = replace(parts, stage="step", rest=chunks.is_rest(starts))
        kept, out = partition(split, step, kept, np.asarray(starts, np.int32))
        index = [slice(None)] * block
        for cut_axis, part in zip(chunks.splits, own, strict=True):
            index[cut_axis.axis] = slice(*part)
        yield tuple(index), out


def _chunks(spec: Spec, plan: CallPlan, parts: Parts) -> Chunks:
    """The chunks of a loop on the host; where outputs are folded, none holds another's."""
    overlaps = spec.reduce is None
    return plan_chunks(plan, parts.examples or 1, parts.sharded, overlaps)
