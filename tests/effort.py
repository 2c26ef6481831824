"""How hard tests try: the profile, the number of cases, seeds and patience.

A profile says how many cases a property is tried on. It goes by what was asked for: "quick" with
`pytest`, which leaves out what is slow; "few" where `AUTOVMAP_FEW` is set; "ci" with `pytest -m
""`; "long" with `pytest -m long`. `AUTOVMAP_HYPOTHESIS_PROFILE` picks another one: "deep" tries for
an hour or more.
"""

import os
import random
import re

from hypothesis import HealthCheck, settings

CASES = {"few": 6, "quick": 12, "ci": 40, "long": 1000, "deep": 10_000}
REPEATED = ("few", "quick", "ci")
"""Profiles with the same cases at every run: a red run is never a matter of luck, and all the
programs that they compile are in the cache."""

PROFILE = "ci"
"""The profile in use: `choose` sets it before the first test is imported."""
FEW = bool(os.environ.get("AUTOVMAP_FEW"))
"""Whether a test of many cases runs on a few of them: with a JAX that is tried beside the main one,
where it is the call into JAX that is tested, and not each case anew."""
SEED = 0
"""Where random cases begin: 0 in the profiles that repeat, else drawn and printed."""

GOLDEN = (5**0.5 - 1) / 2

PATIENCE = 1800
"""Seconds after which a test takes a process of its own to hang. None needs a tenth of it, but a
machine that does much else at the same time is many times slower."""

for _name, _count in CASES.items():
    settings.register_profile(
        _name,
        max_examples=_count,
        deadline=None,
        print_blob=True,
        derandomize=_name in REPEATED,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def asked_for(mark: str, expression: str) -> bool:
    """Whether a `-m` expression asks for the tests of a mark.

    >>> asked_for("long", "long or slow"), asked_for("long", "not long"), asked_for("long", "")
    (True, False, False)
    """
    return re.search(rf"(?<!not )\b{mark}\b", expression) is not None


def choose(expression: str) -> None:
    """Settle profile and seed, for this process and for those that it starts."""
    global PROFILE, SEED
    if asked_for("long", expression):
        suited = "long"
    else:
        quick = "few" if FEW else "quick"
        suited = quick if "not slow" in expression else "ci"
    PROFILE = os.environ.setdefault("AUTOVMAP_HYPOTHESIS_PROFILE", suited)
    settings.load_profile(PROFILE)
    drawn = 0 if PROFILE in REPEATED else random.SystemRandom().randrange(2**31)
    SEED = int(os.environ.setdefault("AUTOVMAP_SEED", str(drawn)))


def scaled(count: int) -> int:
    """So many of the cases that tests make up by themselves, or a part of them in a check."""
    return -(-count // {"few": 16, "quick": 8, "ci": 2}.get(PROFILE, 1))


def few(count: int) -> set[int]:
    """Which of a test's cases stand for all: an eighth of them, two at least, all over the place.

    They are the fractional parts of multiples of the golden ratio. At equal distances all of them
    might have one value of a parameter: every eighth of a product with eight ways is of one way.

    >>> few(2), few(5), sorted(few(20))
    ({0, 1}, {0, 3}, [0, 4, 12])
    """
    kept = max(min(count, 2), -(-count // 8))
    return {int(count * (i * GOLDEN % 1)) for i in range(kept)}
