"""Texts that are kept as files and were read by eye: how they are compared and written anew."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def kept(folder: Path, name: str) -> str:
    """The text of one file."""
    return (folder / name).read_text(encoding="utf-8")


def write(folder: Path, texts: Mapping[str, Callable[[], str]]) -> None:
    """Write every text to its file."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text(), encoding="utf-8")


def left_over(folder: Path, wanted: Iterable[str]) -> set[str]:
    """The files that no text belongs to."""
    return {path.name for path in folder.iterdir()} - set(wanted)
