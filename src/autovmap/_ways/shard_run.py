"""A batch over the devices of a mesh, by `jax.shard_map`."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from autovmap._bind.kinds import is_key
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.dtypes import as_data, as_keys
from autovmap._run.reach import primitives
from autovmap._ways.shard import Placed, Shards
from autovmap._ways.shard_trace import traced_outside
from autovmap.errors import AutoVmapError


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """Where one device's part of the batch lies."""

    across: Mapping[int, tuple[Hashable, ...]]
    """The mesh axes on which batch axes lie."""
    rows: Mapping[Placed, Any]
    """Which examples of each such axis a device has: some beyond the end if sizes don't divide."""
    outside: bool = False
    """Whether the part is traced outside of `shard_map`."""


TYPED = hasattr(jax.sharding, "use_abstract_mesh")
"""Whether the type of an array says on which part of a mesh it lies."""
Inside = Callable[[CallPlan, Sequence[Any], Local | None], tuple[list[Any], ...]]


def sharded(
    plan: CallPlan,
    shards: Shards,
    mesh: Any,
    leaves: Sequence[Any],
    groups: Sequence[Group],
    inside: Inside,
) -> tuple[list[Any], ...]:
    """The outputs of a plan, each device computing its part.

    Where a mesh axis divides the batch axis, each device has its part of the inputs and keeps
    its part of the outputs. Where it does not, no sharding exists: each takes its rows of
    replicated inputs, by an index that stops at the last, and the outputs are gathered.

    Args:
        plan: the plan of the whole batch.
        shards: which axes lie where.
        mesh: the mesh.
        leaves: the leaves, sizes of 1 squeezed.
        groups: the groups of outputs.
        inside: the outputs of a part, from its plan and its leaves, and where it lies.
    """
    arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
    ndims, custom = _outputs_of(plan, leaves, inside)
    in_specs = tuple(PartitionSpec(*shards.leaf_spec(i, jnp.ndim(leaves[i]))) for i in arrays)
    out_specs = tuple(
        [PartitionSpec(*shards.output_spec(plan, group, ndim)) for ndim in part]
        for group, part in zip(groups, ndims, strict=True)
    )
    given = [_placed(leaves[i], mesh, spec) for i, spec in zip(arrays, in_specs, strict=True)]

    def part(here: Any, *rows: Any) -> tuple[list[Any], ...]:
        every = list(leaves)
        for i, row in zip(arrays, rows, strict=True):
            every[i] = row
        return inside(shards.inner, every, here)

    def mapped(run: Callable[..., Any], shared: Sequence[Any]) -> Any:
        def local(*parts: Any) -> tuple[list[Any], ...]:
            own = parts[len(shared) :]
            rows = [_rows_of(x, shards, i) for i, x in zip(arrays, own, strict=True)]
            outputs = run(*parts[: len(shared)], *rows)
            return tuple(
                [_gathered(plan, shards, group, x) for x in found]
                for group, found in zip(groups, outputs, strict=True)
            )

        specs = (*[PartitionSpec()] * len(shared), *in_specs)
        everywhere = [_placed(x, mesh, PartitionSpec()) for x in shared]
        return jax.shard_map(
            local, mesh=mesh, in_specs=specs, out_specs=out_specs, check_vma=False
        )(*everywhere, *given)

    def within() -> Any:
        return mapped(lambda *rows: part(_here(shards), *rows), ())

    def outside() -> Any:
        shapes = [_part_shape(leaves[i], shards, i) for i in arrays]
        here = lambda *rows: part(replace(_here(shards), outside=True), *rows)  # noqa: E731
        axes = dict(mesh.shape).items()
        return mapped(*traced_outside(here, shapes, axes, plan.function))

    # With a `custom_vjp` it is the backward pass that would fail, later, inside: but in older JAX,
    # where arrays inside are of no other type than outside.
    first, other = (outside, within) if custom and TYPED else (within, outside)
    try:
        return first()
    except AutoVmapError:
        raise
    except Exception as error:
        try:
            return other()
        except Exception:
            raise error from None


