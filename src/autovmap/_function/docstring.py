"""The line in a decorated function's docstring that says what broadcasts."""

import re
from typing import Any

from autovmap._spec.ranks import is_mapped, plain
from autovmap._spec.spec import Spec

OPENING = "Batch dims "
MOST_TEXT = 72
SECTION = re.compile(r"^[ \t]*\S[^\n]*\n[ \t]*-{3,}[ \t]*$", re.MULTILINE)
"""A heading as numpydoc has it: all that follows is taken for part of its section."""


def show_docstring(decorated: Any, line: str | None, function: Any) -> None:
    """Give a decorated object the function's docstring with the line in it.

    A function without a docstring of its own keeps having none.
    """
    text = getattr(function, "__doc__", None)
    if line is not None and isinstance(text, str) and text != type(function).__doc__:
        decorated.__doc__ = with_line(text, line)


def with_line(text: str, line: str) -> str:
    """A docstring with a paragraph more: the last, or the last before numpydoc's sections.

    >>> print(with_line("The sum.", "Batch dims broadcast."))
    The sum.
    <BLANKLINE>
    Batch dims broadcast.
    """
    if not text.strip():
        return text
    said = re.search(rf"^[ \t]*{OPENING}.*``\.$", text, re.MULTILINE)
    if said is not None:  # of a function that is decorated twice the outer ranks are true
        start = said.start() + len(said[0]) - len(said[0].lstrip())
        return text[:start] + line + text[said.end() :]
    margin = _margin(text)
    section = SECTION.search(text)
    if section is not None:
        head, rest = text[: section.start()].rstrip(), text[section.start() :]
        return f"{head}\n\n{margin}{line}\n\n{rest}" if head else f"{line}\n\n{rest}"
    body = text.rstrip()
    ending = text[len(body) :]
    return f"{body}\n\n{margin}{line}{ending}"


def _margin(text: str) -> str:
    """The indentation that all lines but the first have in common, as `inspect.cleandoc` has it."""
    lines = [line.expandtabs() for line in text.splitlines()[1:] if line.strip()]
    return " " * min((len(line) - len(line.lstrip()) for line in lines), default=0)


def line_of(told: Spec) -> str | None:
    """What broadcasts in calls under a spec, or None where nothing does.

    Between double backquotes, so that reST and Markdown take no sign in it for one of theirs.
    """
    ranks = [f"{p.name}={_short(plain(p.rank))}" for p in told.parameters if is_mapped(p.rank)]
    if told.unread:
        ranks.append("...")
    if not ranks:
        return None
    how = "are equal or absent" if told.options.strict else "broadcast"
    if told.signature is not None:
        return f"{OPENING}{how}, around the core dims of ``{told.signature}``."
    return f"{OPENING}{how}; the base ranks are ``{_cut(', '.join(ranks))}``."


def line_of_pattern(pattern: str) -> str:
    """The same under a pattern."""
    return f"{OPENING}are those of the pattern ``{' '.join(pattern.split())}``."


def _short(rank: Any) -> str:
    text = repr(rank)
    return text if len(text) <= MOST_TEXT // 2 else f"{text[: MOST_TEXT // 2]}..."


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}..."
