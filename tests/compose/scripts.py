"""Running a script of this folder in a process of its own, with fake CPU devices."""

import os
import subprocess
import sys
import threading
from pathlib import Path

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


def finish(*processes: "subprocess.Popen[str]", timeout: float = 300) -> list[tuple[str, str, int]]:
    """Output, errors and status of each process; those that take too long are ended."""
    late = threading.Timer(timeout, lambda: [process.kill() for process in processes])
    late.start()
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        late.cancel()
        for process in processes:
            process.kill()
    return [(*out, process.returncode) for out, process in zip(outputs, processes, strict=True)]
