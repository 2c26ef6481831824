"""What the wheel and the sdist hold: all of the library, what its tests need, and no more.

`AUTOVMAP_DIST` is the folder with both, as `nox -s dist` builds them.
"""

import os
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import autovmap

DIST = os.environ.get("AUTOVMAP_DIST", "")
ROOT = Path(__file__).parents[2]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
INCLUDED = TOOLS["hatch"]["build"]["targets"]["sdist"]["only-include"]
FOLDERS = [name for name in INCLUDED if (ROOT / name).is_dir()]
LEFT = {"__pycache__", "_build", "results"}
"""What tools leave in a checkout, beside folders whose names begin with a dot."""

pytestmark = pytest.mark.skipif(not DIST, reason="AUTOVMAP_DIST names no folder of distributions")


def of_kind(ending: str) -> Path:
    (found,) = Path(DIST).glob(f"autovmap-*{ending}")
    return found


def in_sdist() -> set[str]:
    """The files of the sdist, without its one top folder."""
    with tarfile.open(of_kind(".tar.gz")) as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
    return {name.partition("/")[2] for name in files}


def in_wheel() -> set[str]:
    with zipfile.ZipFile(of_kind(".whl")) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def in_tree() -> set[str]:
    """The files of the folders that go into the sdist, without what tools leave there."""
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    names = [path.relative_to(ROOT) for path in paths]
    return {
        str(name)
        for name in names
        if not LEFT & set(name.parts) and not any(part[0] == "." for part in name.parts[1:])
    }


def test_the_sdist_holds_the_tree() -> None:
    found = in_sdist()
    assert {name for name in found if name.partition("/")[0] in FOLDERS} == in_tree()
    beside = {name for name in found if "/" not in name}
    assert beside == (set(INCLUDED) - set(FOLDERS)) | {
        *("LICENSE", "PKG-INFO", "README.md", "pyproject.toml", ".gitignore")
    }


def test_the_wheel_holds_the_library_and_no_tests() -> None:
    info = f"autovmap-{autovmap.__version__}.dist-info"
    library = {name.removeprefix("src/") for name in in_sdist() if name.startswith("src/")}
    assert {"autovmap/py.typed", "autovmap/_demo/nile.csv"} <= library
    about = {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
    assert in_wheel() == library | about


def test_autovmap_is_installed_and_not_imported_from_a_checkout() -> None:
    assert "site-packages" in Path(autovmap.__file__).parts
    assert (Path(autovmap.__file__).parent / "py.typed").exists()