def _outputs_of(
    plan: CallPlan, leaves: Sequence[Any], inside: Inside
) -> tuple[tuple[list[int], ...], bool]:
    """How many dims each output of the whole batch has; whether a `custom_vjp` stands inside.

    Worked out on shapes that lie nowhere: on an Explicit mesh not every function would do.
    """
    arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

    def whole(parts: Sequence[Any]) -> Any:
        rows = list(leaves)  # a number stays one, as it may be a shape
        for i, part in zip(arrays, parts, strict=True):
            rows[i] = part
        return inside(plan, rows, None)

    shapes = [_anywhere(leaves[i]) for i in arrays]
    closed, outputs = jax.make_jaxpr(whole, return_shape=True)(shapes)
    custom = any(name.startswith("custom_vjp") for name in primitives(closed))
    return tuple([len(x.shape) for x in part] for part in outputs), custom


def _here(shards: Shards) -> Local:
    """Where the device's part lies, on which this is traced."""
    across = {placed.axis: placed.names for placed in shards.placed}
    return Local(across, {placed: _rows(placed) for placed in shards.placed})


def _rows_of(array: Any, shards: Shards, row: int) -> Any:
    """A device's part of a leaf, of which it may have all."""
    for placed in shards.gathered:
        if (dim := placed.dims[row]) is not None:
            taken = jnp.minimum(_rows(placed), placed.size - 1)
            array = jnp.take(array, taken, axis=dim, mode="clip")
    return array


def _part_shape(array: Any, shards: Shards, row: int) -> Any:
    shape = list(array.shape)
    for placed in shards.placed:
        if (dim := placed.dims[row]) is not None:
            shape[dim] = placed.step
    weak = getattr(array, "weak_type", False)
    return jax.ShapeDtypeStruct(tuple(shape), array.dtype, weak_type=weak)


def _anywhere(array: Any) -> Any:
    # `shard_trace` has the same, and is off the path of most calls.
    weak = getattr(array, "weak_type", False)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, weak_type=weak)


def _placed(array: Any, mesh: Any, spec: Any) -> Any:
    """The array where `shard_map` wants it: on an Explicit mesh it must lie there before."""
    explicit = any("Explicit" in str(kind) for kind in getattr(mesh, "axis_types", None) or ())
    if explicit and hasattr(jax, "reshard"):
        return jax.reshard(array, NamedSharding(mesh, spec))
    return array


def _rows(placed: Placed) -> Any:
    """Which examples of an axis a device computes, some of them beyond the last."""
    return lax.axis_index(placed.names) * placed.step + jnp.arange(placed.step)


def _gathered(
    plan: CallPlan, shards: Shards, group: Group, array: Any, ndim: int | None = None
) -> Any:
    """An output whose parts are gathered along the axes that no sharding exists for.

    `ndim` is how many dims the output has, where an array is a key's data.
    """
    array = jnp.asarray(array)
    dims = [
        (dim, placed)
        for placed in shards.gathered
        if (dim := shards.dim(plan, placed, group, ndim or array.ndim)) is not None
    ]
    if not dims:
        return array
    if is_key(array):  # JAX gathers no keys, but their data
        return as_keys(_gathered(plan, shards, group, as_data(array), array.ndim), array)
    names = tuple(name for _, placed in dims for name in placed.names)
    parts = [placed.parts for _, placed in dims]
    array = lax.all_gather(array, names)
    array = lax.reshape(array, (*parts, *array.shape[1:])) if len(parts) > 1 else array
    # Each axis of parts goes in front of the dim whose parts it counts, and the two become one.
    for i in reversed(range(len(parts))):
        dim, placed = dims[i]
        array = jnp.moveaxis(array, i, i + dim)
        shape = array.shape
        merged = (*shape[: i + dim], math.prod(shape[i + dim : i + dim + 2]), *shape[i + dim + 2 :])
        array = lax.slice_in_dim(lax.reshape(array, merged), 0, placed.size, axis=i + dim)
    return array
