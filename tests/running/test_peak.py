"""The memory that a call with a bound really takes, measured in a process of its own."""

import sys
from pathlib import Path

import pytest

from compose.scripts import finish, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="/proc tells the memory of a process"
    ),
]
SLACK = 2**23
"""What the allocator and the threads take beside."""


def measured(bound: int) -> tuple[int, float]:
    script = str(Path(__file__).with_name("peak.py"))
    ((out, errors, status),) = finish(start(script, str(bound), devices=1))
    if status and "Permission" in errors:
        pytest.skip("this process may not reset its peak")
    assert status == 0, errors[-3000:]
    peak, checksum, _ = out.split()
    return int(peak), float(checksum)


def test_pairwise_distances_stay_within_their_bound() -> None:
    """2048 by 2048 points, 64 MiB of temporaries if all are computed at once."""
    whole, expected = measured(0)
    assert whole > 2 * (2**24 + SLACK), "nothing to bound"
    for bound in (2**23, 2**24):
        peak, checksum = measured(bound)
        assert peak <= bound + SLACK, (bound, peak)
        assert checksum == pytest.approx(expected, rel=1e-4)
        print(f"{sys.platform}: bound {bound >> 20} MiB, peak {peak >> 20} MiB")
