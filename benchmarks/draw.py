"""The tables and the picture of docs/performance.md, from a run of the benchmarks.

    python benchmarks/draw.py               # measures first, on a quiet machine: half an hour
    python benchmarks/draw.py results.json  # from `pytest benchmarks --benchmark-json=results.json`
    python benchmarks/draw.py --kept        # draws again what was kept of the last run

It writes docs/pictures/performance.json (what is kept of a run), performance.svg and
performance.png, and each table of docs/performance.md between `<!-- ratios: GROUP -->` and
`<!-- end -->`. The table "What to expect" there, and the one in README.md, are written by hand.
"""

import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "performance"
PAGE = ROOT / "docs" / "performance.md"

Row: TypeAlias = dict[str, Any]
"""A group, a case and a series (who ran it, or against what), the ratio, and both times."""

GROUPS = {
    "calls": ("Calls that are not compiled, over the nest of jax.vmap", ["test_call_overhead"]),
    "declarations": ("Declarations, over jnp.vectorize's", ["test_declaration"]),
    "compiled": ("Compiled programs, over the nest or batched code", ["test_compiled"]),
    "jit": ("Calls of f.jit(), over a bare jax.jit of the nest", ["test_jit_call"]),
    "sizes": ("Sizes, chunks and folds, over doing without", ["test_sizes", "test_reduce"]),
}
"""The panels of the picture: the title, and the files whose benchmarks it shows."""

INK, GRID = "#1b1b1f", "#d8d8de"
STYLES = {
    "autovmap": ("#2f5fd0", "o"),
    "jax_autovmap": ("#b9762a", "s"),
    "jnp.vectorize": ("#3f8f5b", "D"),
    "equinox.filter_vmap": ("#a0458f", "^"),
    "equinox.filter_jit": ("#a0458f", "v"),
    "einx": ("#7a7a85", "P"),
    "paired": ("#2f5fd0", "o"),
    "crossed": ("#6f94e8", "s"),
    "over batched code": ("#10317f", "^"),
}
"""The colour and the marker of each series; ours are blue."""

BATCHES = ("paired", "crossed", "over batched code")


def kept(results: Path) -> list[Row]:
    """What is kept of a run's results."""
    found: list[Row] = []
    for one in json.loads(results.read_text())["benchmarks"]:
        info = one["extra_info"]
        if "ratio" not in info:
            continue
        file = Path(one["fullname"].partition("::")[0]).stem
        group = next((name for name, (_, files) in GROUPS.items() if file in files), "sizes")
        row = {key: info[key] for key in ("case", "who", "ratio")} | {"group": group}
        row |= {key: info[key] for key in ("seconds", "nest_seconds") if key in info}
        row |= {key: info[key] for key in ("flops ratio", "bytes ratio") if key in info}
        found.append(row)
    return found


def placed(row: Row) -> tuple[str, str]:
    """The line of a row, and its series there."""
    case, who = row["case"].removeprefix("jit: ").removeprefix("equinox: "), row["who"]
    name, _, batch = case.rpartition(", ")
    return (name, batch) if row["group"] == "compiled" and batch in BATCHES else (case, who)


