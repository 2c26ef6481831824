"""Declare base ranks once, call with any batch: see `auto_vmap`."""

from importlib import metadata as _metadata

from autovmap._bind.trees import like as like
from autovmap._decorate import auto_vmap as auto_vmap
from autovmap._decorate import infer_ranks as infer_ranks
from autovmap._function.bound import BoundAutoVmapped as BoundAutoVmapped
from autovmap._function.compiled import BoundJitted as BoundJitted
from autovmap._function.compiled import Jitted as Jitted
from autovmap._function.decorated import AutoVmapped as AutoVmapped
from autovmap._named.decorated import NamedVmapped as NamedVmapped
from autovmap._named.decorated import named_vmap as named_vmap
from autovmap._show.plan import Plan as Plan
from autovmap._ways.program import BucketStats as BucketStats
from autovmap.errors import AutoVmapError as AutoVmapError
from autovmap.errors import BatchShapeError as BatchShapeError
from autovmap.errors import CoreSizeError as CoreSizeError
from autovmap.errors import RankError as RankError
from autovmap.errors import SpecError as SpecError

try:
    __version__ = _metadata.version("autovmap")
except _metadata.PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"
