"""What a case of the fault suite is, how it is run, and how its outcome is written down."""

import contextlib
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

from autovmap import AutoVmapError

Thunk: TypeAlias = Callable[[], Any]

JAX_WORDS = "(JAX's own words)"
"""In place of a message that is JAX's or jaxlib's: it differs between their versions."""

OWN = Path(__file__).parents[1]
"""What a function in this folder raises is a user's own; a lambda here only makes a call."""


@dataclass(frozen=True)
class Case:
    """One mistake, made in one or more ways: by several entry points, run in several ways.

    `ways` are the same mistake under a label each; a golden file says which of them give which
    message. `needs` is an attribute of jax without which the mistake can't be made.
    """

    row: int
    name: str
    ways: Mapping[str, Thunk] = field(repr=False)
    needs: str | None = None

    @property
    def file(self) -> str:
        """The golden file that holds the row's messages."""
        return f"{self.row:02}.txt"

    @property
    def id(self) -> str:
        """The name of the test."""
        return f"{self.row:02} {self.name}"

    @property
    def possible(self) -> bool:
        """Whether this JAX can make the mistake."""
        return self.needs is None or hasattr(jax, self.needs)


def once(row: int, name: str, make: Thunk, needs: str | None = None) -> Case:
    """A mistake that is made in one way."""
    return Case(row, name, {"": make}, needs)


def section(case: Case) -> str:
    """A case as its golden file has it: its name, and each message with the ways that give it."""
    said: dict[str, list[str]] = {}
    for label, thunk in case.ways.items():
        said.setdefault(outcome(thunk), []).append(label)
    lines = [f"# {case.name}"]
    for text, labels in said.items():
        if labels != [""]:
            lines.append(f"## {shown_labels(labels, list(case.ways))}")
        lines += text.splitlines()
    return "\n".join(lines) + "\n"


def shown_labels(labels: list[str], every: list[str]) -> str:
    """The ways, grouped by entry point; "every way" where an entry point's are all there.

    >>> every = ["a: call", "a: plan", "b: call", "b: plan"]
    >>> shown_labels(["a: call", "a: plan", "b: call"], every)
    'a: every way; b: call'
    """
    if labels == every:
        return "every way"
    if not any(": " in label for label in every):
        return "; ".join(labels)
    known = _by_entry(every)
    entries: dict[str, list[str]] = {}
    for entry, ways in _by_entry(labels).items():
        entries.setdefault(_shown_ways(ways, known[entry]), []).append(entry)
    return "; ".join(f"{', '.join(names)}: {ways}" for ways, names in entries.items())


def _by_entry(labels: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label in labels:
        entry, _, way = label.partition(": ")
        found.setdefault(entry, []).append(way)
    return found


def _shown_ways(ways: list[str], every: list[str]) -> str:
    left = [way for way in every if way not in ways]
    if not left:
        return "every way"
    return f"every way but {', '.join(left)}" if len(left) < len(ways) else ", ".join(ways)


def outcome(thunk: Thunk) -> str:
    """The class and the message of what a call raises, notes included; or that it raises nothing.

    A message of JAX's own is left out, with its cause, as both differ between versions; its class
    and our notes stay. The cause of a message of ours is named by its class.
    """
    with _whole_tracebacks(), warnings.catch_warnings():
        # JAX says it too, of a generator in a result.
        warnings.filterwarnings("ignore", "Python iterable type", DeprecationWarning)
        # Cases are run more than once, their functions defined again each time.
        warnings.filterwarnings("ignore", ".*the same code is being compiled", UserWarning)
        try:
            thunk()
        except Exception as error:
            return said(error)
    return "(no error)"


def said(error: Exception) -> str:
    """The class and the message of an exception, as `outcome` has them."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _public_name(kind)
    ours = _is_ours(error)
    lines = [f"{name}: {error if ours else JAX_WORDS}"]
    lines += [f"note: {note}" for note in getattr(error, "__notes__", [])]
    if ours and error.__cause__ is not None:
        lines.append(f"cause: {type(error.__cause__).__name__}")
    text = re.sub(r" at 0x[0-9a-f]+", " at 0x...", "\n".join(lines))
    text = re.sub(r"np\.str_\(('\w*')\)", r"\1", text)  # as NumPy before 2 shows it
    return "\n".join(line.rstrip() for line in text.splitlines())


def _public_name(kind: type) -> str:
    """The name of a class; JAX's without the private module that it stands in."""
    module = kind.__module__
    return f"{'jax' if module.startswith('jax') else module}.{kind.__qualname__}"


def _is_ours(error: Exception) -> bool:
    """Whether the message is autovmap's, Python's or the decorated function's, and not JAX's."""
    if isinstance(error, AutoVmapError):
        return True
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    file = Path(frame.f_code.co_filename)
    in_body = file.is_relative_to(OWN) and frame.f_code.co_name != "<lambda>"
    python = isinstance(error, TypeError) and file.name in ("inspect.py", "style.py")
    return in_body or python


@contextlib.contextmanager
def _whole_tracebacks() -> Iterator[None]:
    """Without JAX's removal of its own frames, which would hide where an error comes from."""
    before = jax.config.jax_traceback_filtering
    jax.config.update("jax_traceback_filtering", "off")
    try:
        yield
    finally:
        jax.config.update("jax_traceback_filtering", before)


def one_device() -> jax.sharding.Mesh:
    """A mesh of one device, with an axis "d"."""
    return jax.sharding.Mesh(np.array(jax.devices()[:1]), ("d",))
