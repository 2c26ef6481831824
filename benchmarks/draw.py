"""From the results of a run to the table and the picture of docs/performance.md.

    pytest benchmarks --benchmark-json=results.json
    python benchmarks/draw.py results.json docs/pictures/performance

It prints the table in Markdown, and writes the picture as SVG and as PNG.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

INK, GRID, OURS, OTHERS = "#1b1b1f", "#d8d8de", "#2f5fd0", "#b9762a"


def rows(path: str) -> list[dict[str, Any]]:
    """What each benchmark kept of its ratio."""
    found = json.loads(Path(path).read_text())["benchmarks"]
    return [one["extra_info"] for one in found if "ratio" in one["extra_info"]]


def table(found: list[dict[str, Any]]) -> list[str]:
    """A Markdown table, a row a ratio."""
    lines = ["| case | who | ratio | flops | bytes |", "| --- | --- | ---: | ---: | ---: |"]
    for row in found:
        more = [str(row.get(f"{what} ratio", "")) for what in ("flops", "bytes")]
        lines.append(f"| {row['case']} | {row['who']} | {row['ratio']:.3f} | {' | '.join(more)} |")
    return lines


def draw(found: list[dict[str, Any]], target: str) -> None:
    """A dot a ratio on a logarithmic axis; 1 is what it is compared with."""
    shown = [row for row in found if "control" not in row["who"]]
    fig, axes = plt.subplots(figsize=(7.5, 0.24 * len(shown) + 1.1), layout="constrained")
    for y, row in enumerate(reversed(shown)):
        ours = row["who"].startswith("autovmap")
        axes.plot([1, row["ratio"]], [y, y], color=GRID, linewidth=2, zorder=1)
        axes.plot(row["ratio"], y, "o", color=OURS if ours else OTHERS, markersize=5, zorder=2)
        axes.annotate(
            f"{row['ratio']:.2f}", (row["ratio"], y), (6, 0), textcoords="offset points",
            va="center", fontsize=7, color=INK,
        )  # fmt: skip
    labels = [
        row["case"] + ("" if row["who"] == "autovmap" else f" ({row['who']})")
        for row in reversed(shown)
    ]
    axes.set_yticks(range(len(shown)), labels, fontsize=7)
    axes.set_xscale("log")
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.margins(x=0.12, y=0.01)
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 4) if t > 0.05]
    axes.set_xticks(ticks, [str(t) for t in ticks], fontsize=7)
    axes.minorticks_off()
    axes.set_xlabel("time over what it is compared with (1: the same)", fontsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for suffix in (".svg", ".png"):
        fig.savefig(target + suffix, dpi=140)


if __name__ == "__main__":
    results, target = sys.argv[1:]
    found = rows(results)
    print("\n".join(table(found)))
    draw(found, target)
