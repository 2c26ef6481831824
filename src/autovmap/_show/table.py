"""A plan as a table, and the note that an exception in a function's body gets; a clash, drawn."""

from collections import Counter
from collections.abc import Sequence
from textwrap import wrap

from autovmap._plan.broadcast import axis_text
from autovmap._plan.keys import lacking
from autovmap._plan.leaf import (
    Dim,
    Leaf,
    account,
    array_text,
    key_hint,
    looks_like_raw_key,
    root,
    tuple_text,
)
from autovmap._plan.outputs import Group, layer_out_axis
from autovmap._plan.plan import CallPlan
from autovmap._show.calling import UNKNOWN, Bystander, Calling, Output, warning
from autovmap._show.rows import Cell, Fill, Row, argument_rows, columns, leaf_rows, result_rows
from autovmap._show.step_text import first_words, squeeze_words, step_words
from autovmap._spec.ranks import Position
from autovmap.errors import BatchShapeError

WIDTH, MOST_LINES, MOST_NAMES = 80, 24, 4


def ascii_text(text: str) -> str:
    """Text that any terminal prints: what is not ASCII, or no letter at all, is escaped.

    >>> ascii_text("x['" + chr(0xE9) + "']") == "x['" + chr(92) + "xe9']"
    True
    """
    if text.isascii() and text.isprintable():
        return text
    return (
        "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        .encode("ascii", "backslashreplace")
        .decode()
    )


def table(
    plan: CallPlan, calling: Calling = UNKNOWN, outputs: Sequence[Output] | None = None
) -> str:
    """A header, a row a leaf and one for the result, a line a layer, and what else there is."""
    title = f"{plan.function}: batch shape {tuple_text(plan.batch_shape)}"
    if plan.trivial:
        title += ", called as it is"
    rows = argument_rows(plan)
    shown = rows[:MOST_LINES]
    results = result_rows(plan, outputs, calling)
    left_out = sum(row.count for row in rows[MOST_LINES:])
    grid = drawn_rows([*shown, *results[:MOST_LINES]], columns(plan))
    arguments, result = grid[: len(shown) + 1], grid[len(shown) + 1 :]
    lines = [*arguments]
    if left_out:
        lines.append(f"... and {left_out} leaves more")
    lines += result
    if len(results) > MOST_LINES:
        lines.append(f"... and {len(results) - MOST_LINES} outputs more")
    lines += [_layer(plan, calling, i) for i in range(len(plan.layers))]
    for text, _ in remarks(plan, calling):  # whole, as a remark says why at its end
        lines += wrap(ascii_text(text), WIDTH - 2, subsequent_indent="  ", break_long_words=False)
    lines += [f"({legend})"] if (legend := _legend([*shown, *results])) else []
    return "\n".join([ascii_text(title), *(f"  {_cut(ascii_text(line))}" for line in lines)])


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH - 2 else line[: WIDTH - 5] + "..."


def _legend(rows: Sequence[Row]) -> str:
    fills = {cell.fill for row in rows for cell in row.cells}
    parts = ["1*: stretched"] * (Fill.STRETCHED in fills)
    return ", ".join([*parts, *[".: no such dim"] * bool(fills & {Fill.ABSENT, Fill.FOLDED})])


def drawn_rows(rows: Sequence[Row], axes: range) -> list[str]:
    """Rows as aligned lines below a header: batch dims under each other, core dims behind a bar."""
    heads = [f"{axis} " for axis in axes]
    texts = [[cell_text(cell) for cell in row.cells] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)] if heads else []
    cores = ["..." if row.core is None else ", ".join(row.core) for row in rows]
    room = WIDTH - 2 - sum(width + 1 for width in widths) - 2 - max(map(len, ["core", *cores]))
    arrays = [row.array for row in rows]
    if _width("argument", rows) + 4 + max(map(len, ["array", *arrays])) > room:
        arrays = [row.dtype for row in rows]
    array_width = max(map(len, ["array", *arrays]))
    wanted = _width("argument", rows)
    label_width = max(min(wanted, room - array_width - 4), min(wanted, 12))
    lines: list[str] = []
    for label, array, cells, core in zip(
        ["argument", *(ascii_text(row.label) for row in rows)],
        ["array", *arrays],
        [heads, *texts],
        ["core", *cores],
        strict=True,
    ):
        aligned = "".join(f" {text:>{w}}" for text, w in zip(cells, widths, strict=True))
        name = f"{middle_cut(label, label_width):<{label_width}}"
        lines.append(f"{name}  {array:<{array_width}} {aligned}| {core}".rstrip())
    return lines


def _width(head: str, rows: Sequence[Row]) -> int:
    return max(len(head), *(len(ascii_text(row.label)) for row in rows), 0)


def cell_text(cell: Cell) -> str:
    """A batch dim with its mark, `.` for one that is missing."""
    marks = {Fill.HELD: " ", Fill.STRETCHED: "*"}
    return cell.text + marks[cell.fill] if cell.fill in marks else ". "


def middle_cut(text: str, most: int) -> str:
    """Text of at most so many characters, cut in the middle, as paths differ at their ends.

    >>> middle_cut("params['layers'][0].weight", 17)
    'params[...weight'
    """
    if len(text) <= most:
        return text
    left = (most - 3) // 2
    return f"{text[:left]}...{text[len(text) - (most - 3 - left) :]}"


