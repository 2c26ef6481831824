"""The plan of one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from autovmap._plan.broadcast import batch_shape
from autovmap._plan.core import NO_SIZES, CoreSizes
from autovmap._plan.extent import extended
from autovmap._plan.keys import Fold, folded, folds
from autovmap._plan.layers import Layer, layers, squeezed
from autovmap._plan.leaf import Leaf, Shape
from autovmap._plan.strict import promotion, refuse_stretching
from autovmap._spec.extent import NO_EXTENT, Extent
from autovmap._spec.options import Options


@dataclass(frozen=True)
class PlanData:
    """What a call will do, as data: frozen and hashable."""

    function: str
    batch_shape: Shape
    leaves: tuple[Leaf, ...]
    layers: tuple[Layer, ...]
    folds: tuple[Fold, ...]
    """The keys into which an example's index is folded, before anything else."""
    squeezes: tuple[tuple[int, ...], ...]
    """A row a leaf: the dims of the array that are squeezed first."""
    mapped: tuple[int, ...]
    """Which leaves at least one layer maps; the others are bound by closure."""
    core: CoreSizes = NO_SIZES
    """The sizes of the named core dims."""
    promotion: str | None = None
    """What to say of this call where rank promotion is not allowed, or None."""

    @cached_property
    def mapped_leaves(self) -> tuple[Leaf, ...]:
        """The leaves as they are mapped, once keys are folded."""
        return folded(self.leaves, self.batch_shape, self.folds)

    @cached_property
    def squeezed(self) -> tuple[int, ...]:
        """Which leaves have a dim that is squeezed."""
        return tuple(i for i, dims in enumerate(self.squeezes) if dims)

    @cached_property
    def unmapped_axes(self) -> tuple[int, ...]:
        """The batch axes that get no layer, as they are 1 for every leaf."""
        made = {layer.axis for layer in self.layers}
        return tuple(axis for axis in range(-len(self.batch_shape), 0) if axis not in made)

    @cached_property
    def exact(self) -> bool:
        """Whether the layers make just the batch dims of the result: none too few or too many."""
        return len(self.layers) == len(self.batch_shape) and not self.unmapped_axes

    @cached_property
    def named(self) -> bool:
        """Whether a layer has an axis name."""
        return any(layer.name is not None for layer in self.layers)

    @cached_property
    def plain(self) -> bool:
        """Whether the layers are all there is to do: no key is folded, no axis has a name."""
        return not self.folds and not self.named

    @cached_property
    def trivial(self) -> bool:
        """Whether the function is called as it is."""
        return not self.layers and not self.batch_shape


def make_plan(
    function: str,
    leaves: Sequence[Leaf],
    options: Options,
    extent: Extent = NO_EXTENT,
    core: CoreSizes = NO_SIZES,
) -> PlanData:
    """Plan a call from its leaves' shapes.

    >>> plan = make_plan("f", [Leaf("x", (1, 4), "float32", 0)], Options())
    >>> plan.batch_shape, [layer.axis for layer in plan.layers], plan.unmapped_axes
    ((1, 4), [-1], (-2,))
    """
    if options.strict:
        refuse_stretching(leaves, function)
    batch = extended(batch_shape(leaves, function, options.axis_name), extent, function)
    found = folds(leaves, batch, options.randomness, function, extent.prepended)
    rows = folded(leaves, batch, found)
    nest = layers(rows, batch, options.axis_name, options.spmd_axis_name)
    return PlanData(
        function=function,
        batch_shape=batch,
        leaves=tuple(leaves),
        layers=nest,
        folds=found,
        squeezes=tuple(squeezed(leaf) for leaf in rows),
        mapped=tuple(
            i for i in range(len(rows)) if any(layer.in_axes[i] is not None for layer in nest)
        ),
        core=core,
        promotion=promotion(leaves, function),
    )
