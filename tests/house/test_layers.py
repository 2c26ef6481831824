"""The layers of the library: imports run one way, and the public names of JAX are enough."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.source

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "autovmap"
ONE_WAY = "Imports run one way"
NO_JAX = "The spec and the plan know no JAX"


def lint_imports(root: Path) -> tuple[int, str]:
    """Exit code and words of import-linter about the library in `root/src`."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            f"--config={root / 'pyproject.toml'}",
            "--no-cache",
        ],
        cwd=root / "src",  # import-linter looks here first
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def copy(tmp_path):
    """A copy of the library to plant in."""
    pytest.importorskip("importlinter")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE, tmp_path / "src" / "autovmap", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept(copy):
    code, words = lint_imports(copy)
    assert code == 0, words
    assert f"{ONE_WAY} KEPT" in words
    assert f"{NO_JAX} KEPT" in words


@pytest.mark.parametrize(
    ("module", "imported", "contract"),
    [
        ("_function", "autovmap._cli.commands", ONE_WAY),
        ("_run", "autovmap._function.decorated", ONE_WAY),
        ("_run", "autovmap._show.table", ONE_WAY),
        ("_bind", "autovmap._run", ONE_WAY),
        ("_show", "autovmap._ways", ONE_WAY),
        ("_ways", "autovmap._function", ONE_WAY),
        ("_ways", "autovmap._named", ONE_WAY),
        ("_plan", "autovmap._bind.leaves", ONE_WAY),
        ("_spec", "autovmap._plan", ONE_WAY),
        ("errors", "autovmap._spec", ONE_WAY),
        ("_cache", "autovmap.errors", ONE_WAY),
        ("_spec", "autovmap", ONE_WAY),
        ("_spec", "jax", NO_JAX),
        ("_spec", "jax.numpy", NO_JAX),
        ("_plan", "jax", NO_JAX),
        ("_plan", "jaxlib", NO_JAX),
    ],
)
def test_a_planted_import_is_caught(copy, module, imported, contract):
    place = copy / "src" / "autovmap" / module
    place = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    with place.open("a") as file:
        file.write(f"\nimport {imported}\n")
    code, words = lint_imports(copy)
    assert code == 1, words
    assert f"{contract} BROKEN" in words


def private_names(source: str) -> Iterator[str]:
    """Every import or use of `jax._src` or `jax.core` in a module."""
    private = ("jax._src", "jax.core")
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names, level=0):
                found = [f"{module}.{alias.name}" for alias in names]
            case ast.Attribute():
                found = [ast.unparse(node)]
            case ast.Constant(value=str(value)):  # importlib.import_module("jax._src")
                found = [value]
            case _:
                continue
        for name in found:
            if name in private or name.startswith(tuple(f"{start}." for start in private)):
                yield name


def module_level_imports(source: str) -> Iterator[str]:
    """The packages that importing a module imports."""
    for node in ast.parse(source).body:
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_private_jax(path):
    assert not list(private_names(path.read_text()))


@pytest.mark.parametrize(
    "planted",
    [
        "import jax._src.core",
        "import jax.core as core",
        "from jax import core",
        "from jax._src import api",
        "from jax.core import Tracer",
        "import jax\nx = isinstance(1, jax.core.Tracer)",
        "import importlib\nimportlib.import_module('jax._src.api')",
    ],
)
def test_private_jax_is_caught(planted):
    assert list(private_names(planted))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_importing_needs_the_run_time_dependencies_only(path):
    allowed = {*sys.stdlib_module_names, "autovmap", "jax", "jaxlib", "numpy", "optree"}
    assert set(module_level_imports(path.read_text())) <= allowed


def test_a_module_level_import_is_caught():
    assert list(module_level_imports("import os\nimport tqdm.auto")) == ["os", "tqdm"]
