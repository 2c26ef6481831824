"""How the tests of messages ask what a message must hold."""

import re


def says(*parts: str) -> str:
    """A pattern for `pytest.raises(match=)`: all of these texts, in any order, notes included."""
    return r"(?s)\A" + "".join(f"(?=.*{re.escape(part)})" for part in parts)
