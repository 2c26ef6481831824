"""Telling how far a long call is."""

import contextlib
import warnings
from collections.abc import Callable, Generator
from typing import Any

from autovmap.errors import SpecError


@contextlib.contextmanager
def reporting(
    progress: Callable[[int, int], Any] | bool, total: int, function: str
) -> Generator[Callable[[int], None]]:
    """A function that is told how many examples are done, for as long as the call runs.

    >>> with reporting(lambda done, total: print(done, "of", total), 10, "f") as report:
    ...     report(5)
    5 of 10
    """
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    try:
        from tqdm import TqdmWarning
        from tqdm.auto import tqdm
    except ImportError as error:
        raise SpecError(
            f"{function}.chunk(progress=True) needs tqdm: pip install tqdm, or "
            f"pass a function that takes (done, total)"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # a notebook without its widgets
        bar = tqdm(total=total, desc=function, unit="example", unit_scale=True)
    with bar:

        def report(done: int) -> None:
            bar.update(done - bar.n)

        yield report
