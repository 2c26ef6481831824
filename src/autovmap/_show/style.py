"""The looks of a picture: a light palette and a dark one, as CSS that stays inside it.

Plain rules, without CSS variables: some viewers of SVG know none.
"""

from dataclasses import dataclass

FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of one look; `axes` are those of the batch axes, the last axis first."""

    paper: str
    ink: str
    faint: str
    line: str
    core: str
    warn: str
    axes: tuple[str, ...]
    tint: float


LIGHT = Look(
    paper="#ffffff",
    ink="#1f2937",
    faint="#6b7280",
    line="#b8c4d2",
    core="#eef2f6",
    warn="#b45309",
    axes=("#2563eb", "#ea7317", "#0f9d6c", "#9333ea", "#e11d63", "#0891b2"),
    tint=0.14,
)
DARK = Look(
    paper="#15191f",
    ink="#e6e9ee",
    faint="#9aa4b2",
    line="#566273",
    core="#262d37",
    warn="#fbbf24",
    axes=("#7aa7ff", "#ffa85c", "#4fd1a1", "#c794ff", "#ff7fa8", "#4fd0e3"),
    tint=0.22,
)
COLOURS = len(LIGHT.axes)

DARK_PLACES = (
    "[data-jp-theme-light=false],.vscode-dark,[theme=dark],[data-theme=dark],[data-bs-theme=dark]"
)
LIGHT_PLACES = DARK_PLACES.replace("=false", "=true").replace("dark", "light")
"""Pages that say themselves how they look: Jupyter, VS Code, Colab, Sphinx's themes, Bootstrap."""


def rules(look: Look) -> list[tuple[str, str]]:
    """Selectors below the picture's own, and their declarations."""
    found = [
        (".paper", f"fill:{look.paper}"),
        ("text", f"fill:{look.ink}"),
        (".faint", f"fill:{look.faint}"),
        (".warn", f"fill:{look.warn}"),
        (".rule", f"stroke:{look.line}"),
        (".core", f"fill:{look.core};stroke:{look.faint}"),
        (".unknown", f"stroke:{look.faint}"),
        (".absent", f"stroke:{look.line}"),
        (".pill", f"fill:{look.ink};stroke:{look.ink}"),
        (".onpill", f"fill:{look.paper}"),
    ]
    for i, colour in enumerate(look.axes):
        found += [
            (f".a{i}", f"fill:{colour};fill-opacity:{look.tint};stroke:{colour}"),
            (f".h{i}", f"stroke:{colour}"),
            (f".f{i}", f"fill:{colour};fill-opacity:{look.tint / 8:g};stroke:{colour}"),
            (f".t{i}", f"fill:{colour}"),
        ]
    return found


def style(name: str = "autovmap") -> str:
    """The style sheet of a picture whose outermost element has the class `name`."""
    base = [
        f".{name} text{{font:13px {FONT};white-space:pre}}",
        f".{name} .small{{font-size:11px}}",
        f".{name} .title{{font-size:15px;font-weight:600}}",
        f".{name} .mid{{text-anchor:middle}}",
        f".{name} .end{{text-anchor:end}}",
        f".{name} .absent,.{name} .unknown{{fill:none;stroke-dasharray:3 3}}",
        f".{name} .hatch{{stroke-width:1.6;stroke-opacity:.55;fill:none}}",
    ]
    light = [f".{name} {selector}{{{what}}}" for selector, what in rules(LIGHT)]
    scheme = [
        f"svg.{name}:root {s},.{name}:not(:is({LIGHT_PLACES}) *) {s}{{{w}}}" for s, w in rules(DARK)
    ]
    places = [f":is({DARK_PLACES}) .{name} {s}{{{w}}}" for s, w in rules(DARK)]
    dark = ["@media (prefers-color-scheme:dark){", *scheme, "}", *places]
    return "\n".join([*base, *light, *dark])
