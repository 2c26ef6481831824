"""A batch in blocks: examples taken out on the host, results put together there."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from autovmap._bind.kinds import LeafType, is_key, leaf_type
from autovmap._plan.leaf import Leaf
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.steps import FoldIn
from autovmap._run.dtypes import as_data, as_keys, from_host
from autovmap._run.grouping import is_batched
from autovmap._ways.block import Block, Blocks, flat_dim, index_of


def run_blocks(
    blocks: Blocks,
    leaves: Sequence[Any],
    call: Callable[[Sequence[Any]], Any],
    groups_of: Callable[[Any], Sequence[Group]],
) -> Any:
    """The result of a batch, block by block through one program.

    Examples are taken out and put together with NumPy: on the device each new batch size would
    compile its own slices and concatenations, which is what blocks are there to avoid.

    Args:
        blocks: the batch in blocks.
        leaves: the leaves of the call, as they were given.
        call: runs the program on one block's leaves.
        groups_of: the group of each leaf of a result.
    """
    plan = blocks.plan
    take = [
        _taking(plan.leaves[i], leaf, plan.fold_in(i), plan.batch_shape)
        if i in plan.mapped
        else None
        for i, leaf in enumerate(leaves)
    ]
    results: list[Any] = []
    for block in blocks.each():
        pairs = zip(take, leaves, strict=True)
        results.append(call([leaf if of is None else of(block) for of, leaf in pairs]))
    first, treedef = jax.tree.flatten(results[0])
    parts = zip(*(jax.tree.leaves(result) for result in results), strict=True)
    joined = [
        _joined(part, group, blocks) if is_batched(leaf) else leaf
        for leaf, part, group in zip(first, parts, groups_of(results[0]), strict=True)
    ]
    return jax.tree.unflatten(treedef, joined)


def _taking(
    leaf: Leaf, array: Any, fold: FoldIn | None, batch_shape: Sequence[int]
) -> Callable[[Block], Any]:
    """A function from a block to its part of a leaf."""
    typed = isinstance(array, jax.Array) and is_key(array)
    data = as_data(array) if typed else array
    host, like = np.asarray(data), leaf_type(data)
    core = host.ndim - leaf.batch_ndim
    flat = flat_dim(leaf, batch_shape)
    if flat is not None:
        rest = host.shape[flat + len(batch_shape) :]
        host = host.reshape(*host.shape[:flat], math.prod(batch_shape), *rest)
    # A compiled program takes NumPy's data itself, at a tenth of the time of `device_put`.
    as_it_is = not (typed or fold or like.weak or like.sharding is not None)

    def take(block: Block) -> Any:
        part = host[index_of(leaf, block.places)] if flat is None else block.of(host, flat)
        if as_it_is:
            return part
        if fold is not None and part.ndim == core:  # one key for all
            part = np.broadcast_to(part, (block.size, *part.shape))
        row = from_host(part, like)
        if typed:
            row = as_keys(row, array)
        return row if fold is None else _folded(row, fold, block.places)

    return take


def _folded(keys: Any, fold: FoldIn, rows: Sequence[Any]) -> Any:
    """A key for each example, its index folded in along the axes that the key lacks.

    As in a plain call: outermost first, and the index counts in the whole batch, so that neither
    blocks nor what fills the last of them change a draw.
    """
    index = np.stack([rows[axis] for axis, _ in fold.axes], axis=1).astype(np.uint32)
    return _fold(len(fold.axes))(keys, index)


@functools.lru_cache(maxsize=16)
def _fold(axes: int) -> Callable[[Any, Any], Any]:
    """The program that folds an example's index along so many axes into its key."""

    def one(key: Any, index: Any) -> Any:
        for i in range(axes):
            key = jax.random.fold_in(key, index[i])
        return key

    return jax.jit(jax.vmap(one))


def _joined(parts: Sequence[Any], group: Group, blocks: Blocks) -> Any:
    """One output of all blocks, its one batch dim as the batch dims of the call."""
    array = parts[0]
    if group.position is None:
        return array
    dim = block_start(group.position, array.ndim, 1)
    data = [as_data(part) for part in parts]
    return as_keys(_whole(data, dim, blocks, leaf_type(data[0])), array)


def _whole(parts: Sequence[Any], dim: int, blocks: Blocks, like: LeafType) -> Any:
    hosts = [np.asarray(part) for part in parts]
    whole = np.concatenate(hosts, axis=dim) if len(hosts) > 1 else hosts[0]
    whole = whole[(*[slice(None)] * dim, slice(blocks.examples))]
    shape = whole.shape[:dim] + blocks.plan.batch_shape + whole.shape[dim + 1 :]
    return from_host(whole.reshape(shape), like)
