"""The result of a Python loop over examples, folded."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp

from autovmap._plan.outputs import Group, block_start
from autovmap._run.grouping import Grouping, is_batched
from autovmap._run.reach import Axes
from autovmap._spec.fold import Reduce
from autovmap._spec.spec import Spec
from autovmap._ways.fold_own import Combining
from autovmap._ways.fold_parts import Part
from autovmap._ways.reduce import FoldGroup
from autovmap._ways.reduce_run import Reducing
from autovmap._ways.reduce_units import fold_groups, units_of


def fold_looped(
    reducing: Reducing, spec: Spec, result: Any, grouping: Grouping, short: Sequence[Axes] | None
) -> Any:
    """The result of a loop folded, whose batch dims are all in front.

    What combines two values is called on one real example after the other. `short` says of each
    output on which axes it depends, if it is to have size 1 along the others.
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
                axes = [axis for axis in range(-block, 0) if axis not in group.over]
                leaves[i] = _moved(
                    _cut(value, axes, short[i] if short else None), block - len(dims), group
                )
            first += len(rows)
        else:
            value = _cut(leaves[first], range(-block, 0), short[first] if short else None)
            leaves[first] = _moved(value, block, group)
            first += 1
    return jax.tree.unflatten(treedef, leaves)


def _cut(array: Any, axes: Sequence[int], kept: Axes | None) -> Any:
    """An output whose batch dims lie along these axes, cut to one example along some."""
    if kept is None or not is_batched(array):
        return array
    return array[tuple(slice(None) if axis in kept else slice(0, 1) for axis in axes)]


def _moved(array: Any, block: int, group: Group) -> Any:
    """An output whose batch dims are in front with them where they belong."""
    if not is_batched(array):
        return array
    if group.position is None:
        return array[(0,) * block]
    start = block_start(group.position, array.ndim, block)
    return jnp.moveaxis(array, range(block), range(start, start + block)) if start else array
