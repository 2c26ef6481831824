"""The layers of vmap that a call takes, worked out before the first, and what goes before them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from autovmap._plan.leaf import Dim, Leaf, Shape
from autovmap._plan.steps import FoldIn, Squeeze, Steps


@dataclass(frozen=True, slots=True)
class Layer:
    """One `jax.vmap`: along which batch axis, of what size, over which dim of each leaf.

    `axis` counts from the right, so -1 is the innermost layer. An entry of `in_axes` is None
    where the leaf is not mapped: it lacks the axis, or has size 1 there, which is squeezed.

    >>> Layer(size=5, axis=-1, in_axes=(0, None)).unmapped
    False
    """

    size: Dim
    axis: int
    in_axes: tuple[int | None, ...]
    name: Hashable | None = None
    spmd_name: Hashable | None = None

    @property
    def unmapped(self) -> bool:
        """Whether no leaf is mapped, so that vmap must be told the size."""
        return self.in_axes.count(None) == len(self.in_axes)


def layers(
    leaves: Sequence[Leaf],
    batch: Shape,
    names: Sequence[Hashable] = (),
    spmd_names: Sequence[Hashable] = (),
) -> tuple[Layer, ...]:
    """The layers, outermost first: the leftmost batch axis is the outermost vmap.

    An axis that is 1 for every leaf gets no layer unless it has a name: mapped, a `lax.cond`
    inside would run both its branches. A named axis that the call lacks gets one, of size 1.

    >>> v, m = Leaf("v", (7, 1, 3), "f", 1), Leaf("m", (5, 3, 3), "f", 2)
    >>> [(layer.size, layer.in_axes) for layer in layers([v, m], (7, 5))]
    [(7, (0, None)), (5, (None, 0))]
    """
    found: list[Layer] = []
    for axis in range(-max(len(batch), len(names), len(spmd_names)), 0):
        size = batch[axis] if -axis <= len(batch) else 1
        name = names[axis] if -axis <= len(names) else None
        spmd_name = spmd_names[axis] if -axis <= len(spmd_names) else None
        if size == 1 and name is None and not any(is_mapped_along(leaf, axis) for leaf in leaves):
            continue
        in_axes = tuple([in_axis(leaf, axis) for leaf in leaves])
        found.append(Layer(size, axis, in_axes, name, spmd_name))
    return tuple(found)


def in_axis(leaf: Leaf, axis: int) -> int | None:
    """The dim that the layer of a batch axis maps, None where it does not map the leaf.

    The outer layers have taken their dims away by then, and dims of size 1 are squeezed.

    >>> in_axis(Leaf("x", (7, 5, 3), "f", 1), -1)
    0
    >>> in_axis(Leaf("x", (5, 3, 7), "f", 1, placed=((-1, 5), (None, 3), (-2, 7))), -2)
    2
    """
    if not is_mapped_along(leaf, axis):
        return None
    if leaf.placed is None:  # all that lies to the left in the block is of outer layers
        return leaf.position
    before = leaf.axes[: leaf.array_dim(axis)]
    return sum(x is None or (x > axis and is_mapped_along(leaf, x)) for x in before)


def is_mapped_along(leaf: Leaf, axis: int) -> bool:
    """Whether a leaf is mapped along a batch axis: it has a dim there, and that is not 1."""
    dim = leaf.size(axis)
    return dim is not None and bool(dim != 1 or leaf.fixed)


def squeezed(leaf: Leaf) -> tuple[int, ...]:
    """The batch dims of size 1, which are squeezed before anything is mapped."""
    if leaf.fixed:
        return ()
    dims = enumerate(zip(leaf.axes, leaf.sizes, strict=True))
    return tuple(dim for dim, (axis, size) in dims if axis is not None and size == 1)


def leaf_steps(leaf: Leaf, lacking: Sequence[tuple[int, Dim]] = ()) -> Steps:
    """What is done to a leaf whose dims lie as it says: sizes of 1 go, an index is folded in.

    `lacking` are the batch axes of a key along which an example's index is folded in.

    >>> leaf_steps(Leaf("x", (7, 1, 3), "float32", 1))
    (Squeeze(dims=(1,)),)
    >>> leaf_steps(Leaf("key", (1, 4), "key<fry>", 0, key=True), [(-2, 5)])
    (Squeeze(dims=(0,)), FoldIn(axes=((-2, 5),), held=(-1,), position=0))
    """
    ones = squeezed(leaf)
    steps: Steps = (Squeeze(ones),) if ones else ()
    if not lacking:
        return steps
    held = [axis for dim, axis in enumerate(leaf.axes) if axis is not None and dim not in ones]
    return (*steps, FoldIn(tuple(lacking), tuple(held), leaf.position))
