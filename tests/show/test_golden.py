"""Words, code and pictures of a table of calls, kept as files that were read by eye.

After a wanted change: `PYTHONPATH=tests python tests/show/gallery.py`, and read the difference.
"""

import pytest

import golden
from show.gallery import FORMS, GALLERY, GOLDEN, PICTURES, SHOWN, text, texts

pytestmark = pytest.mark.own


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", GALLERY)
def test_golden(name: str, form: str) -> None:
    # The default PRNG has another name in other versions of JAX.
    assert text(name, form) == golden.kept(GOLDEN, f"{name}.{form}")


def test_no_file_is_left_over() -> None:
    assert golden.left_over(GOLDEN, texts()) == set()


@pytest.mark.parametrize("name", SHOWN)
def test_the_docs_show_the_same_picture(name: str) -> None:
    if not PICTURES.exists():
        pytest.skip("the docs are not here")
    assert golden.kept(PICTURES, f"{name}.svg") == golden.kept(GOLDEN, f"{name}.svg")


@pytest.mark.parametrize("name", GALLERY)
def test_text_fits_any_terminal(name: str) -> None:
    shown = str(GALLERY[name]())
    assert shown.isascii()
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "\n\n" not in shown
    assert repr(GALLERY[name]()) == shown
