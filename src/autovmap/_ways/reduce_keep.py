"""A fold in chunks: what is kept of a group of outputs while chunks come, one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._bind.kinds import is_key
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.dtypes import as_keys
from autovmap._ways.chunk import Cut
from autovmap._ways.chunk_keep import Keeper, MakeKeeper, Passed, Written
from autovmap._ways.fold_parts import Folding, State
from autovmap._ways.reduce import FoldGroup, dims_of, examples_in
from autovmap._ways.reduce_run import Reducing, part_of, shape_left, units


def keepers_of(reducing: Reducing, passing: bool = False) -> MakeKeeper:
    """What makes the keeper of a group of outputs.

    Where `passing`, those that are not folded go to the caller chunk by chunk.
    """

    def keeper(
        plan: CallPlan, splits: Sequence[Cut], group: Group, shapes: Sequence[Any]
    ) -> Keeper:
        if isinstance(group, FoldGroup):
            return FoldKeeper(reducing, splits, group, shapes)
        return (Passed if passing else Written)(plan, splits, group, shapes)

    return keeper


class FoldKeeper:
    """A group of outputs that are folded chunk by chunk: its states, and nothing else, are kept.

    Args:
        reducing: what the call folds.
        splits: the axes that are cut.
        group: the group of outputs.
        shapes: their shapes for the whole batch.
    """

    def __init__(
        self, reducing: Reducing, splits: Sequence[Cut], group: FoldGroup, shapes: Sequence[Any]
    ) -> None:
        self._reducing = reducing
        self._splits = splits
        self._group = group
        self._left = reducing.kept.group(group)
        layers = reducing.plan.layers
        left = [shape_left(part_of(layers, group, x)) for x in shapes]
        self._shapes = [list(unit) for unit in units(group, left)]
        self._does = [reducing.folding(group).in_chunks(unit) for unit in self._shapes]

    def _depends(self, split: Cut) -> bool:
        return split.axis in (self._group.axes or frozenset())

    def _kept_dim(self, split: Cut, ndim: int) -> int | None:
        """The dim of what is kept along an axis that is cut and not folded."""
        if split.axis in self._group.over or not self._depends(split):
            return None
        kept = self._reducing.kept
        return dims_of(self._left, kept.plan.layers, ndim)[kept.axis(split.axis)]

    def empty(self) -> list[Any]:
        return [does.start(unit) for does, unit in zip(self._does, self._shapes, strict=True)]

    def one(self, outputs: Sequence[Any], plan: CallPlan, valid: Mapping[int, Any]) -> list[Any]:
        found: list[Any] = []
        every = units(self._group, outputs)
        for does, unit, shapes in zip(self._does, every, self._shapes, strict=True):
            parts = [part_of(plan.layers, self._group, x, valid) for x in unit]
            state = does.part(parts)
            ndims = [len(shape.shape) for shape in shapes] * len(state)
            found.append(tuple(map(self._with_dims, state, ndims)))
        return found

    def _with_dims(self, array: Any, ndim: int) -> Any:
        """What is kept of a chunk, with a dim of 1 along each axis that was cut to one."""
        dims = [self._kept_dim(split, ndim) for split in self._splits if split.step == 1]
        known = [dim for dim in dims if dim is not None]
        return lax.expand_dims(array, known) if known else array

    def put(self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any]) -> list[Any]:
        # What does not depend on an axis that is cut comes again with each of its chunks.
        counts: Any = None
        for split, start in zip(self._splits, starts, strict=True):
            if not self._depends(split):
                counts = start == 0 if counts is None else counts & (start == 0)
        every = zip(self._does, self._with_keys(kept), chunk, strict=True)
        return [self._put(*one, starts, counts) for one in every]

    def _put(
        self, does: Folding, kept: State, part: State, starts: Sequence[Any], counts: Any
    ) -> State:
        places = [self._place(array, starts) for array in kept]
        old = tuple(
            array if at is None else lax.dynamic_slice(array, at, x.shape)
            for array, at, x in zip(kept, places, part, strict=True)
        )
        new = does.merge(old, part)
        if counts is not None:
            new = tuple(jnp.where(counts, x, y) for x, y in zip(new, old, strict=True))
        return tuple(
            x if at is None else lax.dynamic_update_slice(array, x, at)
            for array, at, x in zip(kept, places, new, strict=True)
        )

    def _place(self, array: Any, starts: Sequence[Any]) -> list[Any] | None:
        """Where a chunk belongs in what is kept; None where it is all of it."""
        at: list[Any] = [np.int32(0)] * array.ndim
        found = False
        for split, start in zip(self._splits, starts, strict=True):
            dim = self._kept_dim(split, array.ndim)
            if dim is not None:
                at[dim], found = start, True
        return at if found else None

    def for_host(self, kept: Sequence[Any]) -> list[Any]:
        return list(kept)

    def finished(self, kept: Sequence[Any]) -> list[Any]:
        return self._done(self._with_keys(kept), self._reducing.count(self._group))

    def _with_keys(self, kept: Sequence[State]) -> list[State]:
        """The states, of which a loop on the host has keys as their data."""
        return [
            tuple(
                as_keys(x, shape) if is_key(shape) and not is_key(x) else x
                for x, shape in zip(state, shapes, strict=True)
            )
            if any(map(is_key, shapes))
            else state
            for state, shapes in zip(kept, self._shapes, strict=True)
        ]

    def _done(self, kept: Sequence[Any], count: Any) -> list[Any]:
        times = self._reducing.times(self._group)
        done = [
            does.done(self._reducing.everywhere(self._group, does, state), shapes, count, times)
            for does, state, shapes in zip(self._does, kept, self._shapes, strict=True)
        ]
        return [array for unit in done for array in unit]

    def so_far(
        self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any], steps: Sequence[int]
    ) -> list[Any]:
        """The fold of all chunks so far, for the examples of this one along other axes."""
        there = [
            tuple(
                x if (at := self._place(x, starts)) is None else lax.dynamic_slice(x, at, y.shape)
                for x, y in zip(state, part, strict=True)
            )
            for state, part in zip(kept, chunk, strict=True)
        ]
        return self._done(there, self._count_so_far(starts, steps))

    def _count_so_far(self, starts: Sequence[Any], steps: Sequence[int]) -> Any:
        """How many examples that differ all chunks so far have folded."""
        group, sizes = self._group, self._reducing.sizes
        axes = group.over & (group.axes or frozenset())
        found = examples_in(axes - {split.axis for split in self._splits}, sizes)
        whole = found
        cuts = [
            cut
            for cut in zip(self._splits, starts, steps, strict=True)
            if cut[0].axis in group.over
        ]
        for i, (split, start, step) in enumerate(reversed(cuts)):
            if self._depends(split):
                found = start * whole + (found if i else step * found)
                whole = whole * split.size
            else:
                found = jnp.where(start > 0, whole, found)
        return found
