"""Draw the house of the code, and list its modules: `python docs/house.py`.

It writes `docs/pictures/house.svg` and the table of modules in `docs/architecture.md`, both from
the folders of `src/autovmap` and the first sentence of each docstring.
`tests/docs/test_architecture.py` compares them.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src" / "autovmap"
PICTURE = DOCS / "pictures" / "house.svg"
PAGE = DOCS / "architecture.md"
START, END = "<!-- modules: written by docs/house.py -->", "<!-- end of modules -->"

TRUNK = ("_spec", "_bind", "_plan", "_run", "_show")
"""The stages that every call passes, in the order in which it does."""
ORDER = ("_function", *TRUNK, "_ways", "_named", "compat", "_cli", "_demo")
"""The rooms as the table has them."""


@dataclass(frozen=True)
class Module:
    """One file: where it lies, and what its docstring opens with."""

    name: str
    sentence: str


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"\.(?:\s|$)", first)[0]


def modules(folder: Path) -> list[Module]:
    """The modules of a room, its own sentence left out."""
    found = sorted(path for path in folder.rglob("*.py") if path.name != "__init__.py")
    return [Module(str(path.relative_to(SOURCE)), sentence(path)) for path in found]


def table() -> str:
    """The modules as Markdown: those at the root, then room by room."""
    rows = ["| module | holds |", "| --- | --- |"]
    for path in sorted(SOURCE.glob("*.py")):
        rows.append(f"| `{path.name}` | {sentence(path)} |")
    for room in ORDER:
        rows.append(f"| **`{room}/`** | **{sentence(SOURCE / room / '__init__.py')}** |")
        rows += [f"| `{module.name}` | {module.sentence} |" for module in modules(SOURCE / room)]
    return "\n".join(rows)


def page(text: str) -> str:
    """The page of the architecture with the table as it is now."""
    before, _, rest = text.partition(START)
    return f"{before}{START}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


LIGHT = {"paper": "#ffffff", "ink": "#1f2937", "faint": "#5b6472", "line": "#b8c4d2"}
DARK = {"paper": "#15191f", "ink": "#e6e9ee", "faint": "#9aa4b2", "line": "#566273"}
TINTS = {"trunk": "#2563eb", "branch": "#ea7317", "top": "#0f9d6c", "ground": "#6b7280"}
WIDTH, SIDE, GAP = 1000, 235, 12


def style() -> str:
    """The colours, light and dark."""

    def rules(look: dict[str, str]) -> str:
        return (
            f".paper{{fill:{look['paper']}}} text{{fill:{look['ink']}}} "
            f".faint{{fill:{look['faint']}}} .arrow{{stroke:{look['faint']}}} "
            f"marker path{{fill:{look['faint']}}}"
        )

    tints = " ".join(
        f".{name}{{fill:{colour};fill-opacity:.12;stroke:{colour};stroke-width:1.3}}"
        for name, colour in TINTS.items()
    )
    font = "font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif"
    return (
        f"text{{{font};font-size:12.5px}} .name{{font-weight:600;font-size:15px;"
        f"font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}} "
        f".files{{font-size:11px;font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',"
        f"monospace}} .arrow{{fill:none;stroke-width:1.5}} {rules(LIGHT)} {tints} "
        f"@media (prefers-color-scheme:dark){{{rules(DARK)}}}"
    )


def lines(name: str, width: int) -> tuple[list[str], list[str]]:
    """What a room is for, and its files, as lines of text."""
    folder = SOURCE / name
    said = sentence(folder / "__init__.py").replace("`", "")
    files = (module.name.split("/")[1] for module in modules(folder))
    names = "  ".join(dict.fromkeys(file.removesuffix(".py") for file in files))
    return wrap(said, int((width - 20) / 6.9)), wrap(names, int((width - 20) / 6.8))


def height(name: str, width: int) -> int:
    """How high a room has to be."""
    said, files = lines(name, width)
    return 36 + 16 * len(said) + 14 * len(files)


def room(name: str, kind: str, x: int, y: int, width: int) -> Iterator[str]:
    """A room: its name, what it is for, and its files."""
    yield (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height(name, width)}" '
        f'rx="8"/><text class="name" x="{x + 12}" y="{y + 23}">{escape(name)}</text>'
    )
    said, files = lines(name, width)
    line = y + 41
    for text in said:
        yield f'<text x="{x + 12}" y="{line}">{escape(text)}</text>'
        line += 16
    for text in files:
        yield f'<text class="files faint" x="{x + 12}" y="{line}">{escape(text)}</text>'
        line += 14


def arrow(path: str) -> str:
    """An arrow along a path."""
    return f'<path class="arrow" d="{path}" marker-end="url(#a)"/>'


def picture() -> str:
    """The house: the trunk in the middle, a call going down it, and the branches at its sides."""
    middle = SIDE + GAP + 24
    inner = WIDTH - 2 * middle
    parts: list[str] = []
    y, first, at = 16, 0, middle + inner - 26
    for name in ("_function", *TRUNK):
        parts += room(name, "top" if name == "_function" else "trunk", middle, y, inner)
        below = y + height(name, inner)
        parts.append(arrow(f"M{at} {below - 14}V{below + GAP + 12}"))
        y = below + GAP
        first = first or y
    parts.append(
        f'<rect class="ground" x="{middle}" y="{y}" width="{inner}" height="40" rx="8"/>'
        f'<text class="name" x="{middle + 12}" y="{y + 25}">errors  _cache</text>'
    )
    bottom = y + 40
    left, right = 12, WIDTH - SIDE - 12
    for x, names in ((left, ("_ways", "_cli")), (right, ("_named", "compat", "_demo"))):
        y = first
        for name in names:
            parts += room(name, "branch", x, y, SIDE)
            y += height(name, SIDE) + GAP
        bottom = max(bottom, y - GAP)
    parts.append(arrow(f"M{left + SIDE} {first + 60}h{GAP + 14}"))
    parts.append(arrow(f"M{right} {first + 60}h{-GAP - 14}"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 16}" '
        f'role="img" aria-label="The rooms of the code and the direction of imports">'
        f"<style>{style()}</style>"
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'<rect class="paper" width="{WIDTH}" height="{bottom + 16}"/>'
    )
    return head + "\n" + "\n".join(parts) + "\n</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")
