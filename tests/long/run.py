"""What `test_long_running.py` runs: many calls in one process, and what is left of them.

Arguments: the number of calls, "traced" or "real", and "honest" or "planted" (arrays are kept, and
a cache has no bound). It prints measures as JSON. What JAX keeps is dropped by
`jax.clear_caches()` before each measure, so that what is left is autovmap's.
"""

import collections
import ctypes
import gc
import json
import random
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np

from autovmap import AutoVmapped
from autovmap._bind.match import Layout
from autovmap._bind.style import Style
from autovmap._cache import BoundedCache
from autovmap._function.compiled import Jitted
from autovmap._plan.plan import CallPlan
from autovmap._ways.program import Programs
from long import calls

BLOCKS = 5
"""How often it is measured; the calls of the last block are made by all threads at once."""
THREADS = 16
OURS = (AutoVmapped, BoundedCache, Jitted, Programs, Layout, CallPlan, Style)
WAYS = 12
"""Calls of each kind before all, enough for every way in it."""
KEPT: list[Any] = []
"""What the planted mistake keeps."""


def plant() -> None:
    """Forget the bound of a cache, and fill it."""
    plans = calls.same._engine.shortcut._known
    plans._maxsize *= 2
    for size in range(plans._maxsize):
        calls.same(jax.device_put(np.ones((size + 2, 2), np.float32)))


def resident() -> int:
    """The resident memory in bytes, without what is free but not yet given back."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return 1024 * int(line.split()[1])
    raise LookupError("VmRSS")


def reachable(value: Any) -> Any:
    """A weak reference to what a call used, or None where there can be none."""
    try:
        return weakref.ref(value)
    except TypeError:
        return None


def block(rng: random.Random, count: int, leak: bool) -> Iterator[Any]:
    """So many calls of all kinds at random; weak references to what must not outlive them."""
    kinds, shares = zip(*calls.SHARES.items(), strict=True)
    for kind in rng.choices(kinds, shares, k=count):
        for used in kind(rng):
            if leak:
                KEPT.append((used, bytes(2**15)))
            yield reachable(used)


def measure(used: list[Any]) -> dict[str, int]:
    """What is alive and how much memory is taken, after JAX's caches are dropped."""
    gc.collect()
    by_jax = sum(ref is not None and ref() is not None for ref in used)
    jax.clear_caches()
    gc.collect()
    objects = gc.get_objects()
    caches = [len(value) for value in objects if type(value) is BoundedCache]
    found = collections.Counter(type(value) for value in objects)
    return {
        "resident": resident(),
        "referred": sum(ref is not None for ref in used),
        "alive with JAX's caches": by_jax,
        "alive": sum(ref is not None and ref() is not None for ref in used),
        "caches": len(caches),
        "longest cache": max(caches),
        "in caches": sum(caches),
        **{cls.__name__: found[cls] for cls in OURS},
    }


def main(count: int, planted: bool) -> list[dict[str, int]]:
    """Measures after each block."""
    size = count // BLOCKS
    rng = random.Random(0)
    for kind in calls.SHARES:  # each of them once, in each of its ways
        for _ in range(WAYS):
            collections.deque(kind(rng), maxlen=0)
    measures = [measure(list(block(rng, size, planted))) for _ in range(BLOCKS - 1)]
    start = threading.Barrier(THREADS)

    def work(seed: int) -> list[Any]:
        start.wait()
        return list(block(random.Random(seed), size // THREADS, planted))

    with ThreadPoolExecutor(THREADS) as pool:
        used = [ref for found in pool.map(work, range(THREADS)) for ref in found]
    return [*measures, measure(used)]


if __name__ == "__main__":
    total, how, honest = sys.argv[1:]
    calls.REAL = how == "real"
    if honest == "planted":
        plant()
    # Functions made anew in a loop are what is measured here.
    warnings.filterwarnings("ignore", ".*the same code is being compiled for the eighth time")
    print(json.dumps(main(int(total), honest == "planted")))
