"""`python -m autovmap explain`: what it prints and writes, and how it fails."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import jax
import pytest

from autovmap import _cli
from conftest import PATIENCE

pytestmark = pytest.mark.own

MODULE = """
import jax.numpy as jnp
from autovmap import auto_vmap, named_vmap

@named_vmap("(a b) [n] -> a b", a=2)
def by_name(x):
    return x.sum()

@auto_vmap(y=1, scale=0)
def energy(y, scale):
    return scale * (y @ y)

def plain(x):
    return x

class Model:
    @auto_vmap(x=1)
    def at(self, x):
        return x
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "explained_module.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert _cli.main(["explain", *words]) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def test_signature(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "(m,n),(n)->(m)", "5,3,4", "4") == (
        "f: batch shape (5,)\n"
        "  argument  array           -1 | core\n"
        "  a         float32[5,3,4]   5 | m=3, n=4\n"
        "  b         float32[4]       . | n=4\n"
        "  result                     5 | m=3\n"
        "  vmap 1: batch axis -1, size 5, over a\n"
        "  (.: no such dim)\n"
    )


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["0,1,2", "()", "7,1,3", "7,5,3,3"], ["batch shape (7, 5)"]),
        (["0,None,key", "[5]", "i32[5]", "key[2,1]"], ["batch shape (2, 5)", "int32[5]"]),
        (["{'s': 0, 'v': 1}", "v=bf16[4,3]", "s=f16[2,1]"], ["(2, 4)", "bfloat16[4,3]"]),
        (["1", "b,3"], ["batch shape (b,)"]),
        (["1,1", "b,3", "b,1,3"], ["batch shape (b, b)"]),
        (["explained_module:energy", "f32[100,3]", "scale=f32[200,1]"], ["energy", "(200, 100)"]),
        (["explained_module:Model.at", "()", "4,3"], ["Model.at", "batch shape (4,)"]),
        (["explained_module:energy", "4,3", "()", "--outputs"], ["result    float32[4]"]),
        (["1,1", "5,3", "3", "--code"], ["def call(f, a, b):", "jax.vmap(f, in_axes=(0, None))"]),
        (["(),()->()", "4,1", "3"], ["batch shape (4, 3)"]),
        (["b q [k], [k] b -> q b", "2,3,4", "4,2"], ["pattern: b q [k], [k] b -> q b", "(3, 2)"]),
        (["a->a", "3"], ["batch shape (3,)", "pattern: a->a"]),
        (["(a b)->b a", "6", "a=2"], ["batch shape (3, 2)", "reshaped to (2, 3)"]),
        (["(a b)... -> a... b...", "4,6", "a=2,3"], ["batch shape (2, 3, 2, 2)"]),
        (["(a b) [n] -> b a", "6,3", "a=2", "--code"], ["jax.numpy.reshape(x0, (2, 3, 3))"]),
        (["explained_module:by_name", "6,4"], ["by_name", "pattern: (a b) [n] -> a b"]),
        (["explained_module:by_name", "6,4", "--outputs"], ["result    float32[2,3]"]),
    ],
)
def test_what_it_says(words: list[str], parts: list[str], capsys) -> None:
    text = said(capsys, *words)
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["1,1", "4,3", "5,3"], 1, "batch axis -1 has size 4 in a and size 5 in b"),
        (["(m,n),(n)->(m)", "5,3,4", "5"], 1, "inconsistent size for core dimension 'n'"),
        (["2", "3"], 1, "below its base rank 2"),
        (["(m,n->(m)", "3"], 2, "(m,n->(m)"),
        (["a [b] c", "3"], 2, "is not a signature"),
        (["a [b -> a", "3,4"], 2, "opens '[' and does not close it"),
        (["a b, a -> a b", "3,4", "5"], 1, "axis 'a' has size 3 in x0 and size 5 in x1"),
        (["(a b) -> a b", "6"], 2, "give a=... to named_vmap"),
        (["a b -> a", "3,4", "--outputs"], 2, "--outputs needs a function"),
        (["1,1", "4,3"], 2, "ranks 2 arguments, but there are 1 SHAPEs"),
        (["(m)->()"], 2, "give a SHAPE for each argument"),
        (["1,x", "3", "3"], 2, "'x' in it is not a base rank"),
        (["{'a': 1", "3"], 2, "can't be read as a dict"),
        (["{'a b': 1}", "3"], 2, "'a b' is not a name"),
        (["[1]", "3"], 2, "is not a signature"),
        (["1", "3,["], 2, "SHAPE '3,[' can't be read"),
        (["1", "3,4x"], 2, "'4x' is not a size"),
        (["1", "zz8[3]"], 2, "'zz8' is not a dtype"),
        (["1", "b=3"], 2, "give a SHAPE for each argument"),
        (["1,1", "a=3", "3"], 2, "comes after one that has"),
        (["no_such_module:f", "3"], 2, "No module named 'no_such_module'"),
        (["explained_module:nothing", "3"], 2, "has no attribute 'nothing'"),
        (["explained_module:plain", "3"], 2, "is not decorated by auto_vmap"),
        (["1", "3", "--outputs"], 2, "--outputs needs a function"),
    ],
)
def test_failures(words: list[str], code: int, part: str, capsys) -> None:
    text = said(capsys, *words, code=code)
    assert text.startswith("autovmap explain: ")
    assert part in text


@pytest.mark.parametrize(
    ("option", "part"),
    [
        (["--svg", "plan.png"], "'plan.png' does not end in .svg"),
        (["--html", "no/such/plan.html"], "there is no folder"),
    ],
)
def test_wrong_files(option: list[str], part: str, capsys) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        _cli.main(["explain", "1", "3", *option])
    assert part in capsys.readouterr().err


def test_files(capsys, tmp_path: Path) -> None:
    said(capsys, "1,1", "5,1,3", "4,3", "--svg", "plan.svg", "--html", "plan.html")
    assert ET.parse(tmp_path / "plan.svg").getroot().tag.endswith("svg")
    html = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "<svg" in html


def test_help(capsys) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        _cli.main(["explain", "--help"])
    text = capsys.readouterr().out
    for part in ("package.module:name", "f32[5,3,4]", "examples:", "exit codes:"):
        assert part in text


def test_ascii_terminal_and_no_device() -> None:
    """A process whose terminal has ASCII alone, and whose JAX may use no backend that exists."""
    # The oldest JAX looks for a backend where it only asks for the name of a dtype.
    platform = "nonexistent" if hasattr(jax, "new_ref") else "cpu"
    found = subprocess.run(
        [sys.executable, "-m", "autovmap", "explain", "{'\u00e9': 1}", "4,3"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "JAX_PLATFORMS": platform},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert found.returncode == 0, found.stderr
    assert "float32[4,3]" in found.stdout
    assert "\\xe9" in found.stdout
