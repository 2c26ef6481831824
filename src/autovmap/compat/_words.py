"""What is refused under a foreign interface, in that interface's words."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from autovmap._lines import value_text
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
        "\nGive them equal batch shapes, or give one of them no batch dims", _remedy(option)
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


def _remedy(option: str) -> str:
    return f"\nGive them axes of the same size, or share one of them with None in {option}"


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
