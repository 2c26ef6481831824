"""Folding what a nest of vmaps gives, all at once or part by part."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._bind.kinds import shown
from autovmap._bind.trees import match
from autovmap._plan.layers import Layer
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import PlanData
from autovmap._run.batched import batched, is_batched
from autovmap._run.grouping import Grouping
from autovmap._run.nest import Body
from autovmap._run.once import again, trace_once
from autovmap._run.steps import done
from autovmap._spec.fold import Fold, Reduce, fold_of
from autovmap._spec.ranks import Mark, Unmapped
from autovmap._spec.spec import Spec
from autovmap._ways.bucket_run import cut_leaf
from autovmap._ways.chunk import Split
from autovmap._ways.chunk_run import Keeper, Outputs, Passed, Written
from autovmap._ways.folds import Combining, Folding, Part, State, folding, leaves_at_once
from autovmap._ways.reduce import (
    Folded,
    FoldGroup,
    dims_of,
    examples_in,
    folded_axes,
    left,
    refuse_empty,
)
from autovmap._ways.shard_run import Local
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Reducing:
    """What a call folds: its plan, what is left of it, and how often each batch axis counts."""

    plan: PlanData
    kept: Folded
    stretch: bool
    sizes: Mapping[int, Any]
    """The size of each batch axis; of a padded one as the running program knows it."""
    valid: Mapping[int, Any] = field(default_factory=dict[int, Any])
    """Along some axes, which of the examples that are there count."""
    across: Mapping[int, tuple[Hashable, ...]] = field(default_factory=dict[int, Any])
    """The mesh axes on which batch axes lie, where this is one device's part."""

    def folding(self, group: FoldGroup) -> Folding:
        """What folds the outputs of a group."""
        kept = sum(self.kept.group(group).has(layer) for layer in self.kept.plan.layers)
        return folding(group.fold, group.position or 0, kept, self.plan.function)

    def count(self, group: FoldGroup) -> Any:
        """How many examples that differ are folded."""
        return examples_in(group.over & (group.axes or frozenset()), self.sizes)

    def times(self, group: FoldGroup) -> Any:
        """How often each counts: along axes that the output does not depend on."""
        return examples_in(group.over - (group.axes or frozenset()), self.sizes)

    def on_device(self, local: Local) -> "Reducing":
        """The same on one device of a mesh: rows beyond the end of an axis don't count."""
        valid = {
            p.axis: rows < self.sizes[p.axis]
            for p, rows in local.rows.items()
            if not p.divides or p.axis in self.valid
        }
        both = {axis: rows for axis, rows in self.valid.items() if axis not in local.across}
        return replace(self, across=local.across, valid={**both, **valid})

    def everywhere(self, group: FoldGroup, state: State) -> State:
        """What all devices have folded, from what this one has."""
        axes = group.over & (group.axes or frozenset())
        names = tuple(name for axis in sorted(axes) for name in self.across.get(axis, ()))
        return self.folding(group).everywhere(state, names) if names else state

    def keeper(
        self, plan: PlanData, splits: Sequence[Split], group: Group, shapes: Sequence[Any]
    ) -> Keeper:
        """What keeps a group's outputs while chunks run."""
        if isinstance(group, FoldGroup):
            return FoldKeeper(self, splits, group, shapes)
        return Written(plan, splits, group, shapes)

    def passer(
        self, plan: PlanData, splits: Sequence[Split], group: Group, shapes: Sequence[Any]
    ) -> Keeper:
        """The same where outputs that are not folded go to the caller chunk by chunk."""
        if isinstance(group, FoldGroup):
            return FoldKeeper(self, splits, group, shapes)
        return Passed(plan, splits, group, shapes)

    def folded(self, part: PlanData, outputs: Outputs, groups: Sequence[Group]) -> Outputs:
        """What a nest gives, folded all at once; `part` is the plan of the nest."""
        return tuple(
            fold(self, part.layers, group, arrays) if isinstance(group, FoldGroup) else arrays
            for group, arrays in zip(groups, outputs, strict=True)
        )

    def finished(
        self, outputs: Outputs, groups: Sequence[Group], sizes: Mapping[int, int] | None = None
    ) -> Outputs:
        """The outputs with all batch dims that they are to have, for `Result.joined`.

        `sizes` are those of axes of which only a chunk is there.
        """
        kept = self.kept
        shape = list(kept.plan.batch_shape)
        for axis, size in (sizes or {}).items():
            if axis not in kept.over:
                shape[kept.axis(axis)] = size
        return tuple(
            [self._finish(array, group, tuple(shape)) for array in arrays]
            for group, arrays in zip(groups, outputs, strict=True)
        )

    def _finish(self, array: Any, group: Group, sizes: tuple[Any, ...]) -> Any:
        """An output with all batch dims that are left, stretched where it is to be."""
        if not isinstance(group, FoldGroup):
            return done(array, self.plan.after(group))
        group = self.kept.group(group)
        array = done(array, self.kept.plan.after(group))
        if not self.stretch or group.position is None:
            return array
        start = block_start(group.position, jnp.ndim(array), len(sizes))
        shape = list(jnp.shape(array))
        shape[start : start + len(sizes)] = sizes
        return array if tuple(shape) == jnp.shape(array) else jnp.broadcast_to(array, shape)


