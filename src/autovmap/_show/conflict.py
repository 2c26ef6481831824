"""Batch shapes that clash, drawn: the table of a plan that could not be made."""

from collections.abc import Sequence

from autovmap._plan.leaf import Dim, Leaf
from autovmap._show.rows import Cell, Fill, Row, leaf_rows
from autovmap._show.table import ascii_text, drawn_rows
from autovmap.errors import BatchShapeError

MOST_ROWS = 8


def draw_conflict(error: BatchShapeError, function: str) -> None:
    """Put the table of the leaves above the message of an error that names a batch axis."""
    if error.axis is None or not error.leaves:
        return
    drawn = conflict_table(error.leaves, error.axis)
    error.reword(f"{function}(): batch shapes do not broadcast\n{drawn}\n{error.message}")


def conflict_table(leaves: Sequence[Leaf], axis: int) -> str:
    """The leaves with their batch dims under each other, and a mark below the column that clashes.

    Leaves that have no part in it are left out if there are many.
    """
    ndim = max(leaf.batch_ndim + leaf.offset for leaf in leaves)
    axes = range(-ndim, 0)
    batch = tuple(_size(leaves, a) for a in axes)
    shown = _clashing(leaves, axis) if len(leaves) > MOST_ROWS else list(leaves)
    rows = leaf_rows(shown[:MOST_ROWS], batch, axes, most=MOST_ROWS)
    marks = tuple(Cell("^" if a == axis else "", Fill.HELD) for a in axes)
    *lines, marked = drawn_rows([*rows, Row("", "", "", marks, ())], axes)
    left_out = len(leaves) - len(rows)
    more = [f"... and {left_out} leaves more"] if left_out else []
    marked = marked.removesuffix("|").rstrip() + " sizes differ"
    return "\n".join(f"  {ascii_text(line)}" for line in [*lines, marked, *more])


def _size(leaves: Sequence[Leaf], axis: int) -> Dim:
    sizes = [leaf.size(axis) for leaf in leaves]
    return next((size for size in sizes if size is not None and size != 1), 1)


def _clashing(leaves: Sequence[Leaf], axis: int) -> list[Leaf]:
    """The leaves with a size of their own along an axis, the first of each size before others."""
    own = [leaf for leaf in leaves if leaf.size(axis) is not None and leaf.size(axis) != 1]
    first = {leaf.size(axis): leaf for leaf in reversed(own)}
    heads = [leaf for leaf in own if first[leaf.size(axis)] is leaf]
    return heads[:MOST_ROWS]
