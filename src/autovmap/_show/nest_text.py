"""Nested `jax.vmap` calls as Python text."""

import itertools
from collections.abc import Sequence
from typing import TypeAlias

from autovmap._plan.layers import Layer

WIDTH, MOST_ENTRIES = 88, 8
Entry: TypeAlias = int | Sequence[int | None] | None
"""The axes of one argument: of a leaf, or of each leaf in a list."""


def axes_text(entries: Sequence[Entry]) -> str:
    """The axes of some arguments, as short as `jax.vmap` allows.

    >>> axes_text([0, [0, 0]]), axes_text([0, [1, None]]), axes_text([[1, 0]])
    ('0', '(0, [1, None])', '([1, 0],)')
    """
    texts = [entry_text(entry) for entry in entries]
    if len(set(texts)) <= 1 and not any(text.startswith("[") for text in texts):
        return texts[0] if texts else "0"
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def entry_text(entry: Entry) -> str:
    """The axes of one argument.

    >>> entry_text(None), entry_text([0, 0]), entry_text([0, None])
    ('None', '0', '[0, None]')
    >>> entry_text([0] * 9 + [None])
    '[0] * 9 + [None]'
    """
    if entry is None or isinstance(entry, int):
        return repr(entry)
    if len(set(entry)) == 1:
        return repr(entry[0])
    if len(entry) <= MOST_ENTRIES:
        return f"[{', '.join(map(repr, entry))}]"
    runs = [(axis, len(list(run))) for axis, run in itertools.groupby(entry)]
    return " + ".join(f"[{axis}]" + (f" * {n}" if n > 1 else "") for axis, n in runs)


def keywords_text(layer: Layer, in_axes: str, out_axes: str) -> str:
    """What follows the function in one `jax.vmap(...)`, defaults left out."""
    parts: list[str] = []
    if in_axes != "0":
        parts.append(f"in_axes={in_axes}")
    if out_axes != "0":
        parts.append(f"out_axes={out_axes}")
    if layer.unmapped:
        parts.append(f"axis_size={layer.size}")
    if layer.name is not None:
        parts.append(f"axis_name={layer.name!r}")
    if layer.spmd_name is not None:
        parts.append(f"spmd_axis_name={layer.spmd_name!r}")
    return "".join(f", {part}" for part in parts)


def nested(function: str, keywords: Sequence[str]) -> str:
    """The whole nest as one expression; the first keywords are the outermost layer's."""
    for keyword in reversed(keywords):
        function = f"jax.vmap({function}{keyword})"
    return function


def applied(
    function: str, keywords: Sequence[str], arguments: str, head: str, name: str
) -> list[str]:
    """Lines that call a nest and begin the last with `head`: one if it fits, or one a layer."""
    line = f"{head}{nested(function, keywords)}({arguments})"
    if len(line) + 4 <= WIDTH:
        return [line]
    lines: list[str] = []
    for keyword in reversed(keywords):
        lines.append(f"{name} = jax.vmap({function}{keyword})")
        function = name
    return [*lines, f"{head}{function}({arguments})"]
