"""What a fold is given, what it keeps and what it does: the words that all folds share."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

State: TypeAlias = tuple[Any, ...]
Dims: TypeAlias = tuple[int, ...]
Names: TypeAlias = tuple[Hashable, ...]
"""Mesh axes."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """An output of a part of the batch: which of its dims are folded, which are batch dims."""

    array: Any
    dims: Dims
    batch: Dims
    mask: Any = None
    """Which examples count, in a shape that broadcasts to the array's; None: all."""


class Folding(Protocol):
    """What a fold does to outputs that are folded as one: one, or those that `combine` takes."""

    def in_chunks(self, shapes: Sequence[Any]) -> "Folding":
        """What folds outputs of these shapes and dtypes part by part, many parts perhaps."""
        ...

    def whole(self, parts: Sequence[Part]) -> Sequence[Any]:
        """The outputs folded, all at once and each once."""
        ...

    def start(self, shapes: Sequence[Any]) -> State:
        """The state of no example, for outputs of these shapes and dtypes without folded dims."""
        ...

    def part(self, parts: Sequence[Part]) -> State:
        """The state of a part of the batch."""
        ...

    def merge(self, one: State, other: State) -> State:
        """The state of two parts, in their order."""
        ...

    def everywhere(self, state: State, names: Names) -> State:
        """The state of what all devices along some mesh axes have folded."""
        ...

    def done(self, state: State, shapes: Sequence[Any], count: Any, times: Any) -> Sequence[Any]:
        """The outputs: of `count` examples, each of which counts so many times."""
        ...
