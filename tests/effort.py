"""How hard tests try: the profile, the number of cases, seeds and patience.

A profile says how many cases a property is tried on. It goes by what was asked for: "quick" with
`pytest`, which leaves out what is slow; "ci" with `pytest -m ""`; "long" with `pytest -m long`.
`AUTOVMAP_HYPOTHESIS_PROFILE` picks another one: "deep" tries for an hour or more.
"""

import os
import random
import re

from hypothesis import HealthCheck, settings

CASES = {"quick": 12, "ci": 100, "long": 1000, "deep": 10_000}
REPEATED = ("quick", "ci")
"""Profiles with the same cases at every run: a red run is never a matter of luck, and all the
programs that they compile are in the cache."""

PROFILE = "ci"
"""The profile in use: `choose` sets it before the first test is imported."""
SEED = 0
"""Where random cases begin: 0 in the profiles that repeat, else drawn and printed."""

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
        suited = "quick" if "not slow" in expression else "ci"
    PROFILE = os.environ.setdefault("AUTOVMAP_HYPOTHESIS_PROFILE", suited)
    settings.load_profile(PROFILE)
    drawn = 0 if PROFILE in REPEATED else random.SystemRandom().randrange(2**31)
    SEED = int(os.environ.setdefault("AUTOVMAP_SEED", str(drawn)))


def scaled(count: int) -> int:
    """So many cases that tests make up by themselves, or an eighth of them in a quick run."""
    return -(-count // 8) if PROFILE == "quick" else count
