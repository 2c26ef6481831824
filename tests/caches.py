"""Caches that make a second run of the tests three times quicker: programs and bytecode.

Most of a test's time is XLA compiling a tiny program that it compiled at the last run too, and a
process of its own spends seconds on compiling the modules of JAX where Python may not write
bytecode, as in many containers. Both are kept in `.test_cache`, which git ignores and which may be
deleted at any time.
"""

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".test_cache"


def keep(profile: str) -> None:
    """Keep what is compiled: here and in the processes that tests start."""
    if profile in ("few", "quick", "ci"):
        keep_programs()
    keep_bytecode()


def programs() -> Path:
    """Where programs are kept: `JAX_COMPILATION_CACHE_DIR` says another place."""
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR", FOLDER / "programs"))


def last_kept() -> int:
    """When a program was last kept, by any process; 0 if none is."""
    return programs().stat().st_mtime_ns if programs().is_dir() else 0


def keep_programs() -> None:
    """Have JAX keep all programs; by itself it keeps those that took a second to compile."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(programs())
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def keep_bytecode() -> None:
    """Let Python write bytecode, out of sight, where the environment tells it not to."""
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(FOLDER / "bytecode")
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