def remarks(plan: CallPlan, calling: Calling = UNKNOWN) -> list[tuple[str, bool]]:
    """What holds beside the layers, a line each, and whether it is a warning."""
    lines: list[tuple[str, bool]] = []
    if plan.pattern is not None:
        lines.append((f"pattern: {plan.pattern}", False))
    rows = list(zip(plan.leaves, plan.before, strict=True))
    taken = [f"{leaf.path} {words}" for leaf, steps in rows if (words := first_words(steps))]
    lines += [(f"first: {words}", False) for words in taken[:MOST_NAMES]]
    if len(taken) > MOST_NAMES:
        lines.append((f"first: {len(taken) - MOST_NAMES} leaves more likewise", False))
    if plan.unmapped_axes:
        axes = ", ".join(map(str, plan.unmapped_axes))
        lines.append((f"not mapped: batch axis {axes}, of size 1 for every argument", False))
    squeezes = [f"{leaf.path} {words}" for leaf, steps in rows if (words := squeeze_words(steps))]
    if squeezes:
        lines.append((f"squeezed first: {listed(squeezes)}", False))
    lines += [(line, False) for line in _keys(plan)]
    if calling.reduce is not None:
        axes = ", ".join(map(str, sorted(calling.folded))) or "none, as there is none"
        how = ", as the gradient of a sum where that is the same" if calling.summed else ""
        lines.append((f"reduce({calling.reduce}): folded over batch axis {axes}{how}", False))
    lines += [(step, False) for step in calling.steps]
    warned = [(b, warning(b, plan.batch_shape, calling.randomness)) for b in calling.bystanders]
    quiet = [_array(b) for b, said in warned if not said]
    if quiet:
        lines.append((f"without a rank, so not mapped: {listed(quiet)}", False))
    lines += [(f"! {_array(b)} {said}", True) for b, said in warned if said]
    return lines


def _array(bystander: Bystander) -> str:
    return f"{bystander.path} {array_text(bystander.dtype, bystander.shape)}"


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _keys(plan: CallPlan) -> list[str]:
    """What becomes of keys that serve several examples."""
    lines: list[str] = []
    for i, leaf in enumerate(plan.leaves):
        if (fold := plan.fold_in(i)) is not None:
            lines.append(f"key {leaf.path}: {step_words(fold)}")
        elif leaf.key and (
            shared := [size for _, size in lacking(leaf, plan.batch_shape) if size != 1]
        ):
            lines.append(
                f"key {leaf.path}: one key for {_product(shared)} examples, so equal draws"
            )
    return lines


def _product(sizes: Sequence[Dim]) -> str:
    product: Dim = 1
    for size in sizes:
        product = product * size
    return str(product)


def layer_axis(plan: CallPlan, i: int) -> str:
    """The batch axis of a layer, with its name."""
    layer = plan.layers[i]
    named = () if layer.name is None else (layer.name, *("",) * (-layer.axis - 1))
    return axis_text(layer.axis, named)


def _layer(plan: CallPlan, calling: Calling, i: int) -> str:
    layer = plan.layers[i]
    over = _mapped_names(
        [
            leaf.path + (f" (dim {axis})" if axis else "")
            for leaf, axis in zip(plan.leaves, layer.in_axes, strict=True)
            if axis is not None
        ]
    )
    line = f"vmap {i + 1}: {layer_axis(plan, i)}, size {layer.size}, over "
    line += listed(over) or "nothing"
    if isinstance(calling.out_axes, Position) and calling.out_axes.index:
        line += f"; out_axes {layer_out_axis(Group(calling.out_axes.index), plan.layers, i)}"
    return line + _part_axes(plan, i)


def _part_axes(plan: CallPlan, i: int) -> str:
    """Where a layer's axis goes in the parts of the result, if not in front of each."""
    axes = [layer_out_axis(part, plan.layers, i) for part in plan.parts]
    if all(axis == 0 for axis in axes):
        return ""
    return f"; out_axes {axes[0] if len(axes) == 1 else tuple(axes)}"


def _mapped_names(paths: Sequence[str]) -> list[str]:
    """The paths, or if they are many, each argument with the number of its leaves."""
    if len(paths) <= MOST_NAMES:
        return list(paths)
    counts = Counter(root(path) for path in paths)
    names = [root(path) if counts[root(path)] > 1 else path for path in paths]
    return [
        name if counts[name] <= 1 else f"{name} ({counts[name]} leaves)"
        for name in dict.fromkeys(names)
    ]


def note(plan: CallPlan) -> str:
    """What an exception in the body is given: which shapes one example's arguments had."""
    what = "one example's arguments:" if plan.leaves else "no array under a rank"
    lines = [
        f"in {plan.function}(), called by autovmap with batch shape "
        f"{tuple_text(plan.batch_shape)}; {what}"
    ]
    shown = plan.leaves[:MOST_LINES]
    lines += [f"  {account(leaf)}, core shape {tuple_text(leaf.core)}" for leaf in shown]
    if len(plan.leaves) > MOST_LINES:
        lines.append(f"  ... and {len(plan.leaves) - MOST_LINES} leaves more")
    lines += [key_hint(leaf) for leaf in plan.leaves if looks_like_raw_key(leaf)]
    return "\n".join(lines)


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
