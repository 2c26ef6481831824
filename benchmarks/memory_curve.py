"""Temporary memory against the size of a chunk: what docs/howto/too-big.md shows.

    python benchmarks/memory_curve.py docs/pictures/memory.svg

Programs are compiled and asked what they need (`memory_analysis`); nothing is run, so a machine
with little memory can draw the whole curve.
"""

import os
import sys
import time
from importlib import metadata
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp

from autovmap import auto_vmap

POINTS, DIMS = 4096, 16
SIZES = [2**i for i in range(13)]
MIB = 2**20


@auto_vmap(x=1)
def nearest(x: Any, points: Any) -> Any:
    """The mean distance of a point to its ten nearest."""
    distances = jnp.sqrt(((points - x) ** 2).sum(-1))
    return jnp.sort(distances)[:10].mean()


def temporaries(size: int) -> int:
    """The bytes that the program in chunks of `size` needs beside arguments and result."""
    points = jax.ShapeDtypeStruct((POINTS, DIMS), "float32")
    compiled = nearest.chunk(size).jit().lower(points, points).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def measure() -> list[tuple[int, int]]:
    """For each size of a chunk, the bytes."""
    return [(size, temporaries(size)) for size in SIZES]


def draw(found: list[tuple[int, int]], path: str) -> None:
    """The curve as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "autovmap"  # the same file each time
    matplotlib.rcParams["svg.fonttype"] = "none"  # text, in the reader's font
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6))
    sizes, needed = zip(*found, strict=True)
    axes.loglog(sizes, [n / MIB for n in needed], "o-", base=2, color="#2b6cb0")
    axes.set_xlabel("examples at once (of 4096)")
    axes.set_ylabel("temporary memory, MiB")
    axes.set_title("Each of 4096 points against 4096 points", fontsize=11)
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
    versions = (
        f"jax {metadata.version('jax')}, {jax.default_backend()}, {time.strftime('%Y-%m-%d')}"
    )
    figure.text(0.99, 0.01, versions, ha="right", va="bottom", fontsize=7, color="#666666")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the table, and draw it where a path is given."""
    found = measure()
    print("| examples at once | temporary memory, MiB |")
    print("| ---: | ---: |")
    for size, needed in found:
        print(f"| {size} | {needed / MIB:.2f} |")
    if len(sys.argv) > 1:
        draw(found, sys.argv[1])


if __name__ == "__main__":
    main()
