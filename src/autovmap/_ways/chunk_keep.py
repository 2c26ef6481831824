"""What is kept of the outputs while a batch goes through in chunks, one group at a time."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.dtypes import as_data, as_keys, data_shape, weakened
from autovmap._ways.chunk import Cut, output_dim
from autovmap._ways.explicit import alike, zeros


class Keeper(Protocol):
    """What is done with a group's outputs, chunk by chunk."""

    def empty(self) -> list[Any]:
        """What is kept before the first chunk."""
        ...

    def one(self, outputs: Sequence[Any], plan: CallPlan, valid: Mapping[int, Any]) -> list[Any]:
        """What is kept of one chunk, from its nest's outputs and the plan of that nest."""
        ...

    def put(self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any]) -> list[Any]:
        """What is kept once a chunk that begins at these places has joined."""
        ...

    def for_host(self, kept: Sequence[Any]) -> list[Any]:
        """What is kept, as arrays that a compiled program may hand to the host."""
        ...

    def finished(self, kept: Sequence[Any]) -> list[Any]:
        """The outputs of the whole batch."""
        ...

    def so_far(
        self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any], steps: Sequence[int]
    ) -> list[Any]:
        """The outputs of a chunk alone, or what all chunks so far have come to."""
        ...


class Written:
    """Outputs that are put where they belong: `dynamic_update_slice` of whole arrays.

    Args:
        plan: the plan of the whole batch.
        splits: the axes that are cut.
        group: the group of outputs.
        shapes: their shapes for the whole batch.
    """

    def __init__(
        self, plan: CallPlan, splits: Sequence[Cut], group: Group, shapes: Sequence[Any]
    ) -> None:
        self._plan = plan
        self._splits = splits
        self._group = group
        self._shapes = shapes

    def empty(self) -> list[Any]:
        return [_zeros(x) for x in self._shapes]

    def one(self, outputs: Sequence[Any], plan: CallPlan, valid: Mapping[int, Any]) -> list[Any]:
        """The outputs with a dim of 1 along each axis that was cut to one; keys as their data."""
        return [self._shaped(x, whole) for x, whole in zip(outputs, self._shapes, strict=True)]

    def _shaped(self, array: Any, whole: Any) -> Any:
        array = jnp.asarray(array)
        dims = [
            dim
            for split in self._splits
            if split.step == 1 and (dim := self._dim(split, whole)) is not None
        ]
        array = lax.expand_dims(array, dims) if dims else array
        return as_data(array)

    def _dim(self, split: Cut, whole: Any) -> int | None:
        return output_dim(self._group, self._plan.layers, split.layer, len(whole.shape))

    def put(self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any]) -> list[Any]:
        return [
            self._put(array, part, whole, starts)
            for array, part, whole in zip(kept, chunk, self._shapes, strict=True)
        ]

    def _put(self, array: Any, part: Any, whole: Any, starts: Sequence[Any]) -> Any:
        at: list[Any] = [np.int32(0)] * array.ndim
        for split, start in zip(self._splits, starts, strict=True):
            dim = self._dim(split, whole)
            if dim is not None:
                at[dim] = start
        part = alike(lax.convert_element_type(part, array.dtype), array)
        return lax.dynamic_update_slice(array, part, at) if array.ndim else part

    def for_host(self, kept: Sequence[Any]) -> list[Any]:
        return self.finished(kept)

    def finished(self, kept: Sequence[Any]) -> list[Any]:
        """Keys as keys, and weak types, as the function gave them."""
        return [_as(x, shape) for x, shape in zip(kept, self._shapes, strict=True)]

    def so_far(
        self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any], steps: Sequence[int]
    ) -> list[Any]:
        return self.finished(chunk)


class Passed(Written):
    """Outputs of which nothing is kept: each chunk's go to the caller."""

    def empty(self) -> list[Any]:
        return []

    def put(self, kept: Sequence[Any], chunk: Sequence[Any], starts: Sequence[Any]) -> list[Any]:
        return []

    def for_host(self, kept: Sequence[Any]) -> list[Any]:
        return []


class MakeKeeper(Protocol):
    """What makes the keeper of a group."""

    def __call__(
        self, plan: CallPlan, splits: Sequence[Cut], group: Group, shapes: Sequence[Any], /
    ) -> Keeper:
        """From a plan, the axes that are cut, a group, and its outputs' shapes."""
        ...


def _zeros(shape: Any) -> Any:
    data = data_shape(shape)
    return zeros(data.shape, data.dtype, shape)


def _as(array: Any, shape: Any) -> Any:
    """An array of data as what it stands for: a key, or a value of weak type."""
    return as_keys(weakened(array) if shape.weak_type else array, shape)
