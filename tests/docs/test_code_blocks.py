"""Every block of Python in the docs runs: as a doctest, or here.

`pycon` blocks are doctests, which `pytest --doctest-glob="*.md"` runs. The `python` blocks of a
page are run here, in order, as one program; a `{code-block} python` with a caption is a file of its
own, which is run as the shell block after it says. The pages of the gallery show parts of scripts,
which have tests of their own, and what these print.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import PATIENCE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts]
PAGES += [page for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md") if page.exists()]
RUN = {"pycon", "python", "{code-block} python"}
NOT_CODE = {"bash", "console", "{toctree}", "{eval-rst}"}
SCRIPT = re.compile(r"(\{literalinclude\} \w+\.py|text)")
FENCE = re.compile(r"^(`{3,})([^`\n]*)\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)
CAPTION = re.compile(r"\A:caption: (\S+)\n\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: what its fence says, and its text."""

    kind: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, those in comments too."""
    return [Block(found[2].strip(), found[3]) for found in FENCE.finditer(page)]


def problems(page: str, gallery: bool = False) -> list[str]:
    """What stands in a page that nothing runs."""
    found: list[str] = []
    for block in blocks(page):
        if gallery and SCRIPT.fullmatch(block.kind):
            continue
        if block.kind not in RUN | NOT_CODE:
            found.append(f"a block of the kind {block.kind!r}, which nothing runs")
        if block.kind == "pycon" and not block.text.startswith(">>> "):
            found.append("a doctest that does not begin with a prompt")
        if block.kind == "pycon" and not block.text.endswith("\n\n"):
            found.append("a doctest without a blank line at its end, which the fence would join")
        if block.kind not in ("pycon", "{eval-rst}") and re.search(r"^\s*>>> ", block.text, re.M):
            found.append(f"a doctest in a block of the kind {block.kind!r}")
        if block.kind == "{code-block} python" and not CAPTION.match(block.text):
            found.append("a file without a name")
    outside = FENCE.sub("", page)
    if "```" in outside or re.search(r"^\s*>>> ", outside, re.M) or "~~~" in outside:
        found.append("code outside of a block")
    return found


def program(page: str) -> str:
    """The `python` blocks of a page, in order."""
    return "\n".join(block.text for block in blocks(page) if block.kind == "python")


def files(page: str) -> list[tuple[str, str, list[str]]]:
    """The files of a page: name, text, and the commands of the shell block after it."""
    found, all_blocks = [], blocks(page)
    for block, after in zip(all_blocks, [*all_blocks[1:], Block("", "")], strict=True):
        if block.kind == "{code-block} python":
            caption = CAPTION.match(block.text)
            assert caption is not None
            assert after.kind == "bash", f"no shell block says how {caption[1]} is run"
            commands = [line.rstrip(" &") for line in after.text.splitlines()]
            found.append((caption[1], block.text[caption.end() :], commands))
    return found


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def texts(kind: str) -> list[Path]:
    return [p for p in PAGES if any(b.kind == kind for b in blocks(p.read_text("utf-8")))]


def environment() -> dict[str, str]:
    return {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_nothing_is_left_out(page: Path) -> None:
    assert problems(page.read_text("utf-8"), gallery="gallery" in page.parts) == []


def test_what_is_left_out_would_be_seen() -> None:
    assert problems("```pycon\n>>> 1\n1\n\n```\n```python\nx = 1\n```\n") == []
    for planted in (
        "```py\nx = 1\n```\n",
        "```\nx = 1\n```\n",
        "~~~python\nx = 1\n~~~\n",
        "```python\n>>> 1\n```\n",
        "```bash\n>>> 1\n```\n",
        "```pycon\n1 + 1\n\n```\n",
        "```pycon\n>>> 1\n1\n```\n",
        "```{code-block} python\nx = 1\n```\n",
        ">>> 1\n1\n",
        "```{literalinclude} script.py\n```\n",
        "```text\nx = 1\n```\n",
    ):
        assert len(problems(planted)) == 1, planted
    assert problems("```{literalinclude} script.py\n```\n", gallery=True) == []
    assert len(problems("```py\nx = 1\n```\n", gallery=True)) == 1


@pytest.mark.parametrize("page", texts("python"), ids=ids)
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    """In a process of its own, as a page may set how many devices there are."""
    text = program(page.read_text("utf-8"))
    (tmp_path / "page.py").write_text(text, "utf-8")
    run = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", texts("{code-block} python"), ids=ids)
def test_files_run(page: Path, tmp_path: Path) -> None:
    for name, text, commands in files(page.read_text("utf-8")):
        (tmp_path / name).write_text(text, "utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = []
        for command in commands:
            first, *rest = shlex.split(re.sub(r"(127\.0\.0\.1):\d+", rf"\1:{port}", command))
            assert first == "python"
            started.append(
                subprocess.Popen(
                    [sys.executable, *rest],
                    cwd=tmp_path,
                    env=environment(),
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        try:
            said = [process.communicate(timeout=PATIENCE)[1] for process in started]
        finally:
            for process in started:
                process.kill()
        assert [process.returncode for process in started] == [0] * len(started), said
