"""Settings that every test shares: threads, and how hard tests try.

`AUTOVMAP_HYPOTHESIS_PROFILE` picks the profile: "quick" while editing, "ci" (the default), "deep"
for a run of an hour or more. Tests ask for a share of the profile's cases with `cases(share)`.
"""

import os
import sys
from pathlib import Path

# OpenBLAS starts a thread a core for each small solve, which is slower than one: set it before
# JAX and NumPy load the library.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings

# `oracle` and `strategies` are plain modules that tests in sub-folders import too.
sys.path.insert(0, str(Path(__file__).parent))

CASES = {"quick": 12, "ci": 100, "deep": 10_000}

for _name, _count in CASES.items():
    settings.register_profile(
        _name,
        max_examples=_count,
        deadline=None,
        print_blob=True,
        # CI repeats: the same cases at every run, so that a red run is never a matter of luck.
        derandomize=_name == "ci",
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

PROFILE = os.environ.get("AUTOVMAP_HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)


def scaled(count: int) -> int:
    """So many cases that tests make up by themselves, or an eighth of them while editing."""
    return -(-count // 8) if PROFILE == "quick" else count


PATIENCE = 1800
"""Seconds after which a test takes a process of its own to hang. None needs a tenth of it, but a
machine that does much else at the same time is many times slower."""
