"""The plan of one call."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from autovmap._plan.broadcast import batch_shape
from autovmap._plan.core import NO_SIZES, CoreSizes
from autovmap._plan.extent import extended
from autovmap._plan.keys import folded, folds
from autovmap._plan.layers import Layer, layers
from autovmap._plan.leaf import Leaf, Shape
from autovmap._plan.outputs import Group, output_steps
from autovmap._plan.steps import FoldIn, Squeeze, Steps, leaf_steps
from autovmap._plan.strict import promotion, refuse_stretching
from autovmap._spec.extent import NO_EXTENT, Extent
from autovmap._spec.options import Options


@dataclass(frozen=True)
class PlanData:
    """What a call will do, as data: frozen and hashable.

    First each leaf's `before` is done, then the `layers` map what is left, and at last each output
    has the steps that `after` says of its group.
    """

    function: str
    batch_shape: Shape
    leaves: tuple[Leaf, ...]
    layers: tuple[Layer, ...]
    before: tuple[Steps, ...]
    """A row a leaf: what is done to it before it is mapped."""
    core: CoreSizes = NO_SIZES
    """The sizes of the named core dims."""
    promotion: str | None = None
    """What to say of this call where rank promotion is not allowed, or None."""
    maps_numbers: bool = False
    """Whether a number inside an object of the result gets batch dims, as under `jax.vmap`."""
    pattern: str | None = None
    """The text that says where each axis lies, where there is one."""
    parts: tuple[Group, ...] = ()
    """The group of each part of the result, where it is the plan that knows them."""

    @cached_property
    def mapped(self) -> tuple[int, ...]:
        """Which leaves at least one layer maps; the others are bound by closure."""
        found = {i for la in self.layers for i, axis in enumerate(la.in_axes) if axis is not None}
        return tuple(sorted(found))

    @cached_property
    def changed(self) -> tuple[int, ...]:
        """Which leaves have steps before the nest."""
        return tuple([i for i, steps in enumerate(self.before) if steps])

    def after(self, group: Group) -> Steps:
        """What is done to the outputs of a group behind the nest."""
        found = self._after.get(group)
        if found is None:
            sizes = dict(self.core.sizes)
            found = output_steps(group, self.layers, self.batch_shape, sizes)
            self._after[group] = found
        return found

    @cached_property
    def _after(self) -> dict[Group, Steps]:
        """What `after` said: it is asked at every call."""
        return {}

    @cached_property
    def behind(self) -> Steps:
        """What is done to outputs whose batch dims are in front, as most are."""
        return self.after(Group())

    @cached_property
    def unmapped_axes(self) -> tuple[int, ...]:
        """The batch axes that get no layer, as they are 1 for every leaf."""
        made = {layer.axis for layer in self.layers}
        return tuple(axis for axis in range(-len(self.batch_shape), 0) if axis not in made)

    @cached_property
    def plain(self) -> bool:
        """Whether there are but layers and squeezes: no key is folded, no axis has a name."""
        squeezes = all(isinstance(step, Squeeze) for steps in self.before for step in steps)
        return squeezes and all(layer.name is None for layer in self.layers)

    @cached_property
    def trivial(self) -> bool:
        """Whether the function is called as it is."""
        return not self.layers and not self.batch_shape

    def fold(self, row: int) -> FoldIn | None:
        """The step by which an example's index is folded into a leaf, if it is such a key."""
        return next((step for step in self.before[row] if isinstance(step, FoldIn)), None)


def make_plan(
    function: str,
    leaves: Sequence[Leaf],
    options: Options,
    extent: Extent = NO_EXTENT,
    core: CoreSizes = NO_SIZES,
) -> PlanData:
    """Plan a call from its leaves' shapes.

    >>> plan = make_plan("f", [Leaf("x", (1, 4), "float32", 0)], Options())
    >>> plan.batch_shape, [layer.axis for layer in plan.layers], plan.before
    ((1, 4), [-1], ((Squeeze(dims=(0,)),),))
    """
    if options.strict:
        refuse_stretching(leaves, function)
    batch = extended(batch_shape(leaves, function, options.axis_name), extent, function)
    lacks = folds(leaves, batch, options.randomness, function, extent.prepended)
    rows = [folded(leaf, batch) if i in lacks else leaf for i, leaf in enumerate(leaves)]
    return PlanData(
        function=function,
        batch_shape=batch,
        leaves=tuple(leaves),
        layers=layers(rows, batch, options.axis_name, options.spmd_axis_name),
        before=tuple([leaf_steps(leaf, lacks.get(i, ())) for i, leaf in enumerate(leaves)]),
        core=core,
        promotion=promotion(leaves, function),
        maps_numbers=extent.required,
    )
