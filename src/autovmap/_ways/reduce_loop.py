"""The result of a Python loop over examples, folded."""

from dataclasses import replace
from typing import Any, cast

import jax
import jax.numpy as jnp

from autovmap._plan.outputs import Group, block_start
from autovmap._run.batched import is_batched
from autovmap._run.grouping import Grouping
from autovmap._spec.fold import Reduce
from autovmap._spec.spec import Spec
from autovmap._ways.fold_own import Combining
from autovmap._ways.fold_parts import Part
from autovmap._ways.reduce import FoldGroup
from autovmap._ways.reduce_run import Reducing
from autovmap._ways.reduce_units import fold_groups, units_of


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
