"""Messages in lines that terminals and pages show whole."""

import re
from typing import Any

WIDTH = 92
"""The longest line of a message, where it can be broken."""


def wrapped(text: str, before: int = 0) -> str:
    """A message in lines that terminals and pages show whole.

    A long line is broken between its clauses, or else at a space, not within brackets. Lines that
    are set in (tables, carets, code) stay as they are. `before` is what stands before the first
    line, as the name of an error does.

    >>> print(wrapped("f(): " + 9 * "a word " + "and one; " + 5 * "more words " + "(at the end)"))
    f(): a word a word a word a word a word a word a word a word a word and one;
    more words more words more words more words more words (at the end)
    """
    first, *rest = text.split("\n")
    lines = _parts(first, WIDTH - before)
    for line in rest:
        lines += _parts(line, WIDTH)
    return "\n".join(lines)


def _parts(line: str, room: int) -> list[str]:
    parts: list[str] = []
    while len(line) > room and not line.startswith("  "):
        at = _break(line, room)
        if at is None:
            break
        parts.append(line[:at])
        line, room = line[at + 1 :], WIDTH
    return [*parts, line]


def _break(line: str, room: int) -> int | None:
    """The space at which a line is best broken: of the later ones, one that ends a clause."""
    depth = 0
    spaces: list[int] = []
    for i, character in enumerate(line[: room + 1]):
        depth += (character in "([{") - (character in ")]}")
        if character == " " and depth <= 0 and i:
            spaces.append(i)
    if not spaces:
        found = line.rfind(" ", 1, room + 1)
        return found if found > 0 else None
    late = [i for i in spaces if i >= room // 2]
    for ends in (";.?", ",:"):
        clauses = [i for i in late if line[i - 1] in ends and not _is_code(line, i)]
        if clauses:
            return clauses[-1]
    return spaces[-1]


def _is_code(line: str, at: int) -> bool:
    """Whether a space belongs to an annotation, as in `n: int`."""
    return re.search(r"(?:^| )\w+:$", line[:at]) is not None and line[at + 1 : at + 4] == "int"


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
    return repr(value)


def is_array(value: Any) -> bool:
    """Whether a value is an array of any library, by what it has."""
    if isinstance(value, type):
        return False
    return isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype")
