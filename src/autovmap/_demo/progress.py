"""A line on stderr for whatever takes longer than a second."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from threading import Timer


@contextmanager
def progress(doing: str, after: float = 1.0) -> Generator[None, None, None]:
    """Say what is being done, once it has taken `after` seconds, and not at all before.

    >>> with progress("counting to three"):
    ...     sum(range(3))
    3
    """
    timer = Timer(after, _say, [doing])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say(doing: str) -> None:
    print(f"... {doing}", file=sys.stderr, flush=True)
