"""Which known name a mistyped one was meant to be."""

import difflib
from collections.abc import Hashable, Iterable

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
