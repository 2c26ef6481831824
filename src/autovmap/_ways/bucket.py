"""The padded size of each batch axis of a call."""

from collections.abc import Mapping

from autovmap._plan.layers import is_mapped_along
from autovmap._plan.plan import CallPlan
from autovmap._ways.chunk import refuse_symbolic
from autovmap._ways.options import Bucket, is_whole
from autovmap.errors import SpecError


def padded_sizes(plan: CallPlan, bucket: Bucket) -> Mapping[int, tuple[int, int]]:
    """For each batch axis that is padded, its size and the padded one; none without examples.

    >>> from autovmap._plan.leaf import Leaf
    >>> from autovmap._plan.plan import make_plan
    >>> from autovmap._spec.options import Options
    >>> plan = make_plan("f", [Leaf("x", (5, 8), "float32", 0)], Options())
    >>> padded_sizes(plan, Bucket()), padded_sizes(plan, Bucket((6, 12)))
    ({-2: (5, 8)}, {-2: (5, 6), -1: (8, 12)})
    """
    refuse_symbolic(plan, "bucket")
    if any(size == 0 for size in plan.batch_shape):
        return {}
    found = {
        layer.axis: (int(layer.size), padded(int(layer.size), bucket, plan.function))
        for layer in plan.layers
        if not layer.unmapped
    }
    return {axis: sizes for axis, sizes in found.items() if sizes[0] != sizes[1]}


def padded(size: int, bucket: Bucket, function: str) -> int:
    """The smallest bucket that holds so many examples; beyond the largest, the size itself.

    A size of 1 stays: padded, an axis that is not mapped would become one that is.

    >>> [padded(size, Bucket(), "f") for size in (1, 2, 3, 8, 9)]
    [1, 2, 4, 8, 16]
    """
    if size == 1:
        return 1
    sizes = bucket.sizes
    if sizes is None:
        return 1 << (size - 1).bit_length()
    if isinstance(sizes, tuple):
        return next((found for found in sizes if found >= size), size)
    found = sizes(size)
    if not is_whole(found) or found < size:
        raise SpecError(
            f"{function}.bucket(): sizes({size}) is {found!r}; the function must take a batch size "
            f"and return the padded size, an int no smaller than it"
        )
    return int(found)


def padded_dims(plan: CallPlan, row: int, sizes: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """The dims of a leaf's array that are padded, each with its new size."""
    leaf = plan.leaves[row]
    return {
        leaf.array_dim(axis): new for axis, (_, new) in sizes.items() if is_mapped_along(leaf, axis)
    }
