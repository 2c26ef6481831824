"""Folding what a nest of vmaps gives, all at once or part by part."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._plan.layers import Layer
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import CallPlan
from autovmap._run.nest import make_nest
from autovmap._run.steps import done
from autovmap._spec.fold import Combine
from autovmap._spec.spec import Spec
from autovmap._ways.chunk_run import MakeNest, Outputs
from autovmap._ways.fold_parts import Folding, Part, State
from autovmap._ways.folds import folding
from autovmap._ways.reduce import Folded, FoldGroup, dims_of, examples_in, folded_axes, left
from autovmap._ways.reduce_gradient import Summed
from autovmap._ways.shard_run import Local
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Reducing:
    """What a call folds: its plan, what is left of it, and how often each batch axis counts."""

    plan: CallPlan
    kept: Folded
    stretch: bool
    sizes: Mapping[int, Any]
    """The size of each batch axis; of a padded one as the running program knows it."""
    valid: Mapping[int, Any] = field(default_factory=dict[int, Any])
    """Along some axes, which of the examples that are there count."""
    across: Mapping[int, tuple[Hashable, ...]] = field(default_factory=dict[int, Any])
    """The mesh axes on which batch axes lie, where this is one device's part."""
    steps: Mapping[int, int] = field(default_factory=dict[int, int])
    """How many examples of these axes one device has."""
    summed: Summed | None = None
    """Gradients that the nest may give summed."""

    @property
    def nests(self) -> MakeNest:
        """What makes a plan's nest; where not all examples count, it gives all of them."""
        return make_nest if self.summed is None or self.valid else self.summed.nest

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
        steps = {placed.axis: placed.step for placed in local.rows}
        return replace(self, across=local.across, steps=steps, valid={**both, **valid})

    def everywhere(self, group: FoldGroup, does: Folding, state: State) -> State:
        """What all devices have folded, from what this one has."""
        axes = sorted(group.over & (group.axes or frozenset()))
        names = tuple(name for axis in axes for name in self.across.get(axis, ()))
        if not names:
            return state
        if isinstance(group.fold, Combine):
            self._refuse_mixed(axes)
        return does.everywhere(state, names)

    def _refuse_mixed(self, axes: Sequence[int]) -> None:
        """Refuse devices whose examples don't follow each other: their order would be lost."""
        last = max(axis for axis in axes if axis in self.across)
        for axis in axes[: axes.index(last)]:
            if self.steps.get(axis, self.plan.batch_shape[axis]) != 1:
                raise SpecError(
                    f"{self.plan.function}.reduce(...).shard(...): a function of your own combines "
                    f"examples in their order, but each device has only a part of each row of "
                    f"batch axis {axis}, as axis {last} is sharded too; shard batch axis "
                    f"{axes[0]} alone, over several mesh axes if need be: "
                    f'.shard(P(("a", "b")))'
                )

    def folded(self, part: CallPlan, outputs: Outputs, groups: Sequence[Group]) -> Outputs:
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


def reducing_of(plan: CallPlan, spec: Spec, real: Any = None) -> Reducing:
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
        if plain and not group.summed and isinstance(once, int) and once == 1:
            found += does.whole(parts)
        else:
            state = reducing.everywhere(group, does, does.part(parts))
            shapes = [shape_left(part) for part in parts]
            found += does.done(state, shapes, reducing.count(group), once)
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
