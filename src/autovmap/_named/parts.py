"""What a plan under a pattern says of one array: where each axis lies, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Dim, Leaf, Shape
from autovmap._plan.outputs import Group
from autovmap._spec.ranks import CoreDim


@dataclass(frozen=True, slots=True)
class Prepare:
    """What is done to an array before it is mapped: in most calls nothing.

    Compositions are taken apart by `reshape`; a name that stands twice leaves its diagonal, which
    goes last; a key into which an index is folded has its batch dims in order, by `order` and
    `expand`.
    """

    reshape: Shape | None = None
    diagonals: tuple[tuple[int, int], ...] = ()
    order: tuple[int, ...] | None = None
    expand: tuple[int, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self == Prepare()


@dataclass(frozen=True, slots=True)
class PlacedLeaf(Leaf):
    """A leaf whose batch dims lie anywhere: `axes` says it of each dim, None of a core dim.

    `prepared` is the shape that these dims have, where the array's own is taken apart first;
    along the axes `added` that is 1, and the array itself has no such dim.
    """

    axes: tuple[int | None, ...] = ()
    prepared: Shape = ()
    added: tuple[int, ...] = ()

    @property
    def batch_ndim(self) -> int:
        """How many batch dims it has."""
        return sum(axis is not None for axis in self.axes)

    @property
    def batch(self) -> Shape:
        """The sizes of its batch dims, in the order of the array."""
        pairs = zip(self.axes, self.prepared, strict=True)
        return tuple(dim for axis, dim in pairs if axis is not None)

    @property
    def core(self) -> Shape:
        """The shape of one example."""
        return tuple(d for axis, d in zip(self.axes, self.prepared, strict=True) if axis is None)

    def size(self, axis: int) -> Dim | None:
        """Its size along a batch axis of the call, or None where it has none."""
        return self.prepared[self.axes.index(axis)] if axis in self.axes else None

    @property
    def own_batch(self) -> Shape:
        """The batch dims that the array itself has, taken apart."""
        pairs = zip(self.axes, self.prepared, strict=True)
        return tuple(dim for axis, dim in pairs if axis is not None and axis not in self.added)

    def own_size(self, axis: int) -> Dim | None:
        """The size of the array itself along a batch axis, or None where it has none."""
        return None if axis in self.added else self.size(axis)

    def plain(self) -> Leaf:
        """The same as the array is once it is prepared, where its batch dims come first."""
        shape = self.batch + self.core
        return Leaf(self.path, shape, self.dtype, self.rank, key=self.key, dims=self.dims)

    def array_dim(self, axis: int) -> int:
        """The dim that lies along a batch axis which the leaf has."""
        return self.axes.index(axis)


Item: TypeAlias = int | CoreDim | None
"""A dim of a result: a batch axis, a core dim, or (None) the core dims that are left."""


@dataclass(frozen=True, slots=True)
class PlacedGroup(Group):
    """Results under one part of a pattern: their dims in order, and how these are composed.

    `composed` says for each dim of the result in the end which of `items` lie in it. There is no
    one `position`.
    """

    position: int | None = None
    items: tuple[Item, ...] = ()
    composed: tuple[tuple[int, ...], ...] = ()

    def has(self, layer: Layer) -> bool:
        """Whether the results get a dim from a layer."""
        return layer.axis in self.items and self.makes(layer.axis)

    def makes(self, item: Item) -> bool:
        """Whether a dim is there: a batch axis along which nothing is stretched is not."""
        return not isinstance(item, int) or self.axes is None or item in self.axes

    @property
    def flat(self) -> bool:
        """Whether every dim stands alone, and none is missing: nothing is left to compose."""
        return all(len(part) == 1 for part in self.composed) and all(map(self.makes, self.items))

    def spread(self, ndim: int) -> tuple[range, ...]:
        """For each item, the dims that it has in an array of `ndim` dims, before composition.

        >>> part = PlacedGroup(items=(-1, None, CoreDim("n")), axes=frozenset())
        >>> part.spread(3)
        (range(0, 0), range(0, 2), range(2, 3))
        """
        free = ndim - sum(item is not None and self.makes(item) for item in self.items)
        found: list[range] = []
        start = 0
        for item in self.items:
            count = free if item is None else int(self.makes(item))
            found.append(range(start, start + count))
            start += count
        return tuple(found)

    def out_axis(self, layers: Sequence[Layer], i: int) -> int | None:
        """The `out_axes` of the i-th layer: what the layers within it have made is there already.

        Behind core dims of any number it is counted from the end.
        """
        axis = layers[i].axis
        if not self.has(layers[i]):
            return None
        inner = {layer.axis for layer in layers[i:] if self.has(layer)}
        left = [item for item in self.items if not isinstance(item, int) or item in inner]
        at = left.index(axis)
        return at - len(left) if None in left[:at] else at

    @property
    def core(self) -> tuple[CoreDim | None, ...]:
        """The core dims of one example."""
        return tuple(item for item in self.items if not isinstance(item, int))
