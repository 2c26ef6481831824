"""The picture: the likelihood surface with the bootstrap's peaks, and the river with its level."""

# matplotlib's types are partly unknown.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from autovmap._demo.maximise import Floats, Peak
from autovmap._demo.model import Nile
from autovmap._demo.study import Bootstrap, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REGIONS = {"50 %": 0.50, "90 %": 0.90, "99 %": 0.99}  # of confidence, two variances at once
X_TICKS, Y_TICKS = (30, 100, 300, 1000, 3000, 10000, 30000), (4000, 10000, 20000, 40000)
SHORE = ("#fff7e3", "#f8e3ae", "#bcd6c4", "#6facbf", "#3b80a8", "#23587f", "#1b4365")
INK, GREY, PEAK, WATER = "#1d2b36", "#8a96a0", "#c8323f", "#2b6c97"
LEGEND = {"frameon": True, "facecolor": "white", "edgecolor": "white", "framealpha": 0.95}
SETTINGS = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": 12.5,
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Findings:
    """All that the demo found, which is all that the picture shows."""

    nile: Nile
    surface: Surface
    peak: Peak
    literature: Peak
    level: Floats
    bootstrap: Bootstrap


def draw(findings: Findings, out: Path) -> bool:
    """Write the picture to `out`; False, and nothing written, where matplotlib is missing."""
    try:
        from matplotlib import style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    with style.context(["default", SETTINGS]):
        figure = Figure(figsize=(12.8, 5.8), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        draw_surface(left, findings)
        draw_river(right, findings)
        figure.savefig(out, dpi=150, facecolor="white")
    return True


def draw_surface(axes: Axes, findings: Findings) -> None:
    """The likelihood ratio on log axes, as regions of confidence, with all the peaks."""
    grid, peak = findings.surface.grid, findings.peak
    place = grid.var_level, grid.var_obs
    ratio = 2 * (peak.log_likelihood - findings.surface.values)
    shades = np.linspace(0, 11, 45) ** 2  # even steps of the ratio's root: of standard errors
    colors = shore(shades.size - 1)
    axes.contourf(*place, np.clip(ratio, 0, shades[-1]), levels=shades, colors=colors)
    # with two degrees of freedom, chi-squared's quantile p is -2 log(1 - p)
    heights = [-2 * np.log1p(-p) for p in REGIONS.values()]
    axes.contour(*place, ratio, levels=heights, colors=INK, linewidths=0.9)
    axes.plot([], [], color=INK, lw=0.9, label="regions of 50, 90 and 99 % confidence")
    _label_regions(axes, findings.surface, ratio, heights)
    _draw_peaks(axes, findings)
    axes.set(xscale="log", yscale="log")
    for axis, ticks in ((axes.xaxis, X_TICKS), (axes.yaxis, Y_TICKS)):
        axis.set_ticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set_xlabel("var_level, the variance of the level's change")
    axes.set_ylabel("var_obs, the variance of the noise")
    axes.set_title(f"The likelihood of {ratio.shape[0]} \u00d7 {ratio.shape[1]} variances")


def shore(count: int) -> list[tuple[float, ...]]:
    """Colours from the light sand of the peak to deep water."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shore", SHORE)
    return [shades(at) for at in np.linspace(0, 1, count)]


def _label_regions(axes: Axes, surface: Surface, ratio: Floats, heights: list[float]) -> None:
    """Each region's name at the top of its line, with a halo against the dots."""
    from matplotlib.patheffects import withStroke

    for name, height in zip(REGIONS, heights, strict=True):
        row = np.flatnonzero((ratio < height).any(axis=1))[-1]
        column = ratio[row].argmin()
        at = surface.grid.var_level[column], surface.grid.var_obs[row]
        axes.annotate(
            name, at, (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=9,
            path_effects=[withStroke(linewidth=2.5, foreground=SHORE[1])], zorder=5,
        )  # fmt: skip


def _draw_peaks(axes: Axes, findings: Findings) -> None:
    many, book, peak = findings.bootstrap.peaks, findings.literature, findings.peak
    count = many.var_obs.size
    axes.plot(
        many.var_level, many.var_obs, ".", ms=3.5, mew=0, color=INK, alpha=0.55, clip_on=False,
        label=f"maxima of {count:,} series drawn from the model",
    )  # fmt: skip
    axes.plot(
        book.var_level, book.var_obs, "o", ms=13, mfc="none", mec=INK, mew=1.6, ls="",
        label=f"Durbin and Koopman: {book.var_obs:,.0f} and {book.var_level:,.1f}",
    )  # fmt: skip
    axes.plot(
        peak.var_level, peak.var_obs, "+", ms=9, mec=PEAK, mew=2.2, ls="",
        label=f"maximum: {peak.var_obs:,.0f} and {peak.var_level:,.1f}",
    )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="lower left", **LEGEND)


def draw_river(axes: Axes, findings: Findings) -> None:
    """The flow, its smoothed level, and the level under each bootstrap series' variances."""
    nile, levels = findings.nile, findings.bootstrap.levels[:300]
    axes.plot(nile.year, levels.T, color=WATER, alpha=0.05, lw=1)
    axes.plot(nile.year, nile.flow, "-", lw=0.6, color=GREY)
    axes.plot(nile.year, nile.flow, "o", ms=3.5, mew=0, color=INK, label="flow")
    axes.plot(nile.year, findings.level, color=PEAK, lw=2.2, label="level, at the maximum")
    axes.plot([], [], color=WATER, lw=1, label=f"level, at the maxima of {len(levels)} series")
    axes.legend(loc="upper right", **LEGEND)
    axes.set_xlabel("year")
    axes.set_ylabel("10\u2078 m\u00b3 a year")
    axes.set_title("The Nile at Aswan")
