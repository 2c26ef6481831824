"""How each output of a call is folded over batch axes: which dims, and how often each counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Dim, tuple_text
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import CallPlan
from autovmap._plan.plan import folded_axes as folded_axes
from autovmap._spec.fold import Combine, Fold, Reduce
from autovmap.errors import BatchShapeError

WITHOUT_IDENTITY = ("max", "min")


@dataclass(frozen=True, slots=True)
class FoldGroup(Group):
    """Outputs that are folded alike over some batch axes.

    `axes` are all axes that they depend on, folded or not: along a folded axis on which they do
    not depend they have no dim, and count as often as the axis has examples.
    """

    fold: Fold = "sum"
    over: frozenset[int] = frozenset()
    summed: bool = False
    """Whether the nest may give them summed, a dim of 1 along each axis: see `reduce_gradient`."""
    unit: int | None = None
    """Tells apart the parts of a result that a `combine` takes as one value each."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What is left of a plan once axes are folded: its other batch axes, counted anew."""

    over: frozenset[int]
    plan: CallPlan

    def axis(self, axis: int) -> int:
        """A batch axis that is not folded, as it is counted once the others are gone."""
        return axis + sum(axis < other for other in self.over)

    def group(self, group: Group) -> Group:
        """The group of a folded output in the plan that is left."""
        axes = group.axes or frozenset()
        return Group(group.position, frozenset(map(self.axis, axes - self.over)))


def left(plan: CallPlan, over: Collection[int]) -> Folded:
    """What is left of a plan once axes are folded.

    >>> from autovmap._plan.leaf import Leaf
    >>> from autovmap._plan.plan import make_plan
    >>> from autovmap._spec.options import Options
    >>> plan = make_plan("f", [Leaf("x", (5, 4, 3), "float32", 0)], Options())
    >>> kept = left(plan, {-2})
    >>> kept.plan.batch_shape, [layer.axis for layer in kept.plan.layers], kept.axis(-3)
    ((5, 3), [-2, -1], -2)
    """
    folded = Folded(frozenset(over), plan)
    sizes = tuple(
        plan.batch_shape[axis] for axis in range(-len(plan.batch_shape), 0) if axis not in over
    )
    layers = tuple(
        replace(layer, axis=folded.axis(layer.axis))
        for layer in plan.layers
        if layer.axis not in over
    )
    return Folded(frozenset(over), replace(plan, batch_shape=sizes, layers=layers))


def dims_of(group: Group, layers: Sequence[Layer], ndim: int) -> dict[int, int]:
    """For each batch axis of a nest's output of `ndim` dims, the dim that lies along it.

    >>> dims_of(Group(1), [Layer(5, -2, (0,)), Layer(3, -1, (0,))], 4)
    {-2: 1, -1: 2}
    """
    if group.position is None:
        return {}
    made = [layer.axis for layer in layers if group.has(layer)]
    start = block_start(group.position, ndim, len(made))
    return {axis: start + i for i, axis in enumerate(made)}


def examples_in(axes: Collection[int], sizes: Mapping[int, Any]) -> Any:
    """How many examples some batch axes have together."""
    count: Dim = 1
    for axis in sorted(axes):
        count = count * sizes[axis]
    return count


def refuse_empty(plan: CallPlan, reduce: Reduce, fold: Fold, over: Collection[int]) -> None:
    """Refuse the maximum or minimum of no examples, as jax.numpy does."""
    if isinstance(fold, Combine) or fold not in WITHOUT_IDENTITY:
        return
    for axis in sorted(over):
        if plan.batch_shape[axis] == 0:
            raise BatchShapeError(
                f"{plan.function}.reduce({reduce}): batch axis {axis} has size 0 in the batch "
                f"shape {tuple_text(plan.batch_shape)}, and there is no {fold} of no examples "
                f"(jnp.{fold}: a zero-size array has no identity); fold another axis, or leave "
                f"out empty batches"
            )
