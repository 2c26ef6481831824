"""Settings that every test shares: threads, caches, and how hard tests try.

How hard, and how patient: `effort`. What is kept from one run to the next: `caches`. What `pytest`
leaves out, and what it says of that: `quick`.
"""

import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

# OpenBLAS starts a thread a core for each small solve, which is slower than one: set it before
# JAX and NumPy load the library.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Several processes run tests at once, which a GPU's memory would not bear by default.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pytest

# `oracle` and `strategies` are plain modules that tests in sub-folders import too.
sys.path.insert(0, str(Path(__file__).parent))

import caches
import effort
from autovmap import _lines

# Tests take these from here. They are imported once the profile is chosen, and import this module
# anew, under the name `conftest`: pytest knows it as `tests.conftest`.
from effort import CASES, PATIENCE, PROFILE, SEED, scaled

__all__ = ["CASES", "PATIENCE", "PROFILE", "SEED", "scaled"]

pytest_plugins = ["quick"]

TESTS = Path(__file__).parent
WIDTH = _lines.WIDTH


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    effort.choose(config.option.markexpr)
    caches.keep(effort.PROFILE)
    if effort.PROFILE not in effort.REPEATED and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(effort.SEED)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Messages are not broken into lines, so that a test finds any part of them; golden files are.

    A change of one word may move every break after it.
    """
    broken = item.path.name == "test_golden.py" or not item.path.is_relative_to(TESTS)
    _lines.WIDTH = WIDTH if broken else 10_000


def pytest_report_header() -> str:
    repeat = "" if effort.SEED == 0 else f", repeat it with AUTOVMAP_SEED={effort.SEED}"
    return f"autovmap: profile {effort.PROFILE}{repeat}; programs kept in {caches.programs()}"


@pytest.fixture(autouse=True)
def declarations_of_its_own(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no test find what was declared while another one had a part of the library replaced.

    A declaration is kept on its function, with all that was made of it: what a planted fault let
    through would go on living there.
    """
    if "monkeypatch" not in request.fixturenames:
        yield
        return
    from autovmap._function import known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "ATTRIBUTE", f"{known.ATTRIBUTE}{request.node.name}")
        patch.setattr(known, "_alive", weakref.WeakValueDictionary())
        yield


@pytest.fixture(scope="module", autouse=True)
def programs_of_its_own() -> Iterator[None]:
    """Let go of a file's programs at its end: those of all files are gigabytes in each process."""
    yield
    import jax

    jax.clear_caches()
