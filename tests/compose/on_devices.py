"""What `test_devices.py` runs in a process of its own, which sees eight fake devices.

Run as a script, this prints what became of each check as JSON: null, or the traceback.
"""

import functools
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import jax

sys.path.insert(0, str(Path(__file__).parents[1]))

from compose import (
    on_devices_chunks,
    on_devices_layouts,
    on_devices_picky,
    on_devices_reduce,
    on_devices_refusals,
    on_devices_shard,
)
from compose.meshes import AUTO, EXPLICIT

CHECKS: dict[str, Any] = {
    f"{check.__name__}-{kind}": functools.partial(check, kind)
    for check in on_devices_layouts.ON_BOTH
    for kind in (AUTO, EXPLICIT)
} | {
    check.__name__: check
    for module in (
        on_devices_chunks,
        on_devices_layouts,
        on_devices_reduce,
        on_devices_picky,
        on_devices_refusals,
        on_devices_shard,
    )
    for check in module.ALONE
}


def outcome(run: Any) -> str | None:
    try:
        run()
    except Exception:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    assert jax.device_count() == 8
    json.dump({name: outcome(run) for name, run in CHECKS.items()}, sys.stdout)