def reducing_of(plan: PlanData, spec: Spec, real: Any = None) -> Reducing:
    """What a call folds, from its plan; `real` is the batch shape before a bucket padded it."""
    assert spec.reduce is not None
    over = folded_axes(plan, spec.reduce, spec.options.axis_name)
    block = len(plan.batch_shape)
    sizes: dict[int, Any] = {axis: plan.batch_shape[axis] for axis in range(-block, 0)}
    valid: dict[int, Any] = {}
    if real is not None:
        for layer in plan.layers:
            if not layer.unmapped:
                sizes[layer.axis] = real[block + layer.axis]
                valid[layer.axis] = jnp.arange(layer.size) < sizes[layer.axis]
    return Reducing(plan, left(plan, over), spec.options.stretch_outputs, sizes, valid)


def cut_folded(
    result: Any,
    plan: PlanData,
    sizes: Mapping[int, tuple[int, int]],
    spec: Spec,
    grouping: Grouping,
) -> Any:
    """A bucket's result without the examples that were padded, of which the folds have none."""
    leaves, treedef = jax.tree.flatten(result)
    reduce = cast("Reduce", spec.reduce)
    kept = left(plan, folded_axes(plan, reduce, spec.options.axis_name))
    less = {kept.axis(axis): size for axis, size in sizes.items() if axis not in kept.over}
    for i, unit in enumerate(units_of(reduce, result, grouping.of(result), plan.function)):
        if is_batched(leaves[i]):
            at = (plan, sizes) if unit.fold is None else (kept.plan, less)
            leaves[i] = cut_leaf(leaves[i], *at, unit.group)
    return jax.tree.unflatten(treedef, leaves)


@dataclass(frozen=True, slots=True)
class Unit:
    """How a leaf of a result is folded, and where its batch dims go.

    Leaves of one number are combined as one value.
    """

    group: Group
    fold: Fold | None
    number: int | None = None


def fold_groups(
    plan: PlanData, spec: Spec, units: Sequence[Unit], axes: Sequence[frozenset[int]]
) -> list[Group]:
    """The group of each leaf of a result, from how it is folded and what it depends on."""
    reduce = cast("Reduce", spec.reduce)
    over = folded_axes(plan, reduce, spec.options.axis_name)
    shared: dict[int, frozenset[int]] = {}
    for unit, depends in zip(units, axes, strict=True):
        if unit.number is not None:
            shared[unit.number] = shared.get(unit.number, frozenset()) | depends
    found: list[Group] = []
    for unit, depends in zip(units, axes, strict=True):
        if unit.fold is None or unit.group.position is None:
            stretched = None if spec.options.stretch_outputs else depends
            found.append(replace(unit.group, axes=stretched))
        else:
            refuse_empty(plan, reduce, unit.fold, over)
            depends = depends if unit.number is None else shared[unit.number]
            own = unit.group.position
            found.append(FoldGroup(own, depends, fold=unit.fold, over=over, unit=unit.number))
    return found


