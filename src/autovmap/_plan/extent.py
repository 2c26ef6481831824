"""The batch shape of a call, with what the caller says of it beside the arguments."""

from autovmap._plan.leaf import Shape, shape_text
from autovmap._spec.extent import Extent
from autovmap.errors import BatchShapeError, SpecError


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
