"""Declare base ranks once, call with any batch: see `auto_vmap`."""

import importlib as _importlib
from importlib import metadata as _metadata
from typing import TYPE_CHECKING as _TYPE_CHECKING

from autovmap._bind.trees import like as like
from autovmap._decorate import auto_vmap as auto_vmap
from autovmap._decorate import infer_ranks as infer_ranks
from autovmap._function.bound import BoundAutoVmapped as BoundAutoVmapped
from autovmap._function.compiled import BoundJitted as BoundJitted
from autovmap._function.compiled import Jitted as Jitted
from autovmap._function.decorated import AutoVmapped as AutoVmapped
from autovmap.errors import AutoVmapError as AutoVmapError
from autovmap.errors import BatchShapeError as BatchShapeError
from autovmap.errors import CoreSizeError as CoreSizeError
from autovmap.errors import RankError as RankError
from autovmap.errors import SpecError as SpecError

if _TYPE_CHECKING:
    from autovmap import compat as compat
    from autovmap._named.decorated import NamedVmapped as NamedVmapped
    from autovmap._named.decorated import named_vmap as named_vmap
    from autovmap._show.plan import Plan as Plan
    from autovmap._ways.bucket_program import BucketStats as BucketStats
else:  # loaded when they are asked for: half of the library, which many programs never use
    _LATER = {
        "BucketStats": "autovmap._ways.bucket_program",
        "NamedVmapped": "autovmap._named.decorated",
        "Plan": "autovmap._show.plan",
        "named_vmap": "autovmap._named.decorated",
    }

    def __getattr__(name: str):
        """What is loaded late."""
        if name == "compat":
            return _importlib.import_module("autovmap.compat")
        if name not in _LATER:
            raise AttributeError(f"module 'autovmap' has no attribute {name!r}")
        globals()[name] = getattr(_importlib.import_module(_LATER[name]), name)
        return globals()[name]

    def __dir__():
        """All names, those that are loaded late too."""
        return sorted({*globals(), *_LATER, "compat"})


try:
    __version__ = _metadata.version("autovmap")
except _metadata.PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"
