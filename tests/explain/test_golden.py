"""Words, code and pictures of a table of calls, kept as files that were read by eye.

After a wanted change: `PYTHONPATH=tests python tests/explain/gallery.py`, and read the difference.
"""

import pytest

from explain.gallery import FORMS, GALLERY, GOLDEN, PICTURES, SHOWN


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", GALLERY)
def test_golden(name: str, form: str) -> None:
    kept = (GOLDEN / f"{name}.{form}").read_text(encoding="utf-8")
    # The default PRNG has another name in other versions of JAX.
    assert FORMS[form](GALLERY[name]()) + "\n" == kept


def test_no_file_is_left_over() -> None:
    wanted = {f"{name}.{form}" for name in GALLERY for form in FORMS}
    assert {path.name for path in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("name", SHOWN)
def test_the_docs_show_the_same_picture(name: str) -> None:
    if not PICTURES.exists():
        pytest.skip("the docs are not here")
    assert (PICTURES / f"{name}.svg").read_text(encoding="utf-8") == (
        GOLDEN / f"{name}.svg"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GALLERY)
def test_text_fits_any_terminal(name: str) -> None:
    text = str(GALLERY[name]())
    assert text.isascii()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "\n\n" not in text
    assert repr(GALLERY[name]()) == text
