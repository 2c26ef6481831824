"""The drawing of a plan before it is words or a picture: rows of cells, columns of batch axes."""

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autovmap._plan.leaf import Dim, Leaf, Shape, array_text, describe, root
from autovmap._plan.outputs import Group, block_start
from autovmap._plan.plan import CallPlan
from autovmap._show.calling import UNKNOWN, Calling, Output
from autovmap._show.vmaps import part_path
from autovmap._spec.fold import fold_name, fold_of
from autovmap._spec.ranks import CoreDim, leaves_of

MOST_ROWS = 12
"""As many leaves have a row each; of more, those of one argument that are alike share one."""


class Fill(enum.Enum):
    """What a leaf has along a batch axis."""

    HELD = enum.auto()
    STRETCHED = enum.auto()
    ABSENT = enum.auto()
    FOLDED = enum.auto()


@dataclass(frozen=True, slots=True)
class Cell:
    """One batch dim of one row."""

    text: str
    fill: Fill


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a drawing; `core` is None where it is unknown, or differs within a group."""

    label: str
    array: str
    dtype: str
    cells: tuple[Cell, ...]
    core: tuple[str, ...] | None
    count: int = 1


def columns(plan: CallPlan) -> range:
    """The batch axes that are drawn: the call's own, and named ones that it lacks."""
    own = len(plan.batch_shape)
    return range(-max([own, *(-layer.axis for layer in plan.layers)]), 0)


def argument_rows(plan: CallPlan, most: int = MOST_ROWS) -> tuple[Row, ...]:
    """A row for each leaf, or for each group of leaves that are alike if there are many."""
    return leaf_rows(plan.leaves, plan.batch_shape, columns(plan), most)


def leaf_rows(
    leaves: Sequence[Leaf], batch: Shape, axes: range, most: int = MOST_ROWS
) -> tuple[Row, ...]:
    """The same for leaves whose batch shapes broadcast to `batch`."""
    rows = [_row(leaf, batch, axes) for leaf in leaves]
    if len(rows) <= most:
        return tuple(rows)
    groups = itertools.groupby(rows, key=lambda row: (root(row.label), row.cells))
    return tuple(_group(name, list(members)) for (name, _), members in groups)


def _row(leaf: Leaf, batch: Shape, axes: range) -> Row:
    cells = tuple(cell(leaf.size(axis), size_of(batch, axis)) for axis in axes)
    names = [dim.name for dim in leaf.dims] or [None] * leaf.rank
    core = tuple(
        str(size) if name is None else f"{name}={size}"
        for name, size in zip(names, leaf.core, strict=True)
    )
    return Row(leaf.path, describe(leaf), leaf.dtype, cells, core)


def size_of(batch: Shape, axis: int) -> Dim:
    """The size of a batch axis, 1 for one that the call lacks."""
    return batch[axis] if -axis <= len(batch) else 1


def cell(own: Dim | None, size: Dim) -> Cell:
    """What stands where a leaf meets a batch axis.

    >>> cell(1, 5), cell(None, 5).fill.name
    (Cell(text='1', fill=<Fill.STRETCHED: 2>), 'ABSENT')
    """
    if own is None:
        return Cell("", Fill.ABSENT)
    return Cell(str(own), Fill.STRETCHED if own == 1 and size != 1 else Fill.HELD)


def _group(name: str, rows: Sequence[Row]) -> Row:
    first = rows[0]
    if len(rows) == 1:
        return first
    dtypes = list(dict.fromkeys(row.dtype for row in rows))
    cores = {row.core for row in rows}
    shown = ", ".join(dtypes[:3]) + (", ..." if len(dtypes) > 3 else "")
    label = f"{name} ({len(rows)} leaves)"
    core = first.core if len(cores) == 1 else None
    return Row(label, shown, shown, first.cells, core, len(rows))


