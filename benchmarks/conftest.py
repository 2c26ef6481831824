"""Settings that every benchmark shares, and the table of ratios at the end of a run."""

import os
import sys
from pathlib import Path

# Set before JAX and NumPy load the library: with more threads a batched triangular_solve takes
# 0.45 ms at one shape and 160 ms at the next.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest

# `ratios` and `calls` are plain modules that the benchmarks import.
sys.path.insert(0, str(Path(__file__).parent))

from ratios import Ratio, circumstances, table

RATIOS = pytest.StashKey[list[Ratio]]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """In one process: others would take the cores, and pytest-benchmark measures nothing there."""
    return 0


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RATIOS] = []


@pytest.fixture
def record(request: pytest.FixtureRequest, benchmark):
    """Keep a ratio: in the benchmark's `extra_info`, and for the table."""

    def keep(ratio: Ratio) -> None:
        benchmark.extra_info.update(ratio.as_info())
        request.config.stash[RATIOS].append(ratio)

    return keep


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    ratios = config.stash[RATIOS]
    if ratios:
        terminalreporter.section("one call over the hand-written nest of jax.vmap")
        terminalreporter.write_line(circumstances())
        terminalreporter.write_line("")
        for line in table(ratios):
            terminalreporter.write_line(line)
