"""One attempt at misusing the library, and the judge of what came of it."""

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from autovmap import AutoVmapError

Verdict: TypeAlias = Literal["right", "wrong", "open"]
"""What must come of it: a result, a refusal, or either of them; a result is always checked."""

LONGEST = 60
"""Seconds after which an attempt counts as hanging."""


@dataclass(frozen=True)
class Allowance:
    """An error that is not autovmap's and may be raised: exactly this type, in these words."""

    error: type[Exception]
    words: str

    def covers(self, error: Exception) -> bool:
        """Whether an error is this one."""
        return type(error) is self.error and re.search(self.words, str(error)) is not None


@dataclass(frozen=True)
class Attempt:
    """A use of the library that may be wrong.

    `check` raises AssertionError for a wrong result. `told` is shown where the judge objects.
    """

    kind: str
    verdict: Verdict
    run: Callable[[], Any]
    check: Callable[[Any], None]
    told: str
    allowed: tuple[Allowance, ...] = ()


class Objection(AssertionError):
    """What came of an attempt is not what may come of it."""


class Hang(Exception):
    """An attempt took too long."""


def judged(attempt: Attempt) -> str:
    """Make the attempt: "result", or the name of the error's class.

    Raises:
        Objection: a wrong result, a mistake that was not noticed, a right use that was refused, or
            an error that is neither autovmap's nor allowed.
    """
    try:
        with watched():
            result = attempt.run()
    except AutoVmapError as error:
        if attempt.verdict == "right":
            raise Objection(f"refused, though right: {attempt.told}") from error
        check_words(error, attempt)
        return type(error).__name__
    except Exception as error:
        if attempt.verdict != "right" and any(a.covers(error) for a in attempt.allowed):
            return f"{type(error).__name__}, allowed"
        raise Objection(f"{type(error).__name__}: {error}: {attempt.told}") from error
    if attempt.verdict == "wrong":
        raise Objection(f"not refused, though wrong: {attempt.told}")
    try:
        attempt.check(result)
    except AssertionError as error:
        raise Objection(f"a wrong result: {attempt.told}") from error
    return "result"


def check_words(error: AutoVmapError, attempt: Attempt) -> None:
    """A message is no empty text, and shows no type of JAX's inside to the user."""
    text = str(error)
    if not text.strip() or re.search(r"Tracer", text):
        raise Objection(f"a poor message: {text!r}: {attempt.told}") from error


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raise Hang in what takes too long."""

    def stop(*_: Any) -> None:
        raise Hang(f"more than {LONGEST} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
