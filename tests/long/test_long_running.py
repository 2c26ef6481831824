"""Memory stays flat and results right over many calls with ever-new shapes, specs and functions.

In a process of its own, with 16 threads at once at the end: 4,000 calls in CI, 100,000 with
`pytest -m long`, in about a minute, most of them without compiling. The profile "deep" makes
200,000, and compiles and runs all of them.
"""

import json
from pathlib import Path

import pytest

from autovmap._bind.binder import PLANS
from compose.scripts import finish, start
from conftest import PATIENCE, PROFILE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells the memory"),
]
MANY = 200_000 if PROFILE == "deep" else 100_000
GROWTH = 2**25
"""What JAX, Python and the allocator may take more once all is warm: under 600 bytes a call."""
FLAT = ("AutoVmapped", "BoundedCache", "Jitted", "Programs")


def measured(count: int, how: str, honest: str, timeout: float) -> list[dict[str, int]]:
    script = str(Path(__file__).with_name("run.py"))
    ((out, errors, status),) = finish(
        start(script, str(count), how, honest, devices=1), timeout=timeout
    )
    assert status == 0, errors[-3000:]
    print(out)
    return json.loads(out)


def faults(measures: list[dict[str, int]]) -> set[str]:
    """What is wrong with the measures; the first is the warm-up, the last that of the threads."""
    warm, *_, last, threads = measures
    found = {
        "memory grows": last["resident"] - warm["resident"] > GROWTH,
        "what calls used is kept": any(measure["alive"] for measure in measures),
        "a cache is not bounded": any(m["longest cache"] > PLANS for m in measures),
        "ours pile up": any(m[name] > warm[name] for m in (last, threads) for name in FLAT),
    }
    return {fault for fault, seen in found.items() if seen}


@pytest.mark.parametrize("count", [4_000, pytest.param(MANY, marks=pytest.mark.long)])
def test_many_calls_leave_nothing(count: int) -> None:
    how, timeout = ("real", 4 * 3600) if PROFILE == "deep" else ("traced", PATIENCE)
    measures = measured(count, how, "honest", timeout)
    assert all(measure["referred"] > count / 10 for measure in measures)
    assert not faults(measures)


def test_planted_leaks_are_seen() -> None:
    assert faults(measured(3000, "traced", "planted", 600)) >= {
        "memory grows",
        "what calls used is kept",
        "a cache is not bounded",
        "ours pile up",
    }
