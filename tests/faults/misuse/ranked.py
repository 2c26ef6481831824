"""Attempts on base ranks: junk declarations, structures, shapes and leaves, against the model."""

import random
from typing import Any

import jax
import numpy as np

import oracle
from autovmap import auto_vmap
from faults.misuse.attempt import Attempt, Verdict
from faults.misuse.trees import (
    SIZES,
    Ranks,
    Refused,
    a_rank,
    a_value,
    edited,
    model,
    total,
    wrong_rank,
    wrong_value,
)

CALLED = 0.03
"""The share of attempts that call the function; the others only plan, which traces nothing."""


def attempt(rng: random.Random) -> Attempt:
    """Two arguments under ranks, of which declarations and values are changed at random."""
    batch = [rng.choice(SIZES) for _ in range(rng.randint(0, 2))]
    ranks = [a_rank(rng, 2), a_rank(rng, 1)]
    other = [3] * len(batch) if rng.random() < 0.5 else batch
    values = [a_value(rng, ranks[0], batch), a_value(rng, ranks[1], other)]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        i = rng.randrange(2)
        if rng.random() < 0.5:
            ranks[i] = edited(rng, ranks[i], wrong_rank)
        else:
            values[i] = edited(rng, values[i], wrong_value)
    called = rng.random() < CALLED and all(map(computable, jax.tree.leaves(values)))
    told = f"ranks {ranks!r}, values {values!r}, {'called' if called else 'planned'}"
    expected = verdict(ranks, values)
    by_name = rng.random() < 0.5 or any(isinstance(rank, (dict, str)) for rank in ranks)

    def run() -> Any:
        decorate = auto_vmap(x=ranks[0], y=ranks[1]) if by_name else auto_vmap(*ranks)
        function = decorate(total)
        return function(*values) if called else function.plan(*values)

    return Attempt("ranks", expected[0], run, checker(expected[1], values, called), told)


def computable(leaf: Any) -> bool:
    """Whether the function can compute with a leaf, or leaves it alone, under no rank too."""
    if oracle.is_number(leaf):
        return abs(leaf) < 2**31
    dtype = getattr(leaf, "dtype", np.dtype("float32"))
    return not isinstance(leaf, np.ma.MaskedArray) and dtype == np.float32


def verdict(ranks: list[Any], values: list[Any]) -> tuple[Verdict, list[Ranks]]:
    """By the model: whether it is right, and the rank of each leaf."""
    try:
        found = [model(rank, value) for rank, value in zip(ranks, values, strict=True)]
        batch_of(found, values)
    except Refused:
        return "wrong", []
    return "right", found


def batch_of(ranks: list[Ranks], values: list[Any]) -> tuple[int, ...]:
    """The batch shape of all leaves."""
    shapes = [
        oracle.batch_of(leaf, rank)
        for row, value in zip(ranks, values, strict=True)
        for rank, leaf in zip(row, jax.tree.leaves(value) if row else (), strict=True)
    ]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Refused("batch shapes") from None


def checker(ranks: list[Ranks], values: list[Any], called: bool) -> Any:
    """The check of a result: the oracle's loop, or for a plan the batch shape."""

    def check(result: Any) -> None:
        if not called:
            assert result.batch_shape == batch_of(ranks, values)
            return
        oracle.compare(result, oracle.loop(total, [row or None for row in ranks], values))

    return check
