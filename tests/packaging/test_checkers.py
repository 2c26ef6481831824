"""Type checkers see a decorated function's types, and find mistakes, where autovmap is installed.

mypy looks at an installed package only if it has `py.typed`, and at what its annotations say.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TYPED = Path(__file__).parents[1] / "typing" / "checkers"
FILES = ["right.py", "wrong.py"]
CHECKERS = {
    "pyright": ["--pythonpath", sys.executable, *FILES],
    "mypy": ["--strict", "--cache-dir", "cache", *FILES],
    "pyrefly": [
        *("check", "--preset", "default", "--search-path", ".", "--output-format", "min-text"),
        *("--python-interpreter-path", sys.executable, *FILES),
    ],
}


def flagged(checker: str, folder: Path) -> set[tuple[str, int]]:
    """The files and lines in which a checker finds errors."""
    command = [sys.executable, "-m", checker, *CHECKERS[checker]]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    lines = [line for line in run.stdout.splitlines() if re.search("error", line, re.IGNORECASE)]
    places = [re.search(r"(\w+\.py):(\d+):", line) for line in lines]
    return {(place[1], int(place[2])) for place in places if place}


@pytest.mark.parametrize("checker", CHECKERS)
def test_right_code_passes_and_every_mistake_is_found(checker: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed; the group checkers has it")
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    for path in TYPED.glob("*.py"):
        shutil.copy(path, tmp_path)
    wrong = (TYPED / "wrong.py").read_text().splitlines()
    marked = {("wrong.py", i) for i, line in enumerate(wrong, 1) if "# wrong: " in line}
    assert len(marked) > 20
    assert flagged(checker, tmp_path) == marked