def result_rows(
    plan: CallPlan, outputs: Sequence[Output] | None, calling: Calling = UNKNOWN
) -> tuple[Row, ...]:
    """The result: one row of the batch shape, or one for each of its leaves if they are known.

    Under a pattern there is a row for each of its parts.
    """
    if outputs is None and plan.parts:
        count = len(plan.parts)
        return tuple(_part(part_path(i, count), part, plan) for i, part in enumerate(plan.parts))
    if outputs is None:
        leaves = [] if calling.reduce is None else leaves_of(calling.reduce.folds)
        folds = {fold_name(fold_of(leaf)) for leaf in leaves}
        cells = _cells(Group(), plan, calling.folded, folds.pop() if len(folds) == 1 else "fold")
        return (Row("result", "", "", cells, calling.core),)
    rows = [_output(output, plan, calling.folded) for output in outputs]
    if len(rows) <= MOST_ROWS:
        return tuple(rows)
    groups = itertools.groupby(rows, key=lambda row: row.cells)
    return tuple(_group("result", list(members)) for _, members in groups)


def _cells(
    group: Group, plan: CallPlan, folded: frozenset[int] = frozenset(), fold: str = ""
) -> tuple[Cell, ...]:
    """What an output has along each batch axis; `fold` names what has become of a folded one."""
    batch = plan.batch_shape
    own = [axis for axis in range(-len(batch), 0) if axis not in folded]
    held = [axis for axis in own if group.holds(axis)]
    own = {axis: batch[axis] if group.stretches(axis) else 1 for axis in held}
    return tuple(
        Cell(fold, Fill.FOLDED) if axis in folded else cell(own.get(axis), size_of(batch, axis))
        for axis in columns(plan)
    )


def dim_text(dim: CoreDim, sizes: Mapping[str, Dim]) -> str:
    """A core dim with its size, if it is known.

    >>> dim_text(CoreDim("n"), {"n": 3}), dim_text(CoreDim("m"), {}), dim_text(CoreDim(size=2), {})
    ('n=3', 'm', '2')
    """
    if dim.name is None or dim.name not in sizes:
        return str(dim)
    return f"{dim.name}={sizes[dim.name]}"


def _part(label: str, group: Group, plan: CallPlan) -> Row:
    """The row of one part of the result: what is known of it without its shape."""
    sizes = dict(plan.core.sizes)
    core = ["..." if item is None else dim_text(item, sizes) for item in group.core]
    return Row(label, "", "", _cells(group, plan), tuple(core))


def _seen(output: Output, plan: CallPlan, folded: frozenset[int]) -> Group:
    """The group of an output with the axes along which its shape shows it stretched.

    A fold under `stretch_outputs=False` finds out itself what depends on what.
    """
    group, block = output.group, len(plan.batch_shape)
    if group.items is not None or group.axes is not None or group.position is None:
        return group
    own = [axis for axis in range(-block, 0) if axis not in folded]
    start = block_start(group.position, len(output.shape), len(own))
    sizes = output.shape[start : start + len(own)]
    short = {axis for axis, size in zip(own, sizes, strict=True) if size == 1}
    return replace(group, axes=frozenset(range(-block, 0)) - short) if short else group


def _output(output: Output, plan: CallPlan, folded: frozenset[int]) -> Row:
    if not output.array:
        cells = tuple(Cell("", Fill.ABSENT) for _ in columns(plan))
        return Row(output.path, output.dtype, output.dtype, cells, ())
    core: list[str] = []
    dims = iter(output.core)
    free = len(output.core) - sum(item is not None for item in output.group.core)
    for item in output.group.core:
        if item is None:
            core += [str(next(dims)) for _ in range(free)]
        else:
            size = next(dims)
            core.append(str(size) if item.name is None else f"{item.name}={size}")
    array = array_text(output.dtype, output.shape)
    folded = folded if output.fold else frozenset()
    cells = _cells(_seen(output, plan, folded), plan, folded, output.fold)
    return Row(output.path, array, output.dtype, cells, tuple(core))
