"""Attempts on single leaves: what is no array, or none that its rank fits, in every way of running.

The function is reached by none that the model calls wrong.
"""

import random
from typing import Any

import jax
import numpy as np

from autovmap import auto_vmap
from faults.cases.ways import WAYS
from faults.misuse.attempt import Allowance, Attempt
from faults.misuse.trees import PASSENGERS, Refused, an_array, fit, junk_leaves, total

JIT = (
    Allowance(
        TypeError, r"(?i)interpret(ing)? (value|argument)|not a valid JAX type|abstract array"
    ),
    Allowance(ValueError, r"[Mm]asked"),
    Allowance(OverflowError, "too large to convert|overflow"),
    Allowance(RuntimeError, "deleted"),
)
"""What `jax.jit` says of leaves before autovmap sees them: faults.md lets it."""


def deleted() -> Any:
    """A JAX array that is no more."""
    array = jax.device_put(an_array((2, 2), False))
    array.delete()
    return array


def special(rng: random.Random) -> tuple[Any, str]:
    """A leaf that has a rule of its own, and which."""
    return rng.choice(
        (
            lambda: (jax.ShapeDtypeStruct((2, 2), np.float32), "struct"),
            lambda: (deleted(), "deleted"),
            lambda: (KEYS, "key"),
            lambda: (RAW, "raw"),
        )
    )()


KEYS = jax.random.split(jax.random.key(0), 2)
RAW = np.asarray(jax.random.key_data(KEYS))


def attempt(rng: random.Random) -> Attempt:
    """One leaf under a rank, alone or in a dict."""
    rank: Any = rng.choice((0, 1, 1, 2, "key"))
    rule = ""
    if rng.random() < 0.6:
        leaf = rng.choice((*junk_leaves(), *PASSENGERS, 2.0, True, 3, an_array((2,), False)))
    else:
        leaf, rule = special(rng)
    whole = rng.random() < 0.5
    way = rng.choice(list(WAYS))
    right = is_right(rank, leaf, rule, whole)
    if right:
        way = ".plan"
    value = leaf if whole else {"a": leaf}
    verdict: Any = "right" if right else "wrong"
    if rule in ("struct", "deleted") and right:  # wrong in a call alone
        way = rng.choice(("call", ".plan", ".loop()", ".jit()"))
        verdict = "right" if way == ".plan" else "wrong"
    told = f"rank {rank!r}, leaf {leaf if rule != 'deleted' else rule!r}, whole {whole}, {way}"

    def run() -> Any:
        return WAYS[way](auto_vmap(x=rank)(total))(value)

    def check(plan: Any) -> None:
        shape = np.shape(leaf) if rule != "key" else leaf.shape
        core = {"key": 0 if rule == "key" else 1}.get(rank, rank)
        expected = shape[: len(shape) - core] if hasattr(leaf, "shape") else ()
        assert plan.batch_shape == expected

    return Attempt("leaf", verdict, run, check, told, JIT if way == ".jit()" else ())


def is_right(rank: Any, leaf: Any, rule: str, whole: bool) -> bool:
    """By the model: whether a plan can be made."""
    if rule == "struct" or rule == "deleted":
        return rank in (0, 1, 2)
    if rule == "key":
        return rank in (0, 1, "key")
    if rule == "raw":
        return True
    try:
        fit(rank, leaf, whole)
    except Refused:
        return False
    return True
