"""Where a result's batch dims go: positions for each layer, and the dims that get no layer."""

from collections.abc import Sequence
from dataclasses import dataclass

from autovmap._plan.layers import Layer


@dataclass(frozen=True, slots=True)
class Group:
    """Outputs that are treated alike: where their batch dims go, and which they have.

    A `position` of None is an output without any batch dims. `axes` are the batch axes along
    which the outputs are stretched, all of them where it is None; along the others they have 1.
    """

    position: int | None = 0
    axes: frozenset[int] | None = None

    def has(self, layer: Layer) -> bool:
        """Whether the outputs get a dim from a layer."""
        return self.position is not None and (self.axes is None or layer.axis in self.axes)

    def out_axis(self, layers: Sequence[Layer], i: int) -> int | None:
        """The `out_axes` of the i-th layer.

        A block that is counted from the end has the inner layers' dims behind its first.
        """
        if self.position is None or not self.has(layers[i]):
            return None
        if self.position >= 0:
            return self.position
        return self.position - sum(self.has(layer) for layer in layers[i + 1 :])


def layer_out_axis(group: Group, layers: Sequence[Layer], i: int) -> int | None:
    """The `out_axes` of the i-th layer for a group of outputs.

    >>> nest = [Layer(5, -3, ()), Layer(4, -2, ()), Layer(3, -1, ())]
    >>> layer_out_axis(Group(1), nest, 0), layer_out_axis(Group(-1), nest, 0)
    (1, -3)
    """
    return group.out_axis(layers, i)


def block_start(position: int, ndim: int, block: int) -> int:
    """The first dim of a block of `block` dims in an array of `ndim` dims in all.

    >>> block_start(0, 3, 2), block_start(-1, 3, 2), block_start(-2, 3, 2)
    (0, 1, 0)
    """
    return position if position >= 0 else ndim - block + 1 + position


def dropped(group: Group, layers: Sequence[Layer], batch_ndim: int) -> int:
    """How many dims of an output are of named axes that the call lacks: the outermost ones."""
    return sum(group.has(layer) and -layer.axis > batch_ndim for layer in layers)


def restored(group: Group, layers: Sequence[Layer], batch_ndim: int) -> tuple[int, ...]:
    """The dims, within an output's block, of batch axes that no layer gives it: they are 1."""
    if group.position is None:
        return ()
    made = {layer.axis for layer in layers if group.has(layer)}
    return tuple(axis + batch_ndim for axis in range(-batch_ndim, 0) if axis not in made)
