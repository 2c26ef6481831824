"""10,000 mutated shapes: what jaxtyping takes is read as jaxtyping reads it, and nothing fails."""

import random
import warnings
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from autovmap import SpecError, infer_ranks
from autovmap._spec.annotations.shapes import core_dims

pytestmark = pytest.mark.own

SEEDS = ["n m", "*batch n", "... 3 4", "#n _ n+1", "cols=4 n", "?*shape c", "2*n {k}", ""]
SEEDS += ["_ ... n"]
PIECES = [*"ab1 9_#?*.=+-²\n\té{}(", "...", "*b", " n ", "_", "#", " 3", "=", "n=", "n-1", "٣"]


def mutated(rng: random.Random) -> str:
    text = rng.choice(SEEDS)
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randint(0, len(text)) for _ in range(2))
        piece = rng.choice(PIECES)
        text = rng.choice([text[:i] + piece + text[i:], text[:i] + text[j:], text[:j] + text[i:]])
    return text


def annotation_of(text: str) -> Any:
    """The annotation, or None where jaxtyping itself refuses it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's, about the syntax of a symbolic dim
            return Float[np.ndarray, text]
    except Exception:  # jaxtyping raises whatever Python's compiler does
        return None


def rank_by_jaxtyping(annotation: Any) -> int | None:
    """How many core dims jaxtyping sees, or None where `...` or `*name` is not in front."""
    if annotation.index_variadic is None:
        return len(annotation.dims)
    return len(annotation.dims) - 1 if annotation.index_variadic == 0 else None


def test_core_dims_never_fail() -> None:
    rng = random.Random(0)
    for _ in range(10_000):
        text = mutated(rng)
        found = core_dims(text)
        assert found is None or len(found) <= len(text.split())


def test_what_jaxtyping_takes_has_the_same_rank() -> None:
    rng = random.Random(1)
    ranks: list[int | None] = []
    for _ in range(10_000):
        annotation = annotation_of(text := mutated(rng))
        if annotation is not None:
            found = core_dims(annotation.dim_str)
            ranks.append(rank_by_jaxtyping(annotation))
            assert (None if found is None else len(found)) == ranks[-1], text
    assert ranks.count(None) > 100
    assert sum(rank is not None and rank > 1 for rank in ranks) > 1000


def ranks_or_error(annotation: Any) -> dict[str, Any] | str:
    """What `infer_ranks` says of a function with that annotation."""

    def f(x: Any) -> Any:
        return x

    f.__annotations__ = {"x": annotation}
    try:
        return infer_ranks(f)
    except SpecError as error:
        return str(error)


def test_a_function_has_ranks_or_an_error_that_shows_the_annotation() -> None:
    rng = random.Random(2)
    refused = 0
    for _ in range(2_000):
        annotation = annotation_of(mutated(rng))
        if annotation is None:
            continue
        rank, found = rank_by_jaxtyping(annotation), ranks_or_error(annotation)
        if rank is None:
            refused += 1
            assert repr(annotation.dim_str) in str(found)
        else:
            assert found == {"x": rank}
    assert refused > 20
