"""Padding a batch on the host, and cutting the result, without compiling for either."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from autovmap._bind.kinds import is_key, leaf_type
from autovmap._plan.leaf import describe
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import CallPlan
from autovmap._run.dtypes import as_data, as_keys, from_host
from autovmap._run.grouping import is_batched
from autovmap.errors import SpecError


def refuse_spread(plan: CallPlan, leaves: Sequence[Any]) -> None:
    """Refuse arrays on several devices, or not all here: padding them would gather them."""
    for leaf, planned in zip(leaves, plan.leaves, strict=True):
        sharding = getattr(leaf, "sharding", None)
        if sharding is not None and sharding.num_devices > 1:
            raise SpecError(
                f"{plan.function}.bucket(): {planned.path} is {describe(planned)} on "
                f"{sharding.num_devices} devices, and padding on the host would gather it; call "
                f".shard(...) or .jit() for arrays on several devices"
            )


def pad(array: Any, dims: Mapping[int, int]) -> Any:
    """An array with its last example repeated until dims have new sizes, as a NumPy array."""
    if not dims:
        return array
    if isinstance(array, jax.Array) and is_key(array):
        return as_keys(pad(as_data(array), dims), array)
    found = array if isinstance(array, np.ndarray) else np.asarray(array)
    for dim, size in dims.items():
        before, real = (slice(None),) * dim, found.shape[dim]
        made = np.empty((*found.shape[:dim], size, *found.shape[dim + 1 :]), found.dtype)
        made[(*before, slice(real))] = found
        made[(*before, slice(real, None))] = found[(*before, slice(real - 1, real))]
        found = made
    like = leaf_type(array)
    # A compiled program takes NumPy's data itself, at a tenth of the time of `device_put`.
    return from_host(found, like) if like.weak or like.sharding is not None else found


def cut(
    result: Any, plan: CallPlan, sizes: Mapping[int, tuple[int, int]], groups: Sequence[Group]
) -> Any:
    """A result without the examples that were padded."""
    leaves, treedef = jax.tree.flatten(result)
    found = [
        cut_leaf(leaf, plan, sizes, group) if is_batched(leaf) else leaf
        for leaf, group in zip(leaves, groups, strict=True)
    ]
    return jax.tree.unflatten(treedef, found)


def cut_leaf(array: Any, plan: CallPlan, sizes: Mapping[int, tuple[int, int]], group: Group) -> Any:
    """An output without the examples that were padded."""
    if group.position is None:
        return array
    return as_keys(_host_cut(as_data(array), array.ndim, plan, sizes, group), array)


def _host_cut(
    array: Any, ndim: int, plan: CallPlan, sizes: Mapping[int, tuple[int, int]], group: Group
) -> Any:
    block = len(plan.batch_shape)
    start = block_start(group.position or 0, ndim, block)
    kept = [slice(None)] * ndim
    for axis, (size, _) in sizes.items():
        kept[start + block + axis] = slice(0, size)
    like = leaf_type(array)
    if isinstance(like.sharding, NamedSharding) and like.sharding.num_devices > 1:
        # none may exist for what is left
        like = replace(like, sharding=NamedSharding(like.sharding.mesh, PartitionSpec()))
    return from_host(np.asarray(array)[tuple(kept)], like)
