"""Arrays on Explicit meshes, where it is part of an array's type how it is sharded."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from autovmap._plan.broadcast import axis_text
from autovmap._plan.plan import CallPlan
from autovmap._ways.chunk import Chunks
from autovmap.errors import SpecError

Entries: TypeAlias = tuple[Any, ...]
"""The mesh axes on which each dim lies; None for one that is not sharded."""


def entries(array: Any) -> Entries:
    """How each dim of an array, tracer or shape lies on Explicit mesh axes, as its type says.

    >>> import jax.numpy as jnp
    >>> entries(jnp.ones((2, 3)))
    (None, None)
    """
    ndim = len(array.shape)
    sharding = getattr(array, "sharding", None)
    if isinstance(array, jax.Array):
        sharding = getattr(jax.typeof(array), "sharding", None)
    spec = tuple(getattr(sharding, "spec", None) or ())
    return spec + (None,) * (ndim - len(spec))


def shape_like(part: Any, shape: Sequence[int], found: Sequence[Any]) -> jax.ShapeDtypeStruct:
    """The shape of an array whose part is known, sharded so on the mesh of the part."""
    sharding = getattr(part, "sharding", None)
    lies = any(entry is not None for entry in found)
    return jax.ShapeDtypeStruct(
        tuple(shape),
        part.dtype,
        weak_type=part.weak_type,
        sharding=NamedSharding(sharding.mesh, PartitionSpec(*found)) if lies and sharding else None,
    )


def zeros(shape: Sequence[int], dtype: Any, like: Any) -> Any:
    """Zeros that lie as a shape does: an update in place wants both to lie alike."""
    found = entries(like)
    if all(entry is None for entry in found):
        return lax.full(shape, 0, dtype)
    found += (None,) * (len(shape) - len(found))  # a key's data has one dim more
    return lax.full(
        shape, 0, dtype, sharding=NamedSharding(like.sharding.mesh, PartitionSpec(*found))
    )


def alike(part: Any, array: Any) -> Any:
    """A part of an array, lying as the array does: a constant lies on no mesh at all."""
    found, wanted = (getattr(jax.typeof(x), "sharding", None) for x in (part, array))
    if found is None or wanted is None or found.mesh == wanted.mesh or wanted.mesh.empty:
        return part
    spec = PartitionSpec(*entries(array))
    return jax.reshard(part, NamedSharding(wanted.mesh, spec)) if hasattr(jax, "reshard") else part


def refuse_cut(plan: CallPlan, chunks: Chunks, leaves: Sequence[Any]) -> None:
    """Refuse to cut a batch axis that lies on an Explicit mesh where JAX can't slice it.

    Args:
        plan: the plan of the whole batch.
        chunks: how it is cut.
        leaves: the leaves, sizes of 1 squeezed.

    Raises:
        SpecError: a chunk's part does not have the same size on each device.
    """
    for split in chunks.splits:
        for leaf, array, dim in zip(plan.leaves, leaves, split.dims, strict=True):
            entry = None if dim is None else entries(array)[dim]
            if entry is None:
                continue
            mesh = jax.typeof(array).sharding.mesh
            names = entry if isinstance(entry, tuple) else (entry,)
            devices = math.prod(mesh.shape[name] for name in names)
            if split.step % devices:
                whole = math.prod(
                    int(layer.size)
                    for layer in plan.layers
                    if layer.axis == split.axis or layer.axis not in {s.axis for s in chunks.splits}
                )
                raise SpecError(
                    f"{plan.function}.chunk(...): {axis_text(split.axis, ())} of {leaf.path} is "
                    f"sharded over mesh axis {entry!r} of an Explicit mesh,\nwhose {devices} "
                    f"devices can't share {split.step} examples equally. Allow {whole} examples at "
                    f"once or more,\nor chain .shard(...) too: .chunk(n) then counts the "
                    f"examples on each device"
                )
