"""A batch in chunks: one after the other in a scan, inside one compiled program."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._bind.kinds import is_key
from autovmap._bind.leaves import is_array
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import PlanData
from autovmap._run.nest import Body, Running, make_nest
from autovmap._run.result import Result
from autovmap._run.weak import weakened
from autovmap._ways.chunk import Chunks, output_dim
from autovmap._ways.explicit import alike, entries, refuse_cut, shape_like, zeros

Outputs: TypeAlias = tuple[list[Any], ...]
"""The array leaves of a result, in one list a group."""


class Chunked:
    """A plan that is run in chunks: its parts, for a loop in the program or on the host.

    `dynamic_slice` takes a chunk's part of each leaf, `dynamic_update_slice` puts its outputs
    where they belong.

    Args:
        plan: the plan of the whole batch.
        chunks: how it is cut.
        body: the function of one example's leaves.
        leaves: the leaves, sizes of 1 squeezed.
        groups: the groups of outputs.
        caught: where the structure of the result is kept.
    """

    def __init__(
        self,
        plan: PlanData,
        chunks: Chunks,
        body: Body,
        leaves: Sequence[Any],
        groups: Sequence[Group],
        caught: Result,
    ) -> None:
        self._plan = plan
        self._chunks = chunks
        self._body = body
        self._leaves = leaves
        self._groups = groups
        self._caught = caught
        self._nest = make_nest(chunks.inner, groups)
        refuse_cut(plan, chunks, leaves)
        self._whole = self._shapes()

    def run(self, remat: bool = False) -> Outputs:
        """All outputs, by a scan over the chunks.

        With `remat`, a chunk is computed again in the backward pass.
        """
        one = jax.checkpoint(self.one) if remat else self.one

        def step(outputs: Outputs, starts: Any) -> tuple[Outputs, None]:
            return self.put(outputs, one(starts), starts), None

        starts = np.asarray(self._chunks.starts(), np.int32)
        outputs, _ = lax.scan(step, self.empty(), starts)
        return self.finished(outputs)

    def _shapes(self) -> tuple[list[Any], ...]:
        """The shapes of the whole result.

        They follow from those of a chunk, of which nothing is mapped that the chunk does not map.
        Where an output lacks batch axes, the nest of all layers checks that it does so by right.
        """
        if all(group.position is not None and group.axes is None for group in self._groups):
            parts = jax.eval_shape(lambda: self._run([0] * len(self._chunks.splits)))
            return tuple(
                [self._grown(x, group) for x in part]
                for group, part in zip(self._groups, parts, strict=True)
            )
        nest = make_nest(self._plan, self._groups)

        def traced(mapped: Sequence[Any]) -> Any:
            leaves = list(self._leaves)
            for i, value in zip(self._plan.mapped, mapped, strict=True):
                leaves[i] = value
            return nest(Running(self._body, leaves, self._caught), *mapped)

        return jax.eval_shape(traced, [self._leaves[i] for i in self._plan.mapped])

    def _grown(self, part: Any, group: Group) -> Any:
        """The shape of a whole output, from that of a chunk."""
        splits = self._chunks.splits
        shape, spec = list(part.shape), list(entries(part))
        ndim = len(shape) + sum(split.step == 1 for split in splits)
        for split in splits:
            dim = output_dim(group, self._plan.layers, split.layer, ndim)
            assert dim is not None
            shape[dim : dim + (split.step != 1)] = [split.size]
            spec[dim : dim + (split.step != 1)] = [None if split.step == 1 else spec[dim]]
        return shape_like(part, shape, spec)

    def empty(self) -> Outputs:
        """Arrays for the whole result, without contents."""
        return tuple(
            [zeros(_data_shape(x), _data_dtype(x), x) for x in shapes] for shapes in self._whole
        )

    def one(self, starts: Any) -> Outputs:
        """The outputs of the chunk that begins at these places, keys as their data."""
        return tuple(
            [self._shaped(x, whole, group) for x, whole in zip(part, shapes, strict=True)]
            for group, part, shapes in zip(
                self._groups, self._run(starts), self._whole, strict=True
            )
        )

    def _run(self, starts: Any) -> tuple[list[Any], ...]:
        """The outputs of that chunk, as its nest gives them."""
        rows = list(self._leaves)
        for split, start in reversed(list(zip(self._chunks.splits, starts, strict=True))):
            for row, dim in enumerate(split.dims):
                if dim is not None:
                    rows[row] = _part(rows[row], start, split.step, dim)
        inner = self._chunks.inner
        running = Running(self._body, rows, self._caught)
        return self._nest(running, *[rows[i] for i in inner.mapped])

    def _shaped(self, array: Any, whole: Any, group: Group) -> Any:
        """A chunk's output with a dim of 1 along each axis that it was cut down to one of."""
        array = jnp.asarray(array)
        dims = [
            dim
            for split in self._chunks.splits
            if split.step == 1 and (dim := self._dim(group, split.layer, whole)) is not None
        ]
        array = lax.expand_dims(array, dims) if dims else array
        return jax.random.key_data(array) if is_key(array) else array

    def _dim(self, group: Group, layer: int, whole: Any) -> int | None:
        return output_dim(group, self._plan.layers, layer, len(whole.shape))

    def put(self, outputs: Outputs, chunk: Outputs, starts: Any) -> Outputs:
        """The outputs with those of one chunk in place."""
        return tuple(
            [
                self._put(x, part, whole, group, starts)
                for x, part, whole in zip(*parts, strict=True)
            ]
            for group, *parts in zip(self._groups, outputs, chunk, self._whole, strict=True)
        )

    def _put(self, array: Any, part: Any, whole: Any, group: Group, starts: Any) -> Any:
        at: list[Any] = [np.int32(0)] * array.ndim
        for split, start in zip(self._chunks.splits, starts, strict=True):
            dim = self._dim(group, split.layer, whole)
            if dim is not None:
                at[dim] = start
        part = alike(lax.convert_element_type(part, array.dtype), array)
        return lax.dynamic_update_slice(array, part, at) if array.ndim else part

    def finished(self, outputs: Outputs) -> Outputs:
        """The outputs as the function gave them: keys, and values of weak type."""
        return tuple(
            [_as(x, shape) for x, shape in zip(part, shapes, strict=True)]
            for part, shapes in zip(outputs, self._whole, strict=True)
        )


