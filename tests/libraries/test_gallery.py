"""The scripts of docs/gallery: each runs, draws its picture, and is what its page says.

Each script compares its results with a loop over examples and with nested vmaps by hand, and fails
if they differ. That the comparison can fail is tested here.
"""

import importlib.util
import re
import runpy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

image = pytest.importorskip("matplotlib.image")

pytestmark = pytest.mark.libraries

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
NEEDS = {
    "kinematics": ["jaxlie"],
    "kalman": ["dynamax"],
    "gp": ["tinygp"],
    "ensemble": ["equinox", "optax"],
    "ode": ["diffrax"],
    "targets": ["rlax"],
}


def installed(name):
    return importlib.util.find_spec(name) is not None


@pytest.fixture(scope="module")
def common():
    """The module that the scripts share."""
    spec = importlib.util.spec_from_file_location("common", FOLDER / "common.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_script_is_tested():
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"common", "conftest"}
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"index"}
    assert scripts == pages == set(NEEDS)
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert all(f"]({name}.md)" in index and f"]({name}.png)" in index for name in NEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", NEEDS)
def test_script(name, tmp_path, monkeypatch, capsys):
    if not all(map(installed, NEEDS[name])):
        pytest.skip(f"needs {' and '.join(NEEDS[name])}")
    # In this process: one of its own imports JAX and the library anew, a quarter of its time.
    monkeypatch.setattr(sys, "argv", [f"{name}.py", str(tmp_path)])
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "common", raising=False)
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, SyntaxWarning):  # of libraries, as they are imported
            warnings.simplefilter("ignore", kind)
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert re.search(r"a loop over 30 of the \d+ examples gives the same", said)
    assert_a_picture(tmp_path / f"{name}.png", FOLDER / f"{name}.png")
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    plans = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert plans
    assert all(plan in said for plan in plans)


def assert_a_picture(path, kept):
    """A picture as large as the one that is kept, of many colours, that are not all one plane."""
    drawn, other = (image.imread(p)[..., :3] for p in (path, kept))
    assert drawn.shape == other.shape
    assert len(np.unique((drawn * 255).astype(np.uint8).reshape(-1, 3), axis=0)) > 50
    inked = (drawn < 0.99).any(-1)
    assert 0.02 < inked.mean() < 0.9
    # ink in every ninth of the picture
    assert all(part.any() for row in np.array_split(inked, 3) for part in np.array_split(row, 3, 1))
    assert kept.stat().st_size < 120_000


def test_the_marks_of_the_pages_are_in_the_scripts():
    for name in NEEDS:
        script = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        marks = re.findall(r':(?:start-after|end-before): "(.*)"', page)
        assert len(marks) == 6
        assert all(script.count(f"{mark}\n") == 1 for mark in marks)


def test_the_comparison_can_fail(common, capsys):
    x = np.arange(60.0).reshape(3, 20)
    common.check({"a": x, "b": -x}, x.shape, lambda i, j: {"a": x[i, j], "b": -x[i, j]})
    assert "a loop over 30 of the 60 examples" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="at example"):
        common.check({"a": x}, x.shape, lambda i, j: {"a": x[i, j] + 0.1})
    with pytest.raises(AssertionError, match="another structure"):
        common.check({"a": x}, x.shape, lambda i, j: x[i, j])
    with pytest.raises(AssertionError, match="another shape"):
        common.check(x, x.shape, lambda i, j: x[i])
