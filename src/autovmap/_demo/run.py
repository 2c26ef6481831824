"""The whole demo, in order: compute a stage, print it, draw at the end."""

import sys
from dataclasses import dataclass
from pathlib import Path

from autovmap._demo import report
from autovmap._demo.model import load_nile
from autovmap._demo.picture import Findings, draw
from autovmap._demo.study import (
    double_precision,
    level_at,
    literature_peak,
    refine,
    study_bootstrap,
    study_surface,
)
from autovmap._demo.timing import progress

NO_MATPLOTLIB = """\
No picture: matplotlib is not installed. To get it:

    pip install matplotlib
"""


@dataclass(frozen=True)
class Settings:
    """What the command line may change.

    Attributes:
        grid: points of each variance's axis.
        series: how many series to draw from the model.
        seed: of the draws.
        out: where the picture goes; None: no picture.
    """

    grid: int = 200
    series: int = 1000
    seed: int = 0
    out: Path | None = Path("nile.png")


def run_demo(settings: Settings) -> Findings:
    """Print the demo and write its picture; return what was found.

    Raises:
        OSError: the picture cannot be written.
    """
    with double_precision():
        findings = _print_stages(settings)
    if settings.out is not None:
        _write_picture(findings, settings.out)
    return findings


def _print_stages(settings: Settings) -> Findings:
    nile = load_nile()
    y, n = nile.flow, settings.grid
    _print(report.opening(nile))

    with progress(f"the likelihood on {n} x {n} variances, and the loops to compare it with"):
        surface = study_surface(y, n)
    _print(report.surface_section(surface))

    with progress("finer grids around the maximum"):
        peaks = (surface.peak, *refine(y, surface))
        literature = literature_peak(y)
    _print(report.peak_section(peaks, literature, n))

    with progress(f"{settings.series} series drawn from the model"):
        bootstrap = study_bootstrap(y, peaks[-1], settings.series, settings.seed)
    _print(report.bootstrap_section(peaks[-1], bootstrap))
    level = level_at(y, peaks[-1])
    return Findings(nile, surface, peaks[-1], literature, level, bootstrap)


def _write_picture(findings: Findings, out: Path) -> None:
    with progress("the picture"):
        drawn = draw(findings, out)
    if drawn:
        _print(f"The picture of all this: {out}")
    else:
        print(NO_MATPLOTLIB, end="", file=sys.stderr)


def _print(text: str) -> None:
    print(text, flush=True)
