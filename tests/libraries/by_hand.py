"""A library's own batched function against ours: equal where theirs goes, right where it fails."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from .loop import agrees, assert_same


def equal_and_beyond(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    ranks: Sequence[Any],
    *,
    both: Sequence[Any],
    beyond: Sequence[Any],
) -> None:
    """Compare on the arguments that theirs takes, and on shapes where it fails.

    There it raises, or gives something else than a loop over the examples does.
    """
    assert_same(ours(*both), theirs(*both))
    right = agrees(ours, ours.__wrapped__, ranks, *beyond)  # pyright: ignore
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever theirs says
        assert_same(theirs(*beyond), right)
