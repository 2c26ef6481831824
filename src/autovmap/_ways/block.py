"""How a batch goes through one program in blocks of a fixed number of examples."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autovmap._plan.layers import is_mapped_along
from autovmap._plan.leaf import Leaf
from autovmap._plan.plan import PlanData
from autovmap._ways.chunk import refuse_symbolic

Index = tuple["slice | int | np.ndarray", ...]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A batch in blocks: its examples in C order, the last one repeated to fill the last block."""

    plan: PlanData
    size: int

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return math.prod(self.plan.batch_shape)

    @property
    def count(self) -> int:
        """How many blocks there are: none where nothing is mapped, and the function runs once."""
        return -(-self.examples // self.size) if self.plan.mapped else 0

    def rows(self) -> Iterator[Sequence[np.ndarray]]:
        """For each block, the place of its examples along each batch axis.

        >>> from autovmap._plan.plan import make_plan
        >>> from autovmap._spec.options import Options
        >>> plan = make_plan("f", [Leaf("x", (2, 3), "float32", 0)], Options())
        >>> [[places.tolist() for places in block] for block in Blocks(plan, 4).rows()]
        [[[0, 0, 0, 1], [0, 1, 2, 0]], [[1, 1, 1, 1], [1, 2, 2, 2]]]
        """
        for first in range(0, self.examples, self.size):
            flat = np.minimum(np.arange(first, first + self.size), self.examples - 1)
            yield np.unravel_index(flat, self.plan.batch_shape)


def plan_blocks(plan: PlanData, size: int) -> Blocks:
    """Cut a batch into blocks.

    Raises:
        SpecError: a batch dim is symbolic.
    """
    refuse_symbolic(plan, "bucket")
    return Blocks(plan, size)


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
