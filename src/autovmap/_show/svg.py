"""A plan as a picture: arguments are rows, batch axes are columns, layers are nested frames.

A frame begins at the column of its batch axis and holds all that lies to its right: the layers
inside it, and at the core the function, which sees the core dims alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from unicodedata import east_asian_width

from autovmap._plan.plan import CallPlan
from autovmap._show.calling import UNKNOWN, Calling, Output
from autovmap._show.rows import Cell, Fill, Row, argument_rows, columns, result_rows
from autovmap._show.style import COLOURS, style
from autovmap._show.table import middle_cut, remarks, table, tuple_text

CHAR, SMALL = 8.0, 6.8
"""Generous widths of a character, as the reader's font is not known."""
ROW, CELL, HEIGHT, GAP, PAD, STRIP, MARGIN = 36, 40, 26, 6, 10, 22, 16
MOST_LABEL, MOST_DIM, MOST_ROWS = 34, 14, 16


def text_width(text: str, char: float = CHAR) -> float:
    """The width of a text in a monospaced font, in pixels.

    >>> text_width("ab"), text_width(chr(0x6F22))
    (16.0, 16.0)
    """
    return char * sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def short(text: str, most: int = MOST_LABEL) -> str:
    """A text as it stands in the picture: cut to its length, and no control characters."""
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return middle_cut(plain, most)


@dataclass(slots=True)
class Canvas:
    """Elements of an SVG, in the order in which they are painted."""

    mark: str
    elements: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, classes: str = "") -> None:
        """A text whose baseline begins at a point."""
        kind = f' class="{classes}"' if classes else ""
        self.elements.append(f'<text x="{x:g}" y="{y:g}"{kind}>{escape(text)}</text>')

    def box(self, x: float, y: float, w: float, h: float, classes: str, radius: float = 5) -> None:
        """A rounded rectangle."""
        self.elements.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius:g}" '
            f'class="{classes}"/>'
        )

    def hatched(self, x: float, y: float, w: float, h: float, colour: int) -> None:
        """Slanted lines over a cell."""
        self.elements.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="5" '
            f'fill="url(#{self.mark}{colour})"/>'
        )

    def rule(self, x1: float, x2: float, y: float) -> None:
        """A horizontal line."""
        self.elements.append(f'<line x1="{x1:g}" x2="{x2:g}" y1="{y:g}" y2="{y:g}" class="rule"/>')


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie, in pixels."""

    label: float
    array: float
    axes: dict[int, float]
    widths: dict[int, float]
    frames: dict[int, float]
    core: float
    core_end: float
    top: float
    pill: float
    right: float


def svg(plan: CallPlan, calling: Calling = UNKNOWN, outputs: Sequence[Output] | None = None) -> str:
    """The plan as an SVG document that needs nothing else."""
    mark = f"h{hashlib.sha256(table(plan, calling, outputs).encode()).hexdigest()[:8]}-"
    arguments, results = argument_rows(plan, 8), result_rows(plan, outputs, calling)
    hidden = len(arguments) - MOST_ROWS, len(results) - MOST_ROWS
    arguments, results = arguments[:MOST_ROWS], results[:MOST_ROWS]
    places = _places(plan, [*arguments, *results])
    canvas = Canvas(mark)
    title = f"{short(plan.function)}"
    canvas.text(MARGIN, 30, title, "title")
    batch = "called as it is" if plan.trivial else f"batch shape {tuple_text(plan.batch_shape)}"
    canvas.text(MARGIN + text_width(title, 9.4) + 14, 30, short(batch, 60), "faint")
    y = places.top
    for row in arguments:
        _row(canvas, row, places, y)
        y += ROW
    y = _more(canvas, places, hidden[0], "leaves", y)
    frames_end = _function(canvas, plan, places, y)
    y = frames_end
    for row in results:
        _row(canvas, row, places, y, result=True)
        y += ROW
    y = _more(canvas, places, hidden[1], "outputs", y)
    framed = Canvas(mark)
    bottom = _frames(framed, plan, places, y)
    width = max(places.right, MARGIN * 2 + text_width(title, 9.4) + 14 + text_width(batch))
    canvas.elements[:0] = framed.elements
    width, height = _foot(canvas, plan, calling, [*arguments, *results], bottom, width)
    return _document(canvas, plan, width, height)


def _places(plan: CallPlan, rows: Sequence[Row]) -> Places:
    """Lay out the columns from left to right, and the strips of the frames' names on top."""
    labels = [text_width(short(row.label)) for row in rows]
    arrays = [text_width(short(row.array), SMALL) for row in rows]
    array = MARGIN + max(labels) + 16
    x = array + max(arrays) + 22
    made = {layer.axis: i for i, layer in enumerate(plan.layers)}
    axes: dict[int, float] = {}
    widths: dict[int, float] = {}
    frames: dict[int, float] = {}
    for number, axis in enumerate(columns(plan)):
        if axis in made:
            frames[axis] = x
            x += PAD
        texts = [text_width(short(row.cells[number].text, MOST_DIM)) + 16 for row in rows]
        axes[axis], widths[axis] = x, max([CELL, *texts])
        x += widths[axis] + GAP + 2
    names = [text_width(_frame_name(plan, i), SMALL) for i in range(len(plan.layers))]
    pill = text_width(short(plan.function, 20)) + 24
    core = x + 8
    cores = [_core_width(row) for row in rows]
    end = core + max([pill, *cores])
    for i, layer in enumerate(plan.layers):
        end = max(end, frames[layer.axis] + names[i] + 20)
    top = 46 + STRIP * len(plan.layers) + (8 if plan.layers else 4)
    right = end + PAD * len(plan.layers) + MARGIN
    return Places(MARGIN, array, axes, widths, frames, core, end, top, pill, right)


