"""Where a result's batch dims go: positions for each layer, and the steps behind the nest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Dim, Shape
from autovmap._plan.steps import Expand, Factor, Merge, Squeeze, Step, Steps
from autovmap._spec.ranks import CoreDim

Item: TypeAlias = int | CoreDim | None
"""A dim of an output: a batch axis, a core dim, or (None) the core dims that are left."""

CORE = CoreDim()


@dataclass(frozen=True, slots=True)
class Group:
    """Outputs that are treated alike: where their batch dims go, and which they have.

    Batch dims are a block at `position` (None: there are none), or lie one by one as `items` says.
    `axes` are the batch axes along which the outputs are stretched, all of them where it is None;
    along the others they have 1. `composed` says for each dim in the end which items lie in it.
    """

    position: int | None = 0
    axes: frozenset[int] | None = None
    items: tuple[Item, ...] | None = None
    composed: tuple[tuple[int, ...], ...] = ()

    def holds(self, axis: int) -> bool:
        """Whether the outputs have a batch axis, be it of size 1."""
        return self.position is not None if self.items is None else axis in self.items

    def stretches(self, axis: int) -> bool:
        """Whether the outputs are not kept at 1 along an axis that they hold."""
        return self.axes is None or axis in self.axes

    def has(self, layer: Layer) -> bool:
        """Whether the outputs get a dim from a layer: they hold its axis, and are stretched."""
        if self.items is None and self.axes is None:  # as most are
            return self.position is not None
        return self.holds(layer.axis) and self.stretches(layer.axis)

    def layout(self, axes: Sequence[int]) -> tuple[Item, ...]:
        """The dims of an output that has these of its batch axes, before they are composed.

        >>> Group(-2).layout([-2, -1])
        (None, -2, -1, CoreDim(name=None, size=None, optional=False, at=None, text=None))
        """
        if self.items is not None:
            return tuple(x for x in self.items if not isinstance(x, int) or x in axes)
        if self.position is None:
            return (None,)
        if self.position >= 0:
            return (*(CORE,) * self.position, *axes, None)
        return (None, *axes, *(CORE,) * (-self.position - 1))

    @property
    def core(self) -> tuple[CoreDim | None, ...]:
        """What is known of the core dims of one example."""
        items = (None,) if self.items is None else self.items
        return tuple(item for item in items if not isinstance(item, int))


def dims_of(layout: Sequence[Item], axes: Sequence[int]) -> tuple[int, ...]:
    """Where batch axes lie in a layout: from the end, behind core dims of any number.

    >>> dims_of((-2, None, -1), [-2, -1])
    (0, -1)
    """
    rest = layout.index(None) if None in layout else len(layout)
    places = [layout.index(axis) for axis in axes]
    return tuple([at if at < rest else at - len(layout) for at in places])


def layer_out_axis(group: Group, layers: Sequence[Layer], i: int) -> int | None:
    """The `out_axes` of the i-th layer for a group of outputs.

    What the layers inside it have made is there already.

    >>> nest = [Layer(5, -3, ()), Layer(4, -2, ()), Layer(3, -1, ())]
    >>> layer_out_axis(Group(1), nest, 0), layer_out_axis(Group(-1), nest, 0)
    (1, -3)
    """
    if group.items is None and group.axes is None and (group.position or 0) >= 0:
        return group.position  # in front of the block, and of all that the inner layers made
    if not group.has(layers[i]):
        return None
    made = [layer.axis for layer in layers[i:] if group.has(layer)]
    return dims_of(group.layout(made), made[:1])[0]


def block_start(position: int, ndim: int, block: int) -> int:
    """The first dim of a block of `block` dims in an array of `ndim` dims in all.

    >>> block_start(0, 3, 2), block_start(-1, 3, 2), block_start(-2, 3, 2)
    (0, 1, 0)
    """
    return position if position >= 0 else ndim - block + 1 + position


def output_steps(
    group: Group, layers: Sequence[Layer], batch: Shape, sizes: Mapping[str, Dim]
) -> Steps:
    """What is done to an output behind the nest.

    A named axis that the call lacks is the outermost, and squeezed out; a batch axis that no layer
    makes is put in, of size 1; dims are composed.

    >>> output_steps(Group(), [Layer(1, -2, ()), Layer(3, -1, ())], (3,), {})
    (Squeeze(dims=(0,)),)
    >>> output_steps(Group(-1), [Layer(3, -1, ())], (1, 3), {})
    (Expand(dims=(-2,)),)
    """
    made = [layer.axis for layer in layers if group.has(layer)]
    own = [axis for axis in range(-len(batch), 0) if group.holds(axis)]
    lacking = [axis for axis in made if axis not in own]
    absent = [axis for axis in own if axis not in made]
    steps: list[Step] = []
    if lacking:
        steps.append(Squeeze(dims_of(group.layout(made), lacking)))
    if absent:
        steps.append(Expand(dims_of(group.layout(own), absent)))
    return (*steps, *composition(group, batch, sizes))


def composition(group: Group, batch: Shape, sizes: Mapping[str, Dim]) -> Steps:
    """The last of these steps alone: dims that lie side by side become one."""
    if group.items is None or all(len(part) == 1 for part in group.composed):
        return ()
    factors = [_factor(item, group, batch, sizes) for item in group.items]
    return (Merge(tuple(tuple(factors[i] for i in part) for part in group.composed)),)


def _factor(item: Item, group: Group, batch: Shape, sizes: Mapping[str, Dim]) -> Factor:
    if item is None:
        return ...
    if isinstance(item, int):
        return batch[item] if group.stretches(item) else 1
    return item.size if item.name is None else sizes.get(item.name)
