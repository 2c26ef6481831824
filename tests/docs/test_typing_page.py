"""pyright, in strict mode, agrees with every line of `docs/typing.md`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyright")

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "typing.md"
SETTINGS = {
    "typeCheckingMode": "strict",
    "reportUnnecessaryTypeIgnoreComment": "error",
    # JAX leaves parts of its own types unknown.
    "reportUnknownMemberType": "none",
    "reportUnknownArgumentType": "none",
}


def errors(text: str, folder: Path) -> list[str]:
    """What pyright says of a program."""
    (folder / "page.py").write_text(text, "utf-8")
    (folder / "pyrightconfig.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    run = subprocess.run([*command, "-p", str(folder)], capture_output=True, text=True, check=False)
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = [row for row in report["generalDiagnostics"] if row["severity"] == "error"]
    return [f"{row['range']['start']['line'] + 1}: {row['message']}" for row in found]


def test_the_page(tmp_path: Path) -> None:
    if not PAGE.exists():
        pytest.skip("the docs are not here")
    text = PAGE.read_text("utf-8")
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    planted = program.replace("layer(x, w, scale=2.0), Array", "layer(x, w, scale=2.0), int", 1)
    assert planted != program
    assert errors(program, tmp_path) == []
    assert len(errors(planted, tmp_path)) == 1
