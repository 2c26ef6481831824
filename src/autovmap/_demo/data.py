"""The Nile's annual flow at Aswan, as it lies in the package (its source: README.md beside it)."""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Nile:
    """One flow a year, in units of 10^8 cubic metres."""

    year: NDArray[np.int64]
    flow: NDArray[np.float64]


def load_nile() -> Nile:
    """Read the series from the installed package.

    >>> nile = load_nile()
    >>> nile.year[[0, -1]].tolist(), nile.flow[:3].tolist(), nile.flow.shape
    ([1871, 1970], [1120.0, 1160.0, 963.0], (100,))
    """
    text = files("autovmap._demo").joinpath("nile.csv").read_text(encoding="utf-8")
    rows = np.array([line.split(",") for line in text.splitlines()[1:]])
    return Nile(year=rows[:, 0].astype(np.int64), flow=rows[:, 1].astype(np.float64))
