"""How the tests of messages ask what a message must hold."""

import re


def says(*parts: str) -> str:
    """A pattern for `pytest.raises(match=)`: all of these texts, in any order, notes included.

    Where a text has a space, a message may begin a new line.
    """
    return r"(?s)\A" + "".join(f"(?=.*{words(part)})" for part in parts)


def words(text: str) -> str:
    """A pattern for a text that may be broken at its spaces."""
    return re.escape(text).replace(r"\ ", r"\s+")
