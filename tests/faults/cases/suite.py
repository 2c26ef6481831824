"""All cases, by row, and the golden files that hold their messages.

`PYTHONPATH=tests python tests/faults/cases/suite.py` writes the files anew, to be read before they
are committed. It needs a JAX that can make every mistake.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import golden
from faults.cases import batch_shapes, calls, decorating, found, leaves, results, structure
from faults.cases.case import Case, section

GOLDEN = Path(__file__).parents[1] / "golden"
ROWS = (*range(1, 55), *range(56, 63))
MODULES = (decorating, structure, leaves, batch_shapes, calls, results, found)
CASES: list[Case] = sorted(
    (case for module in MODULES for case in module.CASES), key=lambda case: case.row
)

WITHOUT_A_MESSAGE = {
    16: "tests/faults/test_structure.py::test_right",
    17: "tests/faults/test_structure.py::test_right",
    19: "tests/faults/test_structure.py::test_right",
    22: "tests/faults/test_structure.py::test_22_a_very_deep_tree",
    35: "tests/faults/test_batch_shapes.py::test_35_unusual_batch_shapes",
    37: "tests/faults/test_batch_shapes.py::test_37_arguments_committed_to_different_devices",
    40: "tests/faults/test_call_and_body.py::test_40_empty_and_many",
    41: "tests/faults/test_call_and_body.py::TestRow41",
    45: "tests/function/test_caches.py",
    46: "tests/compose/test_processes.py",
}
"""Rows where all is well, or that need several devices; and the test that holds each."""


def kept_sections(row: int) -> dict[str, str]:
    """The cases of a row as its golden file has them, by name."""
    parts = re.split(r"(?m)^(?=# )", golden.kept(GOLDEN, f"{row:02}.txt"))
    return {part.partition("\n")[0].removeprefix("# "): part for part in parts if part}


def texts() -> dict[str, Callable[[], str]]:
    """What each golden file is to hold."""
    return {case.file: partial(_text, case.row) for case in CASES}


def _text(row: int) -> str:
    return "".join(section(case) for case in CASES if case.row == row)


if __name__ == "__main__":
    golden.write(GOLDEN, texts())
    sys.exit(0)
