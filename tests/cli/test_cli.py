"""The command line: options, help and exit codes. What the demo prints is in test_demo."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from autovmap import _cli
from autovmap._demo import run
from conftest import PATIENCE

pytestmark = [pytest.mark.python, pytest.mark.own]


@pytest.fixture
def settings(monkeypatch) -> list[run.Settings]:
    """The settings of every demo started, none of which runs."""
    started: list[run.Settings] = []
    monkeypatch.setattr(run, "run_demo", started.append)
    return started


def test_defaults(settings):
    assert _cli.main(["demo"]) == 0
    assert settings == [run.Settings()]


def test_every_option(settings, tmp_path):
    out = tmp_path / "river.svg"
    options = ["--grid", "50", "--series", "7", "--seed", "3", "--out", str(out)]
    assert _cli.main(["demo", *options]) == 0
    assert settings == [run.Settings(grid=50, series=7, seed=3, out=out)]


def test_no_picture(settings):
    assert _cli.main(["demo", "--no-picture"]) == 0
    assert settings == [run.Settings(out=None)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dmo"], "invalid choice: 'dmo'"),
        (["demo", "--grid", "many"], "argument --grid: 'many' is not a whole number"),
        (["demo", "--grid", "9"], "argument --grid: 9 is not between 10 and 2000"),
        (["demo", "--series", "0"], "argument --series: 0 is not between 1 and 10000"),
        (["demo", "--seed", "-1"], "argument --seed: -1 is not between 0 and 2147483647"),
        (["demo", "--out", "nile.gif"], "'nile.gif' does not end in .png, .svg or .pdf"),
        (["demo", "--out", "no/such/nile.png"], f"there is no folder {str(Path('no/such'))!r}"),
        (["demo", "--out", "a.png", "--no-picture"], "not allowed with argument --out"),
    ],
)
def test_wrong_command_line(arguments, message, settings, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        _cli.main(arguments)
    assert message in capsys.readouterr().err
    assert not settings


def test_out_that_is_a_folder(tmp_path, capsys):
    folder = tmp_path / "a.png"
    folder.mkdir()
    with pytest.raises(SystemExit, match=r"^2$"):
        _cli.main(["demo", "--out", str(folder)])
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "nile.png"), 1, "Permission denied: 'nile.png'"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_failures(error, code, said, monkeypatch, capsys):
    def fail(_: run.Settings) -> None:
        raise error

    monkeypatch.setattr(run, "run_demo", fail)
    assert _cli.main(["demo"]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_help_fits_80_columns_and_names_the_exit_codes(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match=r"^0$"):
        _cli.main([*command, "--help"])
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "exit codes:" in text
    assert "demo" in text


def python_m(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "autovmap", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)


def test_runs_as_a_module():
    done = python_m("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"autovmap {version('autovmap')}\n"


@pytest.mark.slow
def test_whole_demo_as_a_module(tmp_path):
    done = python_m("demo", "--grid", "20", "--series", "5", "--no-picture", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2. The most likely variances" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error there")
def test_a_closed_pipe_is_no_failure():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "autovmap", "demo", "--grid", "10", "--series", "2"]
    done = subprocess.run(
        [*command, "--no-picture"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
