"""The memory that a call with a bound really takes, measured in a process of its own."""

import sys
from pathlib import Path

import numpy as np
import pytest

from compose.scripts import finish, start
from conftest import PROFILE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="/proc tells the memory of a process"
    ),
]
SLACK = 2**23
"""What the allocator and the threads take beside."""


BOUNDS = (26, 27, 28, 29, 30, 31) if PROFILE == "deep" else (26,)
"""Powers of two, in bytes, for 4096 points: 64 MiB to 2 GiB."""


def measured(bound: int, points: int) -> tuple[int, float]:
    script = str(Path(__file__).with_name("peak.py"))
    ((out, errors, status),) = finish(start(script, str(bound), str(points), devices=1))
    if status and "Permission" in errors:
        pytest.skip("this process may not reset its peak")
    assert status == 0, errors[-3000:]
    peak, checksum, _ = out.split()
    print(f"{sys.platform}: {points} points, bound {bound >> 20} MiB, peak {int(peak) >> 20} MiB")
    return int(peak), float(checksum)


def by_numpy(points: int) -> float:
    """The checksum of `peak.py`, row by row."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(points, 4)).astype(np.float32) for _ in range(2))
    x, y = x.astype(np.float64), y.astype(np.float64)
    squares = ((row - y) ** 2 for row in x)
    return float(sum(np.sqrt(s.sum(1) - s.max(1)).sum() for s in squares))


def test_pairwise_distances_stay_within_their_bound() -> None:
    """2048 by 2048 points, 64 MiB of temporaries if all are computed at once."""
    whole, checksum = measured(0, 2048)
    expected = by_numpy(2048)
    assert checksum == pytest.approx(expected, rel=1e-4)
    assert whole > 2 * (2**24 + SLACK), "nothing to bound"
    for bound in (2**23, 2**24):
        peak, checksum = measured(bound, 2048)
        assert peak <= bound + SLACK, (bound, peak)
        assert checksum == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("power", BOUNDS)
def test_4096_by_4096_points(power: int) -> None:
    peak, checksum = measured(2**power, 4096)
    assert peak <= 2**power + SLACK, peak
    assert checksum == pytest.approx(by_numpy(4096), rel=1e-4)
