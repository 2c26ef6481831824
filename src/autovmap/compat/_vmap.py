"""What the two `vmap` interfaces share: `in_axes` and the like become a spec and options."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from autovmap._bind.kinds import shown
from autovmap._bind.trees import one_level
from autovmap._frames import interface, leave_out_frames
from autovmap._function.decorated import AutoVmapped
from autovmap._function.engine import Engine
from autovmap._function.identity import shown_name
from autovmap._lines import value_text
from autovmap._spec.options import Extent
from autovmap._spec.ranks import UNMAPPED, OneBatch, Tree
from autovmap._spec.reading import read_axes
from autovmap._spec.spec import Declaration
from autovmap._ways.options import Chunk, Ways
from autovmap.compat._words import check_entries, in_words_of
from autovmap.errors import SpecError

SIGNATURE = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.POSITIONAL_ONLY),
        inspect.Parameter("kwargs", inspect.Parameter.POSITIONAL_ONLY),
    ]
)


def one_axis(
    function: Callable[..., Any],
    in_axes: Any,
    *,
    option: str,
    keywords: Tree,
    unmapped: Tree = UNMAPPED,
    options: Mapping[str, Any],
    size: int | None = None,
    chunk: Chunk | None = None,
) -> Callable[..., Any]:
    """`function` mapped over one axis of each argument.

    Args:
        function: the function to map.
        in_axes: an int or None for all arguments, or a tuple or list with an entry for each; an
            entry is an int, None, or a pytree prefix of the argument.
        option: what the caller calls `in_axes`, for messages.
        keywords: how keyword arguments are mapped.
        unmapped: what None in `in_axes` stands for.
        options: options of `auto_vmap`.
        size: the size of the mapped axis, given up front.
        chunk: how many examples run at once, if not all.
    """
    if not callable(function):
        raise SpecError(f"vmap maps a callable, but got {shown(function)}")
    raw = tuple(in_axes) if isinstance(in_axes, list) else in_axes
    if not (raw is None or isinstance(raw, (int, tuple))):
        raise SpecError(
            f"vmap: {option} is {value_text(in_axes)}; it must be an int, None, a tuple or a list"
        )
    name = shown_name(function)
    ranks = {"args": read_axes(raw, option, one_level, unmapped), "kwargs": keywords}
    extent = Extent(size=size, required=True)
    declared = Declaration(named=options, ranks=ranks, extent=extent)
    with in_words_of(option):
        mapped = AutoVmapped[..., Any](
            Engine(_Spread(function), declared, Ways(chunk=chunk), SIGNATURE, function)
        )

    @functools.wraps(function)
    def vmapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with in_words_of(option):
                check_entries(raw, args, option, name)
                return mapped(args, kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise

    @interface
    def plan(*args: Any, **kwargs: Any) -> Any:
        with in_words_of(option):
            check_entries(raw, args, option, name)
            return mapped.plan(args, kwargs)

    cast("Any", vmapped).plan = plan
    return vmapped


class _Spread:
    """A function of all arguments as one tuple and one dict, as their axes are said of these."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> Any:
        return self.function(*args, **kwargs)


KEYWORDS_MAPPED = OneBatch(0)
KEYS_COUNTED = OneBatch(None)
