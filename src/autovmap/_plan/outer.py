"""Groups of arguments whose batch axes lie side by side, as in `np.ufunc.outer`."""

from collections.abc import Sequence
from dataclasses import replace

from autovmap._plan.leaf import Leaf, account
from autovmap.errors import BatchShapeError


def outer(
    leaves: Sequence[Leaf], groups: Sequence[int | None], count: int, function: str
) -> list[Leaf]:
    """Move each group's batch axes to the left of those of the groups behind it.

    `groups` says the group of each leaf. A group has as many batch axes as its deepest leaf.

    >>> x, y = Leaf("x", (5,), "f", 0), Leaf("y", (4, 3), "f", 0)
    >>> [leaf.offset for leaf in outer([x, y], [0, 1], 2, "f")]
    [2, 0]

    Raises:
        BatchShapeError: a leaf of no group has batch dims.
    """
    depth = [0] * count
    for leaf, group in zip(leaves, groups, strict=True):
        if group is not None:
            depth[group] = max(depth[group], leaf.batch_ndim)
        elif leaf.batch_ndim:
            raise BatchShapeError(
                f"{function}(): {leaf.path} has batch dims, but outer() does not say which group "
                f"it belongs to\n  {account(leaf)}\nName it, alone or in a tuple with others"
            )
    offsets = [sum(depth[group + 1 :]) for group in range(count)]
    return [
        leaf if group is None else replace(leaf, offset=offsets[group])
        for leaf, group in zip(leaves, groups, strict=True)
    ]
