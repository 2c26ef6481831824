"""What a caller says of the batch, beside the arguments: batch axes of its own, and groups."""

import numbers
from dataclasses import dataclass
from typing import Any

from autovmap._lines import value_text
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class Extent:
    """Batch axes that no argument brings, and how the arguments' own lie to each other."""

    prepended: tuple[int, ...] = ()
    """Sizes of batch axes to the left of the arguments' own (`f.batch`)."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Parameters whose batch axes broadcast among themselves, group beside group (`f.outer`)."""
    size: Any = None
    """The size of the one batch axis, given up front (`axis_size` of `jax.vmap`)."""
    required: bool = False
    """Whether a call without any batch dim is a mistake (it is one to `jax.vmap`)."""

    def group_of(self, parameter: str) -> int | None:
        """The group of a parameter, if it has one."""
        for i, group in enumerate(self.groups):
            if parameter in group:
                return i
        return None


NO_EXTENT = Extent()


def checked_sizes(shape: tuple[Any, ...], function: str) -> tuple[int, ...]:
    """The sizes of batch axes that a caller gave, as ints."""
    for size in shape:
        if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 0:
            raise SpecError(
                f"{function}.batch(): got {value_text(size)} of type {type(size).__name__}; give "
                f"the sizes of the new batch axes as non-negative ints, as in .batch(100, 3)"
            )
    return tuple(int(size) for size in shape)
