"""The errors of autovmap: one hierarchy, each also the builtin that Python would raise.

>>> issubclass(SpecError, TypeError), issubclass(BatchShapeError, ValueError)
(True, True)
"""

from typing import Any


class AutoVmapError(Exception):
    """Any mistake that autovmap finds by itself."""


class SpecError(AutoVmapError, TypeError):
    """A declaration is malformed, or an argument has not the structure or type it asks for."""


class RankError(AutoVmapError, ValueError):
    """An array has fewer dims than its base rank."""


class BatchShapeError(AutoVmapError, ValueError):
    """The batch shapes of two arguments do not broadcast.

    `leaves` are the leaves of the call, and `axis` is the batch axis along which two of them
    clash; None where the mistake is of another kind.
    """

    leaves: tuple[Any, ...] = ()
    axis: int | None = None


class CoreSizeError(AutoVmapError, ValueError):
    """A core dim has another size than its name or number says."""