def _core_width(row: Row) -> float:
    if row.core is None:
        return CELL
    return sum(_dim_width(dim) + GAP for dim in row.core)


def _dim_width(dim: str) -> float:
    return max(30.0, text_width(short(dim, MOST_DIM)) + 14)


def _frame_name(plan: CallPlan, i: int) -> str:
    layer = plan.layers[i]
    name = "" if layer.name is None else f" {short(repr(layer.name), 16)}"
    return f"vmap {layer.axis}{name} · {short(str(layer.size), MOST_DIM)}"


def colour_of(axis: int) -> int:
    """A batch axis keeps its colour, however many there are to its left."""
    return (-axis - 1) % COLOURS


def _row(canvas: Canvas, row: Row, places: Places, y: float, result: bool = False) -> None:
    base = y + HEIGHT / 2 + 4.5
    canvas.text(places.label, base, short(row.label))
    canvas.text(places.array, base, short(row.array), "small faint")
    for (axis, x), cell in zip(places.axes.items(), row.cells, strict=True):
        _cell(canvas, cell, x, y, places.widths[axis], colour_of(axis))
    x = places.core
    if row.core is None:
        canvas.box(x, y, CELL, HEIGHT, "unknown")
        canvas.text(x + CELL / 2, base, "…", "mid faint")
    for dim in row.core or ():
        width = _dim_width(dim)
        canvas.box(x, y, width, HEIGHT, "core", 2)
        canvas.text(x + width / 2, base, short(dim, MOST_DIM), "mid")
        x += width + GAP
    if row.core == () and row.array != row.dtype:
        canvas.text(x + 2, base, "scalar", "small faint")


