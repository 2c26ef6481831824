"""Tracebacks that end at the user's line: the library's own frames are left out of them.

As JAX does with its own. What a traceback is for is the caller's line and, where the function
itself raised, the lines in it; what lies between is ours. `jax_traceback_filtering="off"` keeps
all frames, here as there.

At each interface an exception is caught, its traceback rebuilt, and raised again by a bare
`raise`, which adds no frame: so the interface's own frame is left out too.
"""

import functools
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

import jax

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")

PACKAGE = os.path.dirname(__file__) + os.sep


JAX = os.path.dirname(jax.__file__) + os.sep


def warn(message: str) -> None:
    """Warn at the user's line: the first one outside this library and JAX.

    How many frames lie between depends on JAX's version and on the way of running, so no fixed
    number for `stacklevel` finds it.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith((PACKAGE, JAX)):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def leave_out_frames(error: BaseException) -> None:
    """Take the library's frames out of an exception's traceback, and of those it came from.

    Called where the exception is caught, right before a bare `raise`.
    """
    if cast("Any", jax.config).jax_traceback_filtering == "off":
        return
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _outside(one.__traceback__)
        left += (one.__cause__, one.__context__)


def _outside(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without the library's frames."""
    kept: list[TracebackType] = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(PACKAGE):
            kept.append(traceback)
        traceback = traceback.tb_next
    found: TracebackType | None = None
    for one in reversed(kept):
        found = TracebackType(found, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return found


def outside_frames(values: Iterator[V]) -> Iterator[V]:
    """The same values; what is raised on the way to one begins at the loop over them."""
    try:
        yield from values
    except Exception as error:
        leave_out_frames(error)
        raise


def interface(function: F) -> F:
    """A function of the interface: what it raises begins at its caller.

    Calls themselves catch exceptions in place, as a frame more costs time there.
    """

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise

    return cast("F", called)
