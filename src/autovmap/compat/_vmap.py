"""What the two `vmap` interfaces share: axes become a spec and options, errors use their words."""

import functools
import inspect
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from autovmap._bind.kinds import shown
from autovmap._bind.trees import one_level
from autovmap._frames import interface, leave_out_frames
from autovmap._function.decorated import AutoVmapped
from autovmap._function.engine import Engine
from autovmap._function.identity import shown_name
from autovmap._lines import value_text
from autovmap._spec.declaration import Declaration
from autovmap._spec.options import Extent
from autovmap._spec.ranks import UNMAPPED, OneBatch, Tree
from autovmap._spec.reading import read_axes
from autovmap._ways.options import Chunk, Ways
from autovmap.errors import AutoVmapError, SpecError

FUNCTORCH = (("in_axes", "in_dims"), ("out_axes", "out_dims"), (", or give axis_size", ""))
STRICT = "strict=True lets nothing stretch (vmap never does), but"


@contextmanager
def in_words_of(option: str) -> Generator[None]:
    """Whatever autovmap raises inside, in the words of the interface whose `in_axes` is `option`.

    The class of an error and what it carries stay.
    """
    try:
        yield
    except AutoVmapError as error:
        error.reword(_said(error.message, option))
        raise


def _said(text: str, option: str) -> str:
    text = text.replace(STRICT, "vmap got inconsistent sizes for array axes to be mapped:")
    text = text.replace(
        "\nGive them equal batch shapes, or give one of them no batch dims",
        f"\nGive them axes of the same size, or share one of them with None in {option}",
    )
    if "kwargs[" in text and option == "in_axes":
        text += (
            "\nKeyword arguments are mapped over axis 0. To share one, pass it by position, with "
            "None in in_axes."
        )
    if option == "in_dims":
        for ours, theirs in FUNCTORCH:
            text = text.replace(ours, theirs)
    return text


def check_entries(axes: Any, args: tuple[Any, ...], option: str, function: str) -> None:
    """Refuse a tuple of `in_axes` that does not have an entry for each positional argument."""
    if isinstance(axes, tuple) and len(axes) != len(args):
        count = f"{len(axes)} entr{'y' if len(axes) == 1 else 'ies'}"
        given = f"{len(args)} positional argument{'s' * (len(args) != 1)}"
        raise SpecError(
            f"{function}(): {option} is {value_text(axes)}, a tuple of {count}, for {given}; give "
            f"a tuple of entries corresponding to the positional arguments, None for one that is "
            f"shared"
        )


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
