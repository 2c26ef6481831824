"""What one PRNG key means to many examples: shared, folded, or refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autovmap._plan.leaf import Dim, Leaf, Shape, account
from autovmap._spec.options import Randomness
from autovmap.errors import BatchShapeError


@dataclass(frozen=True, slots=True)
class Fold:
    """A key leaf into which an example's index is folded, once for each of these batch axes.

    `axes` holds the axes that the key lacks, outermost first, each with its size.
    """

    row: int
    axes: tuple[tuple[int, Dim], ...]


def lacking(leaf: Leaf, batch: Shape) -> tuple[tuple[int, Dim], ...]:
    """The batch axes along which a leaf has no dim of its own: missing, or 1 where others are not.

    >>> lacking(Leaf("key", (3, 1), "key<fry>", 0, key=True), (2, 3, 5))
    ((-3, 2), (-1, 5))
    """
    found: list[tuple[int, Dim]] = []
    for axis in range(-len(batch), 0):
        own = leaf.size(axis)
        if own is None or (own == 1 and batch[axis] != 1):
            found.append((axis, batch[axis]))
    return tuple(found)


def folds(
    leaves: Sequence[Leaf], batch: Shape, randomness: Randomness, function: str
) -> tuple[Fold, ...]:
    """The folds of a call under "different"; none under "same".

    Raises:
        BatchShapeError: under "error", one key would serve several examples.
    """
    if randomness == "same":
        return ()
    rows = enumerate(leaves)
    found = [Fold(i, lacking(leaf, batch)) for i, leaf in rows if leaf.key]
    found = [fold for fold in found if fold.axes]
    if randomness == "error" and found:
        leaf = leaves[found[0].row]
        raise BatchShapeError(
            f'{function}(): randomness="error", but one PRNG key would serve several examples of '
            f"the batch\n  {account(leaf)}\n"
            f"Pass a key for each example (jax.random.split), or say what one key means: "
            f'randomness="different" folds the example\'s index into it, "same" gives every '
            f"example the same draw"
        )
    return tuple(found)


def folded(leaves: Sequence[Leaf], batch: Shape, found: Sequence[Fold]) -> tuple[Leaf, ...]:
    """The leaves as they are mapped: a folded key has the whole batch shape, before its core."""
    rows = list(leaves)
    for fold in found:
        leaf = rows[fold.row]
        rows[fold.row] = replace(leaf, shape=batch + leaf.core, position=0, offset=0)
    return tuple(rows)