def units_of(reduce: Reduce, result: Any, placed: Sequence[Group], function: str) -> list[Unit]:
    """How each leaf of a result is folded."""
    leaves, treedef = jax.tree.flatten(result)
    arrays = batched(leaves, treedef)
    if jax.tree_util.all_leaves([result]) and not isinstance(reduce.folds, (Mark, Unmapped)):
        raise SpecError(
            f"{function}.reduce({reduce}): the result is one array, {shown(result)}; give one "
            f'fold, as in .reduce("mean")'
        )
    matched = match(reduce.folds, result, "result", f"{function}(): reduce")
    found: list[Unit] = []
    while (first := len(found)) < len(leaves):
        path, tree, _ = matched[first]
        fold = fold_of(tree)
        count = 1 if fold is None else leaves_at_once(fold)
        if count == 1:
            found.append(Unit(placed[first], fold if arrays[first] else None))
            continue
        rows = range(first, min(first + count, len(leaves)))
        fitting = [i for i in rows if matched[i][1] is tree and arrays[i]]
        if len(fitting) < count or len({placed[i] for i in rows}) > 1:
            raise SpecError(
                f"{function}.reduce(): {fold!r} combines {count} arrays as one value, as many as "
                f"its identity has, but at {path} there are not as many whose batch dims go to "
                f"one place; declare the fold where the result has these arrays"
            )
        found += [Unit(placed[i], fold, first) for i in rows]
    return found


def traced_once(
    plan: PlanData,
    spec: Spec,
    body: Body,
    leaves: Sequence[Any],
    grouping: Grouping,
    elsewhere: bool,
) -> tuple[Body, Grouping]:
    """A function of one example whose outputs' folds are known, and the groups of outputs.

    What an output depends on is found by tracing one example; what was traced runs from then on,
    but not `elsewhere`, on the devices of a mesh: there JAX wants its constants to lie on no mesh.
    Without layers there is but one example, which is computed here.
    """

    def look(result: Any) -> list[Unit]:
        groups = grouping.of(result)
        return units_of(cast("Reduce", spec.reduce), result, groups, plan.function)

    if plan.layers:
        once = trace_once(plan, body, leaves, look)
        run = body if elsewhere else again(plan, once)
        found = fold_groups(plan, spec, once.seen, once.axes)
    else:
        result = body(leaves)
        units = look(result)
        run, found = lambda _: result, fold_groups(plan, spec, units, [frozenset()] * len(units))
    return run, grouping.regrouped(found)


def fold_looped(reducing: Reducing, spec: Spec, result: Any, grouping: Grouping) -> Any:
    """The result of a loop folded, whose batch dims are all in front.

    What combines two values is called on one real example after the other.
    """
    leaves, treedef = jax.tree.flatten(result)
    plan, block = reducing.plan, len(reducing.plan.batch_shape)
    own = grouping.of(result)
    units = units_of(cast("Reduce", spec.reduce), result, own, plan.function)
    every = frozenset(range(-block, 0))
    groups = fold_groups(plan, spec, units, [every] * len(units))
    first = 0
    while first < len(leaves):
        group = groups[first]
        if isinstance(group, FoldGroup):
            rows = [i for i in range(first, len(leaves)) if groups[i] == group]
            rows = rows if group.unit is not None else [first]
            dims = tuple(block + axis for axis in sorted(group.over))
            parts = [Part(leaves[i], dims, tuple(range(block))) for i in rows]
            front = replace(group, position=0)
            does = reducing.folding(front)
            values = does.one_by_one(parts) if isinstance(does, Combining) else does.whole(parts)
            for i, value in zip(rows, values, strict=True):
                leaves[i] = _moved(value, block - len(dims), group)
            first += len(rows)
        else:
            leaves[first] = _moved(leaves[first], block, group)
            first += 1
    return jax.tree.unflatten(treedef, leaves)


def _moved(array: Any, block: int, group: Group) -> Any:
    """An output whose batch dims are in front with them where they belong."""
    if not is_batched(array):
        return array
    if group.position is None:
        return array[(0,) * block]
    start = block_start(group.position, array.ndim, block)
    return jnp.moveaxis(array, range(block), range(start, start + block)) if start else array


def fold(
    reducing: Reducing, layers: Sequence[Layer], group: FoldGroup, arrays: Sequence[Any]
) -> list[Any]:
    """The outputs of a group folded, all at once."""
    does = reducing.folding(group)
    once = reducing.times(group)
    found: list[Any] = []
    for unit in units(group, arrays):
        parts = [part_of(layers, group, x, reducing.valid) for x in unit]
        plain = not reducing.valid and not reducing.across
        if plain and isinstance(once, int) and once == 1:
            found += does.whole(parts)
        else:
            state = reducing.everywhere(group, does.part(parts))
            shapes = [shape_left(part) for part in parts]
            found += does.done(state, shapes, reducing.count(group), once)
    return found


