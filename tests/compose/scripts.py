"""Running a script of this folder in a process of its own, with fake CPU devices."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from conftest import PATIENCE

HERE = Path(__file__).parent


def start(script: str, *args: str, devices: int) -> "subprocess.Popen[str]":
    """Start a script with so many devices; warnings are errors there too."""
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(HERE / script), *args],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(
    *processes: "subprocess.Popen[str]", timeout: float = PATIENCE
) -> list[tuple[str, str, int]]:
    """Output, errors and status of each process; those that take too long are ended, and said."""
    overdue = threading.Event()

    def end() -> None:
        overdue.set()
        for process in processes:
            process.kill()

    late = threading.Timer(timeout, end)
    late.start()
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        late.cancel()
        for process in processes:
            process.kill()
    assert not overdue.is_set(), f"ended after {timeout} s: {[p.args for p in processes]}"
    return [(*out, process.returncode) for out, process in zip(outputs, processes, strict=True)]
