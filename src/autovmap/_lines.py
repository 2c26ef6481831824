"""Messages: in lines that terminals and pages show whole, with values and near names in them."""

import difflib
import re
from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import Any, cast

WIDTH = 92
"""The longest line of a message, where it can be broken."""

A_LINE = 3.0
"""What one more line costs, in the units of `_cost`: about as much as a break within a clause."""

SHORT = 0.05
"""What each column costs that a message's first line leaves free: a log may show it alone."""

SMALL = re.compile(
    r"(?i)\(?(an?|the|of|to|in|on|at|by|for|or|and|is|be|no|not|its|as|with|from|that|which|but)"
)
"""Words that belong to the next one."""


WHOLE = re.compile(
    "vmap got inconsistent sizes for array axes to be mapped|map its argument along axis"
    "|entries corresponding to the positional arguments|inconsistent size for core dimension"
    "|does not have enough dimensions for all core dimensions|does not match core dimensions"
    "|output must be a tuple when multiple outputs are expected|require rank promotion"
    "|wrong number of output arguments|wrong number of positional arguments"
    "|contains negative numbers|jax.numpy.vectorize can only exclude integer or string arguments"
    "|not a valid gufunc signature"
)
"""JAX's own words for what it refuses too. Other people's tests look for them, on one line."""


def wrapped(text: str, before: int = 0) -> str:
    """A message in lines that terminals and pages show whole.

    A long line is broken between its clauses rather than within them, and not between a name and
    its number, within brackets or within a quotation, where there is another way. Lines that are
    set in (tables, carets, code) stay as they are. `before` is the width of what stands in front
    of the first line, as the name of an error does.

    >>> print(wrapped("f(): " + 9 * "a word " + "and one; " + 5 * "more words " + "(at the end)"))
    f(): a word a word a word a word a word a word a word a word a word and one;
    more words more words more words more words more words (at the end)
    """
    first, *rest = text.split("\n")
    lines = _lines(first, WIDTH - before, SHORT)
    for line in rest:
        lines += _lines(line, WIDTH)
    return "\n".join(lines)


def _lines(line: str, room: int, short: float = 0.0) -> list[str]:
    """A line in parts of at most `WIDTH`, the first of at most `room`, by the cheapest breaks.

    `short` is what a column costs by which the first part is shorter than it may be.
    """
    if len(line) <= room or line.startswith("  "):
        return [line]
    breaks = [0, *_breaks(line)]
    within = _within(line)
    cost = [0.0, *(_cost(line, at, within[at]) for at in breaks[1:])]
    breaks.append(len(line) + 1)
    cost.append(0.0)
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(breaks)):
        options: list[tuple[float, int]] = []
        for start in reversed(range(end)):
            length = breaks[end] - 1 - breaks[start]
            over = length - (WIDTH if start else room)
            if over > 0 and start < end - 1:  # what can't be broken runs over
                break  # a line that begins further ahead is longer still
            last = end == len(breaks) - 1
            line_cost = A_LINE + max(over, 0) + 2 * (last and length < WIDTH / 6)
            line_cost += 0 if start else short * max(-over, 0)
            options.append((best[start][0] + line_cost + cost[end], -start))
        total, start = min(options)  # of equals the one with the longer lines in front
        best.append((total, -start))
    ends = [len(breaks) - 1]
    while ends[-1]:
        ends.append(best[ends[-1]][1])
    ends.reverse()
    return [line[breaks[a] : breaks[b] - 1] for a, b in pairwise(ends)]


def _breaks(line: str) -> list[int]:
    """Where a next line may begin: behind each space between words, but for known phrases."""
    whole = [found.span() for found in WHOLE.finditer(line)]
    spaces = (found.start() for found in re.finditer(r"(?<=\S) (?=\S)", line))
    return [at + 1 for at in spaces if not any(a <= at < b for a, b in whole)]


def _cost(line: str, at: int, grouped: bool) -> float:
    """What it costs to begin a new line at `at`: little behind a clause, much within a group."""
    word = line[line.rfind(" ", 0, at - 1) + 1 : at - 1]
    end = line.find(" ", at)
    after = line[at : end if end >= 0 else None]
    within = 12.0 * grouped
    if word.endswith((";", ".", "?")) and not word.endswith("..."):
        return within
    if word.endswith(":") and not re.match(r"(int|bool|str|Callable|Float)\b", after):
        number, head = re.match(r"[-\d(\[]", after), word.endswith("):")
        return within + (8 if number else 4 if head else 1)
    if word.endswith(","):
        return within + 1 + 2 * after.endswith(",")  # an insertion stays with what it explains
    close = 4 * (re.match(r"-?\d|['\"`\[{]|\(\S*\)", after) is not None or word.isdigit())
    apart = SMALL.fullmatch(after) is None  # "by two" begins a line better than "two" does
    return within + 3 + apart + close + 3 * (SMALL.fullmatch(word) is not None)


def _within(line: str) -> list[bool]:
    """Whether each place is within brackets or a quotation: told once, as messages may be long."""
    quoted = r"(?<!\w)(['\"`])[^'\"`]*\1(?!\w)|<\w[^<>]*>"
    plain = re.sub(quoted, lambda found: len(found[0]) * '"', line)
    depth, found = 0, [False]
    for character in plain:
        depth = max(depth + (character in "([{") - (character in ")]}"), 0)
        found.append(depth > 0 or character == '"')
    return found


MOST_TEXT = 200
"""Characters of a value's repr, which may hold arrays."""


def value_text(value: Any) -> str:
    """A value that a user gave, for a message: arrays in it by dtype and shape, never whole.

    >>> import numpy as np
    >>> value_text(np.ones((5, 3))), value_text([1, np.ones(2)]), value_text({"a": "x"})
    ('float64[5,3]', '[1, float64[2]]', "{'a': 'x'}")
    """
    if is_array(value):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if type(value) is list:
        return f"[{', '.join(map(value_text, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(value_text, value))}{',' * (len(value) == 1)})"
    if type(value) is dict:
        return f"{{{', '.join(f'{k!r}: {value_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, tuple) and (fields := getattr(value, "_fields", ())):
        entries = zip(fields, cast("tuple[Any, ...]", value), strict=True)
        return f"{type(value).__name__}({', '.join(f'{k}={value_text(v)}' for k, v in entries)})"
    text = " ".join(repr(value).split())
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."


def is_array(value: Any) -> bool:
    """Whether a value is an array of any library, by what it has."""
    if isinstance(value, type):
        return False
    return isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype")


CLOSE = 0.8
"""How alike two names are, from 0 to 1, for one to be a slip for the other."""


def did_you_mean(name: Hashable, known: Iterable[Hashable], what: str = "") -> str:
    """A question that names the one known name that is much like another, or nothing.

    >>> did_you_mean("out_axis", ["in_axes", "out_axes"], "the option ")
    "; did you mean the option 'out_axes'?"
    >>> did_you_mean("w", ["s", "v", "m"])
    ''
    """
    texts = [one for one in known if isinstance(one, str)]
    found = difflib.get_close_matches(name, texts, 1, CLOSE) if isinstance(name, str) else []
    return f"; did you mean {what}{found[0]!r}?" if found else ""