class FoldKeeper:
    """A group of outputs that are folded chunk by chunk: its states, and nothing else, are kept.

    Args:
        reducing: what the call folds.
        splits: the axes that are cut.
        group: the group of outputs.
        shapes: their shapes for the whole batch.
    """

    def __init__(
        self, reducing: Reducing, splits: Sequence[Split], group: FoldGroup, shapes: Sequence[Any]
    ) -> None:
        self._reducing = reducing
        self._splits = splits
        self._group = group
        self._does = reducing.folding(group)
        self._left = reducing.kept.group(group)
        layers = reducing.plan.layers
        left = [shape_left(part_of(layers, group, x)) for x in shapes]
        self._shapes = [list(unit) for unit in units(group, left)]

    def _depends(self, split: Split) -> bool:
        return split.axis in (self._group.axes or frozenset())

    def _kept_dim(self, split: Split, ndim: int) -> int | None:
        """The dim of what is kept along an axis that is cut and not folded."""
        if split.axis in self._group.over or not self._depends(split):
            return None
        kept = self._reducing.kept
        return dims_of(self._left, kept.plan.layers, ndim)[kept.axis(split.axis)]

    def empty(self) -> list[Any]:
        return [self._does.start(unit) for unit in self._shapes]

    def one(self, outputs: Sequence[Any], plan: PlanData, valid: Mapping[int, Any]) -> list[Any]:
        found: list[Any] = []
        for unit, shapes in zip(units(self._group, outputs), self._shapes, strict=True):
            parts = [part_of(plan.layers, self._group, x, valid) for x in unit]
            state = self._does.part(parts)
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
        return [self._put(*both, starts, counts) for both in zip(kept, chunk, strict=True)]

    def _put(self, kept: State, part: State, starts: Sequence[Any], counts: Any) -> State:
        places = [self._place(array, starts) for array in kept]
        old = tuple(
            array if at is None else lax.dynamic_slice(array, at, x.shape)
            for array, at, x in zip(kept, places, part, strict=True)
        )
        new = self._does.merge(old, part)
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

    def shown(self, kept: Sequence[Any]) -> list[Any]:
        return list(kept)

    def finished(self, kept: Sequence[Any]) -> list[Any]:
        return self._done(kept, self._reducing.count(self._group))

    def _done(self, kept: Sequence[Any], count: Any) -> list[Any]:
        times = self._reducing.times(self._group)
        done = [
            self._does.done(self._reducing.everywhere(self._group, state), shapes, count, times)
            for state, shapes in zip(kept, self._shapes, strict=True)
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


def units(group: FoldGroup, arrays: Sequence[Any]) -> list[Sequence[Any]]:
    """The outputs of a group, together where they are combined as one value."""
    return [arrays] if group.unit is not None else [[x] for x in arrays]


def part_of(
    layers: Sequence[Layer], group: FoldGroup, array: Any, valid: Mapping[int, Any] | None = None
) -> Part:
    """An output of a nest as a part to fold; `valid` says along an axis which examples count."""
    ndim = len(getattr(array, "shape", ()))
    dims = dims_of(group, layers, ndim)
    mask: Any = None
    for axis, rows in (valid or {}).items():
        if axis in group.over and axis in (group.axes or frozenset()):
            if axis in dims:
                others = [dim for dim in range(ndim) if dim != dims[axis]]
                rows = lax.expand_dims(rows, others)
            mask = rows if mask is None else mask & rows
    folded = tuple(dim for axis, dim in dims.items() if axis in group.over)
    return Part(array, folded, tuple(dims.values()), mask)


def shape_left(part: Part) -> Any:
    """The shape and dtype of an output without its folded dims."""
    array = part.array
    if not isinstance(array, jax.ShapeDtypeStruct):
        array = jnp.asarray(array)
    shape = tuple(size for dim, size in enumerate(array.shape) if dim not in part.dims)
    return jax.ShapeDtypeStruct(shape, array.dtype)
