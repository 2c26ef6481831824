"""Folding an example's index into a PRNG key, as a plan's folds say."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from autovmap._named.parts import PlacedLeaf
from autovmap._plan.keys import Fold
from autovmap._plan.leaf import Leaf
from autovmap._plan.plan import PlanData, make_plan
from autovmap._run.nest import make_nest, run
from autovmap._spec.options import Options


def fold_keys(plan: PlanData, arrays: Sequence[Any]) -> Sequence[Any]:
    """The arrays, with a key for every example in place of each key that serves several."""
    if not plan.folds:
        return arrays
    folded = list(arrays)
    for fold in plan.folds:
        folded[fold.row] = _fold(plan.leaves[fold.row], arrays[fold.row], fold)
    return folded


def _fold(leaf: Leaf, key: Any, fold: Fold) -> Any:
    """`jax.random.fold_in(key, i)` along one axis after the other, outermost first."""
    leaf = leaf.plain() if isinstance(leaf, PlacedLeaf) else leaf
    for axis, size in fold.axes:
        index = jnp.arange(size, dtype=jnp.uint32).reshape((-1, *(1,) * (-axis - 1)))
        data = Leaf("data", index.shape, "uint32", 0)
        plan = make_plan("fold_in", [leaf, data], Options())
        key = run(plan, make_nest(plan), lambda rows: jax.random.fold_in(*rows), [key, index])
        leaf = Leaf(leaf.path, key.shape, leaf.dtype, leaf.rank, key=True)
    return key
