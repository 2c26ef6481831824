"""How a batch goes through one program in blocks of a fixed number of examples."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autovmap._plan.layers import is_mapped_along
from autovmap._plan.leaf import Leaf
from autovmap._plan.plan import CallPlan
from autovmap._ways.chunk import refuse_symbolic

Index = tuple["slice | int | np.ndarray", ...]


@dataclass(frozen=True, slots=True)
class Block:
    """So many examples of a batch in C order, from one on; the last one fills up the last block."""

    first: int
    size: int
    batch_shape: tuple[int, ...]

    @property
    def examples(self) -> np.ndarray:
        """Which examples of the batch these are."""
        return np.minimum(
            np.arange(self.first, self.first + self.size), math.prod(self.batch_shape) - 1
        )

    @property
    def places(self) -> Sequence[np.ndarray]:
        """The place of each along each batch axis."""
        return np.unravel_index(self.examples, self.batch_shape)

    def of(self, array: np.ndarray, dim: int) -> np.ndarray:
        """Its part of an array in which all examples lie along one dim: a view, if it is full."""
        if self.first + self.size <= array.shape[dim]:
            return array[(*[slice(None)] * dim, slice(self.first, self.first + self.size))]
        return array.take(self.examples, axis=dim)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A batch in blocks.

    >>> from autovmap._plan.plan import make_plan
    >>> from autovmap._spec.options import Options
    >>> plan = make_plan("f", [Leaf("x", (2, 3), "float32", 0)], Options())
    >>> [[at.tolist() for at in block.places] for block in Blocks(plan, 4).each()]
    [[[0, 0, 0, 1], [0, 1, 2, 0]], [[1, 1, 1, 1], [1, 2, 2, 2]]]
    """

    plan: CallPlan
    size: int

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return math.prod(self.plan.batch_shape)

    @property
    def count(self) -> int:
        """How many blocks there are: none where nothing is mapped, and the function runs once."""
        return -(-self.examples // self.size) if self.plan.mapped else 0

    def each(self) -> Iterator[Block]:
        """The blocks, in order."""
        for first in range(0, self.examples, self.size):
            yield Block(first, self.size, self.plan.batch_shape)


def plan_blocks(plan: CallPlan, size: int) -> Blocks:
    """Cut a batch into blocks.

    Raises:
        SpecError: a batch dim is symbolic.
    """
    refuse_symbolic(plan, "bucket")
    return Blocks(plan, size)


def flat_dim(leaf: Leaf, batch_shape: Sequence[int]) -> int | None:
    """Where a leaf's block of batch dims begins, if it has an example for each of the batch.

    >>> flat_dim(Leaf("x", (4, 5, 3), "float32", 1), (4, 5))
    0
    >>> flat_dim(Leaf("y", (5,), "float32", 0), (4, 5)) is None
    True
    """
    axes = range(-len(batch_shape), 0)
    if any(leaf.size(axis) != size for axis, size in zip(axes, batch_shape, strict=True)):
        return None
    dims = [leaf.array_dim(axis) for axis in axes]
    return dims[0] if dims == list(range(dims[0], dims[0] + len(dims))) else None


def index_of(leaf: Leaf, rows: Sequence[np.ndarray]) -> Index:
    """What takes a block's examples of a leaf out of its array, at the place of its batch dims.

    A leaf that is mapped along no axis is the same for all examples: its batch dims are taken
    away.

    >>> places = [np.array([0, 1]), np.array([2, 0])]
    >>> index_of(Leaf("x", (1, 4, 3), "float32", 1), places)
    (0, array([2, 0]), slice(None, None, None))
    >>> index_of(Leaf("y", (1, 3), "float32", 1), places)
    (0, slice(None, None, None))
    """
    index: list[slice | int | np.ndarray] = [slice(None)] * len(leaf.shape)
    for axis in range(-len(rows), 0):
        if leaf.size(axis) is not None:
            index[leaf.array_dim(axis)] = rows[axis] if is_mapped_along(leaf, axis) else 0
    return tuple(index)