def opened(outputs: Outputs) -> Outputs:
    """The outputs with keys as their data."""
    return tuple([jax.random.key_data(x) if is_key(x) else x for x in part] for part in outputs)


def _part(array: Any, start: Any, step: int, dim: int) -> Any:
    if step == 1:
        return lax.dynamic_index_in_dim(array, start, dim, keepdims=False)
    return lax.dynamic_slice_in_dim(array, start, step, dim)


def _data_shape(shape: Any) -> tuple[int, ...]:
    data = jax.eval_shape(jax.random.key_data, shape) if is_key(shape) else shape
    return data.shape


def _data_dtype(shape: Any) -> Any:
    return np.uint32 if is_key(shape) else shape.dtype


def _as(array: Any, shape: Any) -> Any:
    """An array of data as what it stands for: a key, or a value of weak type."""
    if is_key(shape):
        return jax.random.wrap_key_data(array, impl=_impl(shape))
    return weakened(array) if shape.weak_type else array


def _impl(shape: Any) -> Any:
    found: list[Any] = []
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), shape)
    return found[0]


def without(result: Any, plan: PlanData, again: Mapping[int, int], groups: Sequence[Group]) -> Any:
    """A chunk's result without the first examples of some axes, which a chunk before it had."""
    leaves, treedef = jax.tree.flatten(result)
    block = len(plan.batch_shape)
    for i, (leaf, group) in enumerate(zip(leaves, groups, strict=True)):
        if not is_array(leaf) or group.position is None:
            continue
        start = block_start(group.position, leaf.ndim, block)
        for axis, count in again.items():
            if group.axes is None or axis in group.axes:
                leaves[i] = lax.slice_in_dim(leaves[i], count, None, axis=start + block + axis)
    return jax.tree.unflatten(treedef, leaves)
