"""What `test_devices.py` runs in processes of their own, which see eight fake devices.

Run as a script, with the name of a module and perhaps of some of its checks, this prints what
became of each as JSON: null, or the traceback.
"""

import functools
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import jax

sys.path.insert(0, str(Path(__file__).parents[1]))

from autovmap import _lines
from compose import (
    on_devices_chunks,
    on_devices_layouts,
    on_devices_picky,
    on_devices_reduce,
    on_devices_refusals,
    on_devices_shard,
)
from compose.meshes import AUTO, EXPLICIT

MODULES = {
    module.__name__.removeprefix("compose.on_devices_"): module
    for module in (
        on_devices_chunks,
        on_devices_layouts,
        on_devices_picky,
        on_devices_reduce,
        on_devices_refusals,
        on_devices_shard,
    )
}


def checks(module: str) -> dict[str, Any]:
    """The checks of a module by name; some run on a mesh of each kind."""
    on_both = getattr(MODULES[module], "ON_BOTH", ())
    return {
        f"{check.__name__}-{kind}": functools.partial(check, kind)
        for check in on_both
        for kind in (AUTO, EXPLICIT)
    } | {check.__name__: check for check in MODULES[module].ALONE}


def outcome(run: Any) -> str | None:
    try:
        run()
    except Exception:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    _lines.WIDTH = 10_000  # no message is broken, as in pytest's processes (see conftest)
    assert jax.device_count() == 8
    module, *named = sys.argv[1:]
    found = checks(module)
    json.dump({name: outcome(found[name]) for name in named or found}, sys.stdout)
