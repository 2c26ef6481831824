"""Which batch axes a call folds."""

from collections.abc import Hashable, Sequence

from autovmap._plan.broadcast import axis_text
from autovmap._plan.leaf import tuple_text
from autovmap._plan.plan import PlanData
from autovmap._spec.fold import Reduce
from autovmap.errors import BatchShapeError


def folded_axes(plan: PlanData, reduce: Reduce, names: Sequence[Hashable]) -> frozenset[int]:
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
