"""Two callables timed in turns, so that what slows the machine down slows both."""

import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

SAMPLE = 2e-3
"""Seconds that one sample takes, about: so many calls are timed together."""
DEPTHS = range(0, 104, 8)
"""Further Python frames under a sample. CPython keeps frames in chunks of 16 KiB, and a loop whose
calls cross a chunk's end allocates and frees one each time: 30 % more for whom it happens to hit.
Timed at many depths, each of the two is hit at some and spared at others."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How long one call takes, by whom, and how long the hand-written nest takes.

    Times are the least of all samples, in seconds: `wall` by the clock, `cpu` of this thread
    alone, which other processes disturb less.
    """

    case: str
    who: str
    wall: float
    cpu: float
    nest_wall: float
    nest_cpu: float
    samples: int

    @property
    def by_wall(self) -> float:
        """The ratio by the clock."""
        return self.wall / self.nest_wall

    @property
    def by_cpu(self) -> float:
        """The ratio by the thread's own time."""
        return self.cpu / self.nest_cpu

    def as_info(self) -> dict[str, Any]:
        """For `benchmark.extra_info`."""
        return {
            "case": self.case,
            "who": self.who,
            "ratio": round(self.by_wall, 3),
            "ratio_thread_time": round(self.by_cpu, 3),
            "seconds": self.wall,
            "nest_seconds": self.nest_wall,
            "samples": self.samples,
            "load": os.getloadavg()[0],
        }


Call = Callable[[], Any]


def interleaved(call: Call, nest: Call, case: str, who: str, seconds: float = 2.0) -> Ratio:
    """Time `call` and `nest` in turns and keep the least sample of each.

    Args:
        call: what is timed.
        nest: what it is compared with.
        case: the row of the table.
        who: the column.
        seconds: how long to go on, for both together.
    """
    for _ in range(3):  # plans, traces and compiled programs are kept from here on
        call()
        nest()
    number = _number(nest)
    least = {"wall": [float("inf")] * 2, "cpu": [float("inf")] * 2}
    samples = 0
    collects = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or samples < 2 * len(DEPTHS):
            # One comes first as often as the other.
            for i in (0, 1) if samples % 2 else (1, 0):
                depth = DEPTHS[samples // 2 % len(DEPTHS)]
                wall, cpu = _sample((call, nest)[i], number, depth)
                least["wall"][i] = min(least["wall"][i], wall)
                least["cpu"][i] = min(least["cpu"][i], cpu)
            samples += 1
    finally:
        if collects:
            gc.enable()
    (wall, nest_wall), (cpu, nest_cpu) = least["wall"], least["cpu"]
    return Ratio(case, who, wall, cpu, nest_wall, nest_cpu, samples)


def _sample(call: Call, number: int, depth: int = 0) -> tuple[float, float]:
    if depth:
        return _sample(call, number, depth - 1)
    wall, cpu = time.perf_counter(), time.thread_time()
    for _ in range(number):
        call()
    return (time.perf_counter() - wall) / number, (time.thread_time() - cpu) / number


def _number(call: Call) -> int:
    wall = min(_sample(call, 1)[0] for _ in range(5))
    return max(1, round(SAMPLE / wall))


def circumstances() -> str:
    """The versions and the machine's state, as a table of times needs them."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "jaxlib", "numpy"))
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"Python {platform.python_version()}, {versions}; {os.cpu_count()} CPU cores, load {load}; "
        f"{time.strftime('%Y-%m-%d')}"
    )


def table(ratios: Sequence[Ratio]) -> list[str]:
    """A Markdown table, a row a ratio."""
    lines = [
        "| case | who | nest, µs | call, µs | more, µs | ratio | ratio, thread time |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for ratio in ratios:
        lines.append(
            f"| {ratio.case} | {ratio.who} | {1e6 * ratio.nest_wall:.0f} | "
            f"{1e6 * ratio.wall:.0f} | {1e6 * (ratio.wall - ratio.nest_wall):.0f} | "
            f"{ratio.by_wall:.3f} | {ratio.by_cpu:.3f} |"
        )
    return lines
