"""Every message of `suite.py`, whole: class, text and notes, by every way that leads to it.

After a wanted change: `PYTHONPATH=tests python tests/faults/cases/suite.py`, and read the
difference.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import golden
from autovmap._plan import broadcast
from conftest import PATIENCE
from faults.cases.calls import Odd
from faults.cases.case import Case, section
from faults.cases.suite import CASES, GOLDEN, ROWS, WITHOUT_A_MESSAGE, kept_sections, texts

ROOT = Path(__file__).parents[2]


@pytest.mark.each
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_says(case: Case) -> None:
    if not case.possible:
        pytest.skip(f"this JAX has no jax.{case.needs}")
    assert section(case) == kept_sections(case.row)[case.name]


OWN_ERROR = next(case for case in CASES if case.id == "42 a user's own error")


@pytest.mark.parametrize("way", [way for way in OWN_ERROR.ways if not way.endswith(".plan")])
def test_42_an_error_of_the_function_keeps_its_type_and_gains_the_note(way: str) -> None:
    with pytest.raises(Odd, match=r"^as it was") as raised:
        OWN_ERROR.ways[way]()
    assert type(raised.value) is Odd
    assert "in odd(), called by autovmap" in "".join(raised.value.__notes__)


def test_no_file_and_no_case_is_left_over() -> None:
    assert golden.left_over(GOLDEN, texts()) == set()
    for row in {case.row for case in CASES}:
        assert list(kept_sections(row)) == [case.name for case in CASES if case.row == row]


def test_every_row_has_a_case_or_a_test() -> None:
    assert {case.row for case in CASES} | set(WITHOUT_A_MESSAGE) == set(ROWS)
    assert not {case.row for case in CASES} & set(WITHOUT_A_MESSAGE)
    assert max(Counter(case.id for case in CASES).values()) == 1


@pytest.mark.own
def test_the_tests_of_rows_without_a_message_exist() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *WITHOUT_A_MESSAGE.values()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert found.returncode == 0, found.stdout


def test_a_changed_message_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: another word in a message, and a way that says something else."""
    case = next(case for case in CASES if case.id == "31 strict")
    monkeypatch.setattr(broadcast, "account", lambda leaf: leaf.path)
    assert section(case) != kept_sections(31)["strict"]
