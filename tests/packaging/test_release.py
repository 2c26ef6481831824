"""A tag is released if version and changelog agree with it; the workflows name real sessions."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
assert SPEC is not None
assert SPEC.loader is not None
release = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(release)

pytestmark = pytest.mark.source
READY = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2030-01-31\n\n- One change.\n"


def tree(folder: Path, changes: str) -> Path:
    (folder / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (folder / "CHANGELOG.md").write_text(changes)
    return folder


def test_ready(tmp_path: Path) -> None:
    assert release.unready("v1.2.3", tree(tmp_path, READY)) == []


@pytest.mark.parametrize(
    ("tag", "changes", "said"),
    [
        ("v1.2.4", READY, "the tag is v1.2.4, but pyproject.toml says version 1.2.3"),
        ("1.2.3", READY, "the tag is 1.2.3, but pyproject.toml says version 1.2.3"),
        ("v1.2.3", READY.replace(" - 2030-01-31", ""), "no section [1.2.3] with a date"),
        ("v1.2.3", READY.replace("1.2.3", "1.2.2"), "no section [1.2.3] with a date"),
        ("v1.2.3", READY.replace("- One change.", ""), "[1.2.3] of CHANGELOG.md is empty"),
        ("v1.2.3", READY.replace("## [Unreleased]", ""), "no section [Unreleased]"),
    ],
)
def test_unready(tmp_path: Path, tag: str, changes: str, said: str) -> None:
    (problem,) = release.unready(tag, tree(tmp_path, changes))
    assert said in problem


def sessions() -> set[str]:
    """The sessions of noxfile.py, by the names that `nox -s` takes."""
    found = set()
    for node in ast.parse((ROOT / "noxfile.py").read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and any(
            "session" in ast.unparse(decorator) for decorator in node.decorator_list
        ):
            found.add(node.name)
    return found


def test_ci_and_workflows_run_sessions_that_there_are() -> None:
    if not (ROOT / ".github").exists():
        pytest.skip("an sdist has no workflows")
    files = [ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").glob("*.yml")]
    named = set()
    for file in files:
        text = file.read_text("utf-8")
        named |= set(re.findall(r"\bsession: (\w[\w.-]*)", text))
        named |= set(re.findall(r"\bnox -s (\w[\w.-]*)", text))
        for row in re.findall(r"(?:session: \[|one=\(|other=\()([^)\]]*)", text):
            named |= set(re.findall(r"(?<!\S)\"?(\w[\w.-]*)", row.replace(",", " ")))
    assert {"tests-3.11", "lint", "dist", "lowest", "long", "release"} <= named
    assert {name.partition("-3.")[0] for name in named} <= sessions()
