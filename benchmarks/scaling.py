"""Strong and weak scaling of `f.shard` over the devices of one machine.

    python benchmarks/scaling.py docs/pictures/scaling.svg

Fake CPU devices share the machine's cores: beyond as many devices as cores nothing can be gained,
and what is seen is the cost of dealing the work out.
"""

import os
import sys
import time
from importlib import metadata
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_cpu_multi_thread_eigen=false"
)

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from autovmap import auto_vmap

DEVICES = (1, 2, 4, 8)
SERIES, STEPS, REPEAT = 32_768, 1000, 7


@auto_vmap(y=1, var_obs=0)
def likelihood(y: Any, var_obs: Any) -> Any:
    """The log-likelihood of a local-level model: a scan, which no thread pool can split."""

    def step(carry: Any, value: Any) -> Any:
        mean, var = carry
        total = var + 1.0 + var_obs
        error, gain = value - mean, (var + 1.0) / total
        return (mean + gain * error, (var + 1.0) * (1 - gain)), jnp.log(total) + error**2 / total

    return -lax.scan(step, (jnp.float32(0.0), jnp.float32(10.0)), y)[1].sum() / 2


def seconds(devices: int, series: int) -> float:
    """The least time of a call on so many devices."""
    mesh = Mesh(np.asarray(jax.devices()[:devices]), ("data",))
    call = likelihood.shard("data", mesh=mesh).jit()
    y = np.random.default_rng(0).normal(size=(series, STEPS)).astype(np.float32)
    placed = jax.device_put(y, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data")))
    jax.block_until_ready(call(placed, 2.0))
    least = float("inf")
    for _ in range(REPEAT):
        start = time.perf_counter()
        jax.block_until_ready(call(placed, 2.0))
        least = min(least, time.perf_counter() - start)
    return least


def draw(strong: list[float], weak: list[float], path: str) -> None:
    """Speed-up and efficiency against the number of devices."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "autovmap"  # the same file each time
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(7.4, 3.2))
    left.plot(DEVICES, [strong[0] / t for t in strong], "o-", color="#2b6cb0")
    left.plot(DEVICES, DEVICES, ":", color="#888888")
    left.set_title(f"strong: {SERIES} series in all", fontsize=10)
    left.set_ylabel("times as fast as one device")
    right.plot(DEVICES, [weak[0] / t for t in weak], "o-", color="#b9762a")
    right.axhline(1, linestyle=":", color="#888888")
    right.set_title(f"weak: {SERIES // DEVICES[-1]} series a device", fontsize=10)
    right.set_ylabel("time on one device / time")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("devices")
        axes.set_xticks(DEVICES)
        axes.axvline(os.cpu_count() or 1, color="#cccccc", zorder=0)
        axes.grid(alpha=0.3)
    note = (
        f"fake CPU devices on {os.cpu_count()} cores (grey line), jax {metadata.version('jax')}, "
        f"{time.strftime('%Y-%m-%d')}"
    )
    figure.text(0.99, 0.01, note, ha="right", va="bottom", fontsize=7, color="#666666")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the table, and draw it where a path is given."""
    strong = [seconds(n, SERIES) for n in DEVICES]
    weak = [seconds(n, SERIES // DEVICES[-1] * n) for n in DEVICES]
    print("| devices | strong, ms | weak, ms |")
    print("| ---: | ---: | ---: |")
    for n, one, other in zip(DEVICES, strong, weak, strict=True):
        print(f"| {n} | {1e3 * one:.1f} | {1e3 * other:.1f} |")
    if len(sys.argv) > 1:
        draw(strong, weak, sys.argv[1])


if __name__ == "__main__":
    main()
