"""The plan of one call."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

from autovmap._plan.broadcast import axis_text, batch_shape, promotion, refuse_stretching
from autovmap._plan.core import NO_SIZES, CoreSizes
from autovmap._plan.keys import fold_ins, folded_in
from autovmap._plan.layers import Layer, layers, leaf_steps
from autovmap._plan.leaf import Leaf, Shape, shape_text, tuple_text
from autovmap._plan.outputs import Group, output_steps
from autovmap._plan.steps import FoldIn, Squeeze, Steps
from autovmap._spec.fold import Reduce
from autovmap._spec.options import NO_EXTENT, Extent, Options
from autovmap.errors import BatchShapeError, SpecError


@dataclass(frozen=True)
class CallPlan:
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

    def fold_in(self, row: int) -> FoldIn | None:
        """The step by which an example's index is folded into a leaf, if it is such a key."""
        return next((step for step in self.before[row] if isinstance(step, FoldIn)), None)


def make_plan(
    function: str,
    leaves: Sequence[Leaf],
    options: Options,
    extent: Extent = NO_EXTENT,
    core: CoreSizes = NO_SIZES,
) -> CallPlan:
    """Plan a call from its leaves' shapes.

    >>> plan = make_plan("f", [Leaf("x", (1, 4), "float32", 0)], Options())
    >>> plan.batch_shape, [layer.axis for layer in plan.layers], plan.before
    ((1, 4), [-1], ((Squeeze(dims=(0,)),),))
    """
    if options.strict:
        refuse_stretching(leaves, function)
    batch = extended(batch_shape(leaves, function, options.axis_name), extent, function)
    lacks = fold_ins(leaves, batch, options.randomness, function, extent.prepended)
    rows = [folded_in(leaf, batch) if i in lacks else leaf for i, leaf in enumerate(leaves)]
    return CallPlan(
        function=function,
        batch_shape=batch,
        leaves=tuple(leaves),
        layers=layers(rows, batch, options.axis_name, options.spmd_axis_name),
        before=tuple([leaf_steps(leaf, lacks.get(i, ())) for i, leaf in enumerate(leaves)]),
        core=core,
        promotion=promotion(leaves, function),
        maps_numbers=extent.required,
    )


def extended(batch: Shape, extent: Extent, function: str) -> Shape:
    """The batch shape of a call whose arguments broadcast to `batch`.

    >>> extended((3,), Extent(prepended=(10,)), "f"), extended((), Extent(size=4), "f")
    ((10, 3), (4,))
    """
    if extent.size is not None:
        if not batch:
            batch = (extent.size,)
        elif batch != (extent.size,):
            raise BatchShapeError(
                f"{function}(): the arguments' batch axis has size {shape_text(batch)}, but "
                f"axis_size is {extent.size}; leave axis_size out, or give it that size"
            )
    if extent.required and not batch:
        raise SpecError(
            f"{function}(): no argument is mapped, so the size of the batch is not known; map one, "
            f"or give axis_size"
        )
    return extent.prepended + batch


def folded_axes(plan: CallPlan, reduce: Reduce, names: Sequence[Hashable]) -> frozenset[int]:
    """The batch axes that a call folds, counted from the right.

    >>> from autovmap._plan.leaf import Leaf
    >>> from autovmap._plan.plan import make_plan
    >>> from autovmap._spec.options import Options
    >>> from autovmap._spec.ranks import Mark
    >>> plan = make_plan("f", [Leaf("x", (5, 4, 3), "float32", 0)], Options())
    >>> sorted(folded_axes(plan, Reduce(Mark("sum"), (0, -1)), ()))
    [-3, -1]

    Raises:
        BatchShapeError: the batch shape has no such axis, or one is given twice.
    """
    block = len(plan.batch_shape)
    if reduce.axes is None:
        return frozenset(range(-block, 0))
    found: list[int] = []
    for given in reduce.axes:
        if isinstance(given, int):
            if not -block <= given < block:
                raise BatchShapeError(
                    f"{plan.function}.reduce(axes={given}): the batch shape "
                    f"{tuple_text(plan.batch_shape)} has no axis {given}; "
                    + (f"give one from {-block} to {block - 1}" if block else "leave axes out")
                )
            found.append(given - block if given >= 0 else given)
        else:
            axis = names.index(given) - len(names)
            found += [axis] * (axis >= -block)  # one that the call lacks has a single example
    for axis in found:
        if found.count(axis) > 1:
            raise BatchShapeError(
                f"{plan.function}.reduce(): axes={reduce.axes!r} names {axis_text(axis, names)} "
                f"twice; an axis can be folded only once"
            )
    return frozenset(found)
