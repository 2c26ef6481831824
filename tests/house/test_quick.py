"""The run that leaves out what is slow: what it says at its end, in runs of a few planted tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import effort
from conftest import PATIENCE
from effort import asked_for, few

pytestmark = pytest.mark.own

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PLANTED = '''
"""Two quick tests, one that should be marked, and one of each mark."""

import os

import pytest


def work(seconds):
    start = sum(os.times()[:2])
    while sum(os.times()[:2]) < start + seconds:
        pass


def test_quick():
    pass


def test_profile():
    from conftest import PROFILE
    assert PROFILE == os.environ["EXPECTED_PROFILE"]


def test_unmarked():
    work(0.3)


@pytest.mark.parametrize("i", range(9))
def test_cases(i):
    pass


@pytest.mark.each
@pytest.mark.parametrize("i", range(9))
def test_parts_of_jax(i):
    pass


@pytest.mark.slow
def test_marked():
    work(0.3)


@pytest.mark.slow
@pytest.mark.long
def test_long():
    pass
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with the settings of this one, a limit of 0.2 seconds and the planted tests."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    for name in ("conftest.py", "effort.py", "caches.py"):
        shutil.copy(TESTS / name, tmp_path / "tests")
    text = (TESTS / "quick.py").read_text("utf-8")
    assert "LIMIT = 3.0" in text
    (tmp_path / "tests" / "quick.py").write_text(text.replace("LIMIT = 3.0", "LIMIT = 0.2"))
    (tmp_path / "tests" / "test_planted.py").write_text(PLANTED)
    return tmp_path


def ran(folder: Path, *arguments: str, profile: str = "quick", sample: str = "") -> str:
    """What pytest says in the folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    for name in ("AUTOVMAP_HYPOTHESIS_PROFILE", "AUTOVMAP_SEED", "JAX_COMPILATION_CACHE_DIR"):
        env.pop(name, None)
    env |= {"EXPECTED_PROFILE": profile, "PYTHONPATH": "", "AUTOVMAP_FEW": sample}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_the_end_says_what_was_left_out_and_what_is_slow(folder: Path) -> None:
    """Gathered from two processes; `test_all_but_the_long_ones` runs in one."""
    said = ran(folder, "-n2")
    assert "21 passed" in said
    assert '1 slow test left out: pytest -m ""' in said
    assert "1 long test left out: pytest -m long" in said
    (warned,) = re.findall(r"^ +[\d.]+ s  (.*)$", said, re.MULTILINE)
    assert warned == "tests/test_planted.py::test_unmarked"


def test_all_but_the_long_ones(folder: Path) -> None:
    said = ran(folder, "-n0", "-m", "", profile="ci")
    assert "22 passed" in said
    assert "slow test left out" not in said
    assert "1 long test left out" in said
    assert "of each test's cases a few" not in said
    assert said.count(" s  tests/") == 1


@pytest.mark.slow
def test_the_long_ones_draw_a_seed_and_print_it(folder: Path) -> None:
    said = ran(folder, "-m", "long", profile="long")
    assert "1 passed" in said
    seed = re.search(r"AUTOVMAP_SEED=(\d+)", said)
    assert seed is not None
    assert int(seed[1]) not in (0, effort.SEED)


@pytest.mark.slow
def test_a_few_cases_of_each_test(folder: Path) -> None:
    said = ran(folder, "-n0", profile="few", sample="1")
    assert "14 passed" in said
    assert '1 slow test left out: pytest -m ""' in said
    assert "of each test's cases a few" in said


def test_the_cases_that_stand_for_all() -> None:
    for count in range(200):
        kept = few(count)
        assert kept <= set(range(count))
        assert len(kept) == max(min(count, 2), -(-count // 8))
    for ways in range(2, 13):
        assert {i % ways for i in few(30 * ways)} == set(range(ways))


def test_a_test_that_is_named_runs(folder: Path) -> None:
    said = ran(folder, "tests/test_planted.py::test_long", "tests/test_planted.py::test_marked")
    assert "2 passed" in said


def test_marks_in_an_expression() -> None:
    assert asked_for("long", "long or slow")
    assert not asked_for("long", "not long")
    assert not asked_for("long", "")
    assert not asked_for("long", "longer")
