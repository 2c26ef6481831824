"""The page of the architecture holds the tree as it is: its picture, its modules, its places."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
pytestmark = [
    pytest.mark.source,
    pytest.mark.skipif(not PAGE.exists(), reason="the docs are not here"),
]


@pytest.fixture(scope="module")
def house() -> Any:
    """`docs/house.py` as a module."""
    spec = importlib.util.spec_from_file_location("docs_house", ROOT / "docs" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_modules_is_the_tree(house: Any) -> None:
    text = PAGE.read_text("utf-8")
    assert text == house.page(text), "write it again with `python docs/house.py`"
    for path in (ROOT / "src" / "autovmap").rglob("*.py"):
        assert house.sentence(path), f"{path} does not say what it holds"


def test_the_picture_is_the_tree(house: Any) -> None:
    drawn = house.PICTURE.read_text("utf-8")
    assert drawn == house.picture(), "draw it again with `python docs/house.py`"


def test_every_room_is_drawn(house: Any) -> None:
    rooms = {path.name for path in house.SOURCE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(house.ORDER)


def places(text: str) -> list[str]:
    """The modules and folders that the page names in its prose."""
    before, _, after = text.partition("## The modules")
    found = re.findall(r"`(_?[a-z]+/[\w/]*(?:\.py)?)`", before + after.partition("-->")[2])
    return [name for name in found if not name.startswith("docs/_build")]


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_each_place_that_is_named_exists(house: Any, page: str) -> None:
    for name in places((ROOT / page).read_text("utf-8")):
        roots = [ROOT, house.SOURCE]
        known = any((root / n).exists() for root in roots for n in (name, f"{name}.py"))
        assert known, f"{page} names {name}, which is not there"


def test_a_place_that_is_gone_is_caught() -> None:
    assert places("see `_run/steps` and `_run/gone.py` ## The modules") == [
        "_run/steps",
        "_run/gone.py",
    ]
