"""Random misuse of all kinds: the i-th attempt of a seed is always the same."""

import random
from collections import Counter
from collections.abc import Callable, Iterable

from faults.misuse import chains, leaves, meaning, ranked, texts
from faults.misuse.attempt import Attempt, Objection, judged

KINDS: dict[Callable[[random.Random], Attempt], int] = {
    ranked.attempt: 6,
    leaves.attempt: 3,
    texts.signature: 2,
    texts.pattern: 2,
    texts.annotation: 2,
    chains.option: 1,
    chains.chain: 2,
    chains.call: 1,
    chains.compat: 1,
    chains.undecorated: 1,
    meaning.keys: 1,
    meaning.axes: 1,
    meaning.extent: 1,
}
"""How often each kind is attempted, relative to the others."""


def attempt(seed: int, i: int) -> Attempt:
    """The i-th attempt of a seed."""
    rng = random.Random(f"{seed}-{i}")
    return rng.choices(list(KINDS), list(KINDS.values()))[0](rng)


def tally(seed: int, which: Iterable[int]) -> Counter[tuple[str, str]]:
    """What came of some attempts: how often each kind ended in a result or in which error.

    Raises:
        Objection: of the first attempt that ended as it may not, with how to make it again.
    """
    found: Counter[tuple[str, str]] = Counter()
    for i in which:
        made = attempt(seed, i)
        try:
            found[made.kind, judged(made)] += 1
        except Objection as error:
            error.add_note(f"attempt({seed}, {i}) of tests/faults/misuse/generator.py")
            raise
    return found