def _cell(canvas: Canvas, cell: Cell, x: float, y: float, width: float, colour: int) -> None:
    if cell.fill is Fill.ABSENT:
        canvas.box(x, y, width, HEIGHT, "absent")
        return
    if cell.fill is Fill.FOLDED:
        canvas.box(x, y, width, HEIGHT, f"absent a{colour}", 13)
        canvas.text(x + width / 2, y + HEIGHT / 2 + 4.5, short(cell.text, MOST_DIM), "mid faint")
        return
    canvas.box(x, y, width, HEIGHT, f"a{colour}")
    if cell.fill is Fill.STRETCHED:
        canvas.hatched(x, y, width, HEIGHT, colour)
    canvas.text(x + width / 2, y + HEIGHT / 2 + 4.5, short(cell.text, MOST_DIM), "mid")


def _more(canvas: Canvas, places: Places, count: int, what: str, y: float) -> float:
    if count <= 0:
        return y
    canvas.text(places.label, y + 16, f"... and {count} {what} more", "small faint")
    return y + 26


def _function(canvas: Canvas, plan: CallPlan, places: Places, y: float) -> float:
    """The function, between the arguments and the result, at the core: it sees one example."""
    canvas.rule(places.label, places.core - 10, y + 13)
    canvas.box(places.core, y, places.pill, HEIGHT, "pill", 13)
    name = short(plan.function, 20)
    canvas.text(places.core + places.pill / 2, y + HEIGHT / 2 + 4.5, name, "mid onpill")
    return y + ROW + 2


def _frames(canvas: Canvas, plan: CallPlan, places: Places, y: float) -> float:
    """The layers, outermost first, each with its name in a strip of its own; where they end."""
    count = len(plan.layers)
    for i, layer in enumerate(plan.layers):
        colour, depth = colour_of(layer.axis), count - i
        left, top = places.frames[layer.axis], 46 + STRIP * i
        right = places.core_end + PAD * depth
        canvas.box(left, top, right - left, y + 6 * depth - top, f"f{colour}", 9)
        canvas.text(left + 10, top + 15, _frame_name(plan, i), f"small t{colour}")
    return y + 6 * count


def _foot(
    canvas: Canvas,
    plan: CallPlan,
    calling: Calling,
    rows: Sequence[Row],
    y: float,
    width: float,
) -> tuple[float, float]:
    """The legend and remarks below; the picture's width and height."""
    fills = {cell.fill for row in rows for cell in row.cells}
    y += 14
    x = float(MARGIN)
    legend = ((Fill.STRETCHED, "stretched"), (Fill.ABSENT, "no such dim"), (Fill.FOLDED, "folded"))
    for fill, text in legend:
        if fill in fills:
            cell = Cell("1" if fill is Fill.STRETCHED else "", fill)
            _cell(canvas, cell, x, y, 28, 0)
            canvas.text(x + 36, y + 17, text, "small faint")
            x += 36 + text_width(text, SMALL) + 20
            width = max(width, x)
    y += HEIGHT + 6 if x > MARGIN else 0
    most = max(int((max(width, 460) - 2 * MARGIN) / SMALL), 40)
    for text, warning in remarks(plan, calling):
        line = short(text, most)
        canvas.text(MARGIN, y + 14, line, f"small {'warn' if warning else 'faint'}")
        width = max(width, 2 * MARGIN + text_width(line, SMALL))
        y += 18
    return width, y + 14


def _document(canvas: Canvas, plan: CallPlan, width: float, height: float) -> str:
    patterns = [
        f'<pattern id="{canvas.mark}{i}" width="7" height="7" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><path d="M0 0V7" class="hatch h{i}"/></pattern>'
        for i in range(COLOURS)
        if f"#{canvas.mark}{i})" in "".join(canvas.elements)
    ]
    name = escape(f"{short(plan.function)}: batch shape {tuple_text(plan.batch_shape)}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="autovmap" role="img" '
            f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">',
            f"<title>{name}</title>",
            f"<style>\n{style()}\n</style>",
            *([f"<defs>{''.join(patterns)}</defs>"] if patterns else []),
            f'<rect width="{width:g}" height="{height:g}" rx="10" class="paper"/>',
            *canvas.elements,
            "</svg>",
        ]
    )
