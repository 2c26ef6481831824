"""The pictures of the docs are those that `docs/draw.py` draws, and each is shown."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the docs are not here")


def drawing() -> Any:
    """`docs/draw.py` as a module."""
    spec = importlib.util.spec_from_file_location("docs_draw", DOCS / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_up_to_date() -> None:
    draw = drawing()
    for name in draw.PLANS:
        kept = (DOCS / "pictures" / f"{name}.svg").read_text("utf-8")
        assert kept == draw.text(name), f"{name}: draw it again with `python docs/draw.py`"


def test_every_picture_of_a_plan_is_shown() -> None:
    shown_in = [*DOCS.rglob("*.md"), *DOCS.parent.glob("README.md")]
    pages = "".join(page.read_text("utf-8") for page in shown_in)
    shown = set(re.findall(r"pictures/([\w-]+)\.svg\)", pages))
    drawn = {path.stem for path in (DOCS / "pictures").glob("*.svg")}
    assert drawn == shown