def lines_of(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """The ratio of each series by line."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        line, series = placed(row)
        if "control" not in series and ".plan()" not in series:
            found.setdefault(line, {})[series] = row["ratio"]
    return found


def table(rows: list[Row]) -> str:
    """A group in Markdown: a line a case, a column a series."""
    lines = lines_of(rows)
    series = list(dict.fromkeys(name for values in lines.values() for name in values))
    text = [f"| case | {' | '.join(series)} |", f"| --- |{' ---: |' * len(series)}"]
    for line, values in lines.items():
        cells = (f"{values[name]:.2f}" if name in values else "" for name in series)
        text.append(f"| {line} | {' | '.join(cells)} |")
    return "\n".join(text)


def draw(rows: list[Row]) -> None:
    """A panel a group, a line a case, a mark a series: 1 is what it is compared with."""
    groups = {name: lines_of(row for row in rows if row["group"] == name) for name in GROUPS}
    groups = {name: lines for name, lines in groups.items() if lines}
    heights = [len(lines) + 3.0 for lines in groups.values()]
    fig, panels = plt.subplots(
        len(groups), 1, figsize=(7.6, 0.25 * sum(heights)), height_ratios=heights,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for axes, (name, lines) in zip(panels[:, 0], groups.items(), strict=True):
        panel(axes, GROUPS[name][0], lines)
    panels[-1, 0].set_xlabel("time over what it is compared with (1: the same; left: less)")
    for suffix in (".svg", ".png"):
        fig.savefig(PICTURE.with_suffix(suffix), dpi=140)


def panel(axes: Axes, title: str, lines: dict[str, dict[str, float]]) -> None:
    """One group; where one series alone is on a line its number stands beside the mark."""
    drawn: set[str] = set()
    for y, values in enumerate(lines.values()):
        axes.axhline(y, color=GRID, linewidth=0.6, zorder=0)
        for series, ratio in values.items():
            colour, marker = STYLES.get(series, (INK, "x"))
            near = [other for other in values if abs(math.log(values[other] / ratio)) < 0.03]
            at = y + (near.index(series) - (len(near) - 1) / 2) * 0.24  # so that both are seen
            known = series in drawn or (series == "autovmap" and "paired" in drawn)
            label = None if known else series
            drawn.add(series)
            axes.plot(ratio, at, marker, color=colour, markersize=5, label=label, linestyle="")
        ours = values.get("autovmap", next(iter(values.values())))
        if "autovmap" in values or len(values) == 1:
            axes.annotate(
                f"{ours:.2f}", (1.005, y), xycoords=("axes fraction", "data"), va="center",
                fontsize=8, color=STYLES["autovmap"][0],
            )  # fmt: skip
    axes.set_yticks(range(len(lines)), list(lines), fontsize=8.5)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    _scale(axes, [ratio for values in lines.values() for ratio in values.values()])
    axes.axvline(1, color=INK, linewidth=0.8, zorder=1)
    several = len(drawn) > 1
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", x=0, pad=22 if several else 6)
    if several:
        axes.legend(
            fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=5,
            handletextpad=0.1, columnspacing=1.0,
        )  # fmt: skip
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _scale(axes: Axes, ratios: list[float]) -> None:
    low, high = min(*ratios, 0.9), max(*ratios, 1.1)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.1, high * 1.1)
    fine = high / low < 5
    steps = (0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3) if fine else (0.005, 0.01, 0.1, 0.2, 0.5, 1, 2, 4)
    ticks = [tick for tick in steps if low / 1.1 <= tick <= high * 1.1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
    axes.minorticks_off()


def write_page(rows: list[Row]) -> None:
    """Each table of the page that a group belongs to."""
    text = PAGE.read_text()
    for name in GROUPS:
        found = [row for row in rows if row["group"] == name]
        if found:
            mark = re.escape(f"<!-- ratios: {name} -->")
            text = re.sub(
                rf"({mark}\n).*?(\n<!-- end -->)",
                lambda part, found=found: f"{part[1]}\n{table(found)}\n{part[2]}",
                text,
                flags=re.DOTALL,
            )
    PAGE.write_text(text)


def measured() -> list[Row]:
    """The rows of a new run of all benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = ["-m", "pytest", "benchmarks", "-q", f"--benchmark-json={results}"]
        # What fails misses its target; what was measured is kept all the same.
        subprocess.run([sys.executable, *command], cwd=ROOT, check=False)
        return kept(results)


if __name__ == "__main__":
    where = sys.argv[1:]
    store = PICTURE.with_suffix(".json")
    if where == ["--kept"]:
        rows = json.loads(store.read_text())
    else:
        rows = kept(Path(where[0])) if where else measured()
        groups = {row["group"] for row in rows}  # those that a run left out stay as they were
        rows += [row for row in json.loads(store.read_text()) if row["group"] not in groups]
        store.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    draw(rows)
    write_page(rows)
