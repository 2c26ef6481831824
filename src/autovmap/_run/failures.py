"""Why a call failed inside JAX, where JAX does not say which argument it was.

Looked at only after a failure, so a call that works does not pay for it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias

import jax

from autovmap._bind.kinds import is_traced, traced_outside
from autovmap._plan.broadcast import axis_text
from autovmap._plan.layers import is_mapped_along
from autovmap._plan.leaf import Leaf, account, root
from autovmap._plan.plan import CallPlan
from autovmap._plan.steps import FoldIn, Squeeze
from autovmap.errors import AutoVmapError, BatchShapeError, SpecError

Others: TypeAlias = Callable[[], Iterable[tuple[str, Any]]]
"""The arrays in arguments without a rank, by path."""

BATCHED = ("VmapTracer", "BatchTracer")
"""What JAX calls a value that differs from example to example: no setting makes it static."""

RESHARD = "jax.reshard" if hasattr(jax, "reshard") else "jax.experimental.shard.reshard"


def diagnose(
    error: Exception, plan: CallPlan, arrays: Sequence[Any], others: Others
) -> AutoVmapError | None:
    """An error that names the argument at fault, or None where none can be found.

    Only failures that JAX words as being about a deleted array or a sharding are looked into:
    what the function itself raises is left as it is.
    """
    said = str(error).lower()
    if isinstance(error, AutoVmapError):
        return None
    if "deleted" in said or "donated" in said:
        for leaf, array in zip(plan.leaves, arrays, strict=True):
            if _is_deleted(array):
                return AutoVmapError(
                    f"{plan.function}(): {account(leaf)}, has been deleted or donated; "
                    f"pass a copy, or do not donate it"
                )
    if "shard" in said or "mesh" in said:
        # Of an array that is taken apart or transposed first, no dim is a dim of the leaf.
        rows = [
            (leaf, _spec(x, len(leaf.shape)))
            for leaf, x, steps in zip(plan.leaves, arrays, plan.before, strict=False)
            if all(isinstance(step, (Squeeze, FoldIn)) for step in steps)
        ]
        return _sharding_conflict(plan, rows) or _sharded_unmapped(plan, rows, others)
    return None


def shared_ref(
    error: Exception, paths: Sequence[str], function: str, over_mesh: bool
) -> AutoVmapError | None:
    """An error on a Ref that is no example's own, or None where JAX's is about something else.

    `paths` are those of Refs in arguments without a rank.
    """
    if over_mesh and paths and "AbstractRef" in str(error):
        return SpecError(
            f"{function}(): {paths[0]} is a Ref, and lies on one device: over a mesh each device "
            f"would need one of its own\nPass its value, {paths[0]}[...], or call {function} "
            f"without .shard(...)"
        )
    if "unbatched array reference" not in str(error):
        return None
    named = f"{' or '.join(paths)} is a Ref without a rank" if paths else "it closes over a Ref"
    give = (
        f"Give {paths[0]} a base rank, so that each example has its own"
        if paths
        else ("Make it an argument with a base rank, so that each example has its own")
    )
    return SpecError(
        f"{function}(): {named}, which all examples share, and the function writes to it; "
        f"examples that run at once have no order in which to write\n{give}; or return the new "
        f"value; or let examples run one by one, by .loop()"
    )


def hint(
    error: Exception, others: Others, static: Collection[str], function: str, way: str = ""
) -> str | None:
    """What to do about a failure of JAX's that is known and not ours.

    `static` are the parameters that a compiled call takes as static by itself, `way` the way of
    running (`.bucket()`, `.chunk(10)`), if any.
    """
    said = str(error)
    if "trace" in said.lower() and not any(batched in said for batched in BATCHED):
        return _static_hint(others, static, function, way)
    if "Resource axis" in said and "not found in mesh" in said:
        return (
            "On an Explicit mesh the carry of a loop must be batched like what it is combined "
            "with: make it from an argument, as in x * 0 + init"
        )
    return None


def unbound_axis(error: Exception, function: str, by_pattern: bool) -> str | None:
    """What to do about a collective over an axis that nothing names; JAX says `jax.shard_map`."""
    found = re.search(r"unbound axis name: (\w+)", str(error))
    if found is None or not isinstance(error, NameError):
        return None
    if by_pattern:
        return f"If {found[1]} is to be a batch axis, name it so in the pattern"
    return (
        f"If {found[1]} is to be the last batch axis, say axis_name={found[1]!r} where {function} "
        f"is decorated"
    )


def _static_hint(others: Others, static: Collection[str], function: str, way: str) -> str | None:
    """What to do where a value was needed, if numbers without a rank are traced."""
    paths = [path for path, array in others() if array.ndim == 0 and is_traced(array)]
    names = list(dict.fromkeys(map(root, paths)))
    if not names:
        return None
    one = next((name for name in names if name in static), None)
    if one is not None:
        return traced_outside(one, function)
    if len(names) == 1:
        said = f"{names[0]} has no rank, and in a compiled call it is traced: the function does "
        said += "not see its value. If it needs the value, make it static"
    else:
        said = f"{', '.join(names)} have no rank, and in a compiled call they are traced: the "
        said += "function does not see their values. If it needs one, make it static"
    number = names[0] in paths  # not a part of a tuple, say, whose annotation is another
    if way:
        with_jit = f"write {way}.jit(static_argnames={names[0]!r})"
        if way.startswith(".bucket"):
            with_jit = "call it without .bucket()"
        return f"{said}: " + (
            f"annotate it, {names[0]}: int, so that it is static, or {with_jit}"
            if number
            else with_jit
        )
    annotate = f", or annotate it, as in {names[0]}: int" if number else ""
    return (
        f"{said}: by the static_argnames of your own jax.jit, or by "
        f".jit(static_argnames={names[0]!r}){annotate}"
    )


def _is_deleted(array: Any) -> bool:
    try:
        return bool(array.is_deleted())
    except Exception:  # a number has no such method, and a tracer refuses
        return False


Entries: TypeAlias = tuple[Any, ...]


def _spec(array: Any, ndim: int) -> Entries:
    """How each dim lies on Explicit mesh axes; None where it does not, as on Auto axes."""
    sharding = getattr(jax.typeof(array), "sharding", None) if ndim else None
    entries = tuple(getattr(sharding, "spec", ()))
    return entries + (None,) * (ndim - len(entries))


Rows: TypeAlias = Sequence[tuple[Leaf, Entries]]


def _sharding_conflict(plan: CallPlan, rows: Rows) -> AutoVmapError | None:
    for layer in plan.layers:
        mapped = [row for row in rows if is_mapped_along(row[0], layer.axis)]
        for leaf, spec in mapped[1:]:
            first = mapped[0][1][mapped[0][0].array_dim(layer.axis)]
            entry = spec[leaf.array_dim(layer.axis)]
            if entry != first:
                return BatchShapeError(
                    f"{plan.function}(): {axis_text(layer.axis, ())} is sharded over {first!r} in "
                    f"{mapped[0][0].path} and over {entry!r} in {leaf.path}, and with an Explicit "
                    f"mesh JAX does not choose between them\n"
                    f"  {_account(*mapped[0])}\n  {_account(leaf, spec)}\n"
                    f"Give one of them the other's sharding with {RESHARD}"
                )
    return None


def _account(leaf: Leaf, spec: Entries) -> str:
    return f"{account(leaf)}, sharded as P({', '.join(map(repr, spec))})"


def _sharded_unmapped(plan: CallPlan, rows: Rows, others: Others) -> AutoVmapError | None:
    """An argument whose own dims lie on the mesh axis of a batch axis that others map."""
    taken = {
        spec[leaf.array_dim(layer.axis)]
        for layer in plan.layers
        for leaf, spec in rows
        if is_mapped_along(leaf, layer.axis)
    } - {None}
    unranked = [
        (Leaf(path, x.shape, str(x.dtype), x.ndim), _spec(x, x.ndim)) for path, x in others()
    ]
    for leaf, spec in (*rows, *unranked):
        for dim, entry in enumerate(spec):
            if entry in taken and leaf.axes[dim] is None:
                return BatchShapeError(
                    f"{plan.function}(): dim {dim} of {leaf.path}, which is not mapped, is sharded "
                    f"over mesh axis {entry!r}, which a batch axis of this call is sharded over "
                    f"too\n"
                    f"  {_account(leaf, spec)}\n"
                    f"Take that dim off the mesh axis with {RESHARD}"
                )
    return None
