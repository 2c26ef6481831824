"""What `test_peak.py` runs: the most memory that one call takes, beside its result.

Arguments: a bound in bytes, or 0 for all at once, and a number of points. It prints the peak in
bytes and a checksum.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from autovmap import auto_vmap


def of_process(what: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return 1024 * int(line.split()[1])
    raise LookupError(what)


@auto_vmap(x=1, y=1)
def distance(x: Any, y: Any) -> Any:
    """The distance of two points without its largest part: sorted, which nothing fuses away."""
    return jnp.sqrt(jnp.sort((x - y) ** 2)[:-1].sum())


if __name__ == "__main__":
    bound, points = map(int, sys.argv[1:])
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.normal(size=(points, 4)), jnp.float32) for _ in range(2))
    call = distance.chunk(memory=bound) if bound else distance.jit()
    checksum = float(call(x[:, None], y).sum())  # compiled, and its threads started
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc keeps what was freed, and would take it from there
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = of_process("VmRSS")
    result = jax.block_until_ready(call(x[:, None], y))
    peak = of_process("VmHWM") - before - result.nbytes
    print(peak, checksum, os.getpid())
