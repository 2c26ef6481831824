"""Types survive decoration: pyright agrees with the typed files of tests/typing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyright")

pytestmark = pytest.mark.slow

TYPED = Path(__file__).parents[1] / "typing"
SETTINGS = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error"}


def errors(folder: Path) -> dict[str, list[str]]:
    """What pyright says of each file in a folder that holds nothing else."""
    (folder / "pyrightconfig.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    run = subprocess.run([*command, "-p", str(folder)], capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)
    found: dict[str, list[str]] = {path.name: [] for path in folder.glob("*.py")}
    assert report["summary"]["filesAnalyzed"] == len(found)
    for row in report["generalDiagnostics"]:
        line = row["range"]["start"]["line"] + 1
        found[Path(row["file"]).name].append(f"{line}: {row['message']}")
    return found


def test_types_survive_and_planted_mistakes_are_caught(tmp_path):
    for path in TYPED.glob("*.py"):
        shutil.copy(path, tmp_path)
    source = (TYPED / "decorated_function.py").read_text()
    plants = {
        "wrong_result.py": source.replace("scaled(s, v), Array)", "scaled(s, v), int)"),
        "stale_ignore.py": source.replace("scaled(s)  # pyright", "scaled(s, v)  # pyright"),
        "wrong_call.py": source + "\n\nscaled()\n",
    }
    for name, text in plants.items():
        assert text != source
        (tmp_path / name).write_text(text)

    found = errors(tmp_path)
    assert {name: len(found.pop(name)) for name in plants} == dict.fromkeys(plants, 1)
    assert found == {path.name: [] for path in TYPED.glob("*.py")}
