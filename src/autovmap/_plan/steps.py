"""What happens around the nest of vmaps, as data: a closed set of steps.

Before the nest a plan has steps for each leaf, behind it for each group of outputs. Three loops
read them: `done` in `_run/steps.py`, `step_text` in `_show/step_text.py`, which prints them as
Python, and `step_words` there. How many dims an output has is not known before the function has
run, so a dim may be counted from the end, as everywhere in NumPy: -1 is the last.
"""

from dataclasses import dataclass
from types import EllipsisType
from typing import TypeAlias

from autovmap._plan.leaf import Dim, Shape


@dataclass(frozen=True, slots=True)
class Reshape:
    """Compositions of axes are taken apart."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Diagonal:
    """Two dims of one size become one, along their diagonal, which goes last."""

    one: int
    other: int
    size: Dim


@dataclass(frozen=True, slots=True)
class Transpose:
    """The dims are put in another order."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Squeeze:
    """Dims of size 1 are taken away."""

    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expand:
    """Dims of size 1 are put in; `dims` says where they are in the end."""

    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FoldIn:
    """An example's index is folded into a key, along one batch axis after the other.

    `axes` are the batch axes that the key lacks, outermost first, each with its size. `held` are
    those that it has, a block that begins at `position`. The folded key has all of them in front,
    but for axes of size 1.
    """

    axes: tuple[tuple[int, Dim], ...]
    held: tuple[int, ...] = ()
    position: int = 0

    def nests(self) -> list[tuple[Dim, list[tuple[int | None, int | None]]]]:
        """For each of these axes its size, and the `in_axes` of each vmap around `fold_in`.

        `fold_in` takes the key and the index; the first vmap is the outermost. One axis after the
        other, as each index is folded into what the one before has given.

        >>> FoldIn(((-2, 5), (-1, 3))).nests()
        [(5, [(None, 0)]), (3, [(0, None), (None, 0)])]
        """
        found: list[tuple[Dim, list[tuple[int | None, int | None]]]] = []
        held, position = set(self.held), self.position
        for axis, size in self.axes:
            mapped = sorted(held if size == 1 else held | {axis})
            entries = [(position if a in held else None, 0 if a == axis else None) for a in mapped]
            found.append((size, entries))
            held, position = set(mapped), 0 if mapped else position
        return found


Factor: TypeAlias = Dim | EllipsisType | None
"""The size of a dim: known, told by the array alone (None), or the dims of any number (...)."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Dims that lie side by side become one; `parts` has the factors of each dim in the end.

    A part without factors is a dim of size 1; one of `...` alone stands for these dims as they are.
    """

    parts: tuple[tuple[Factor, ...], ...]

    def spread(self, ndim: int) -> tuple[tuple[range, ...], ...]:
        """For each factor, its dims in an array of `ndim` dims.

        >>> Merge(((2, 3), (...,), (None,))).spread(5)
        ((range(0, 1), range(1, 2)), (range(2, 4),), (range(4, 5),))
        """
        free = ndim - sum(factor is not ... for part in self.parts for factor in part)
        found: list[tuple[range, ...]] = []
        start = 0
        for part in self.parts:
            ends = [start := start + (free if factor is ... else 1) for factor in part]
            firsts = [end - (free if f is ... else 1) for f, end in zip(part, ends, strict=True)]
            found.append(tuple(map(range, firsts, ends)))
        return tuple(found)


Step: TypeAlias = Reshape | Diagonal | Transpose | Squeeze | Expand | FoldIn | Merge
Steps: TypeAlias = tuple[Step, ...]
