"""What is known of a call whose function, or JAX, has raised, and what may be wrong with it."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import jax

from autovmap._bind.binder import Binder, Call
from autovmap._bind.kinds import REF, Kind, is_key, is_traced, kind_of, shown
from autovmap._bind.match import entries_of_one_type, stacked
from autovmap._function.engine import Engine
from autovmap._lines import wrapped
from autovmap._plan.leaf import root, tuple_text
from autovmap._run.failures import diagnose, hint, shared_ref, unbound_axis
from autovmap._run.once import dependence_error
from autovmap._run.steps import prepared
from autovmap._show.table import note
from autovmap._spec.ranks import ByName, Core, Either, Key, Tree, is_mapped
from autovmap._ways.options import Ways
from autovmap._ways.words import chunk_text
from autovmap.errors import AutoVmapError

NO_BRACKETS = ", which has no axis in brackets: the function sees scalars"
"""They may have been forgotten: without any, each axis is a batch axis."""


def diagnosed(engine: Engine, error: Exception, call: Call) -> Exception | None:
    """An error of ours in place of one that JAX raised, where it is known what it means."""
    unranked = functools.partial(engine.binder.unranked, call)
    return diagnose(error, call.planned.plan, call.arrays(), unranked) or _of_ref(
        engine, error, call
    )


def explained(engine: Engine, error: Exception, call: Call) -> Exception:
    """An error of ours that names what JAX does not, or else the same one with a note."""
    plan, arrays = call.planned.plan, call.arrays()
    unranked = functools.partial(engine.binder.unranked, call)
    found = diagnose(error, plan, arrays, unranked) or _of_ref(engine, error, call)
    if found is None and _is_about_outputs(error):
        leaves = prepared(plan, arrays)
        found = dependence_error(plan, engine.body(call), leaves, engine.grouping_of(plan))
    if found is not None:
        return found
    error.add_note(note(plan))
    if plan.pattern is not None:
        bare = "" if "[" in plan.pattern else NO_BRACKETS
        error.add_note(f"under the pattern {plan.pattern}{bare}")
    if engine.ways.bucket is not None:
        error.add_note("under .bucket(), which pads batch sizes")
    known = hint(error, unranked, engine.static, engine.name, _way(engine.ways))
    axis = unbound_axis(error, engine.name, plan.pattern is not None)
    wanted = _wanted(call, error) if known is None else None
    for text in (*call_hints(engine.binder, call), known, wanted, axis):
        if text is not None:
            error.add_note(wrapped(text))
    return error


def _of_ref(engine: Engine, error: Exception, call: Call) -> Exception | None:
    """An error of ours in place of JAX's on a Ref that all examples share."""
    if "ref" not in str(error).lower() or isinstance(error, AutoVmapError):
        return None
    refs = [path for path, _ in engine.binder.unranked(call, kind=REF)]
    return shared_ref(error, refs, engine.name, engine.ways.shard is not None)


def _way(ways: Ways) -> str:
    """The way of running that says what can be made static, as one writes it."""
    if ways.bucket is not None:
        return ".bucket()"
    return "" if ways.chunk is None else chunk_text(ways.chunk)


def _is_about_outputs(error: Exception) -> bool:
    """Whether an error is vmap's on an output that is mapped and is not to be."""
    ours = isinstance(error, AutoVmapError)
    return isinstance(error, ValueError) and not ours and "out_axes" in str(error)


ARRAYS = (Kind.ARRAY, Kind.NUMPY, Kind.CONVERTIBLE)
NUMBERS = (Kind.INT, Kind.NUMBER)
MOST = 4
"""So many arguments are named at most."""


def call_hints(binder: Binder, call: Call) -> list[str]:
    """A line for each argument that is likely to be other than it was meant.

    A list of numbers or arrays under one rank is a pytree, as in JAX, and not an array; None under
    a rank has no batch dims; an argument without a rank that begins with the batch shape, or with
    its last dims, may have been meant to be mapped.
    """
    lists = [*list(_lists(call))[:MOST], *list(_nones(call))[:MOST]]
    forgotten = list(_forgotten(binder, call))[:MOST]
    return lists + (forgotten or list(_whole(binder, call)))


def _whole(binder: Binder, call: Call) -> Iterator[str]:
    """The arrays with dims that have no rank, though nobody has said None for them: in a line."""
    found = [(path, x) for path, x in binder.unranked(call, undeclared=True) if x.ndim]
    if found:
        named = ", ".join(f"{path} {shown(array)}" for path, array in found[:MOST])
        more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
        it = "it" if len(found) == 1 else "them"
        yield f"without a rank, so the function got {it} whole: {named}{more}"


def _wanted(call: Call, error: Exception) -> str | None:
    """What to do about a whole number under a rank, where the function needs its value."""
    if isinstance(error, jax.errors.TracerBoolConversionError):
        return (
            "the function branches on the value of an array, which is known only when it runs: use "
            "jnp.where or jax.lax.cond; .loop() calls the function with real examples"
        )
    said = str(error).lower()
    if not ("concrete" in said or "static" in said):
        return None
    for leaf, array in zip(call.planned.plan.leaves, call.arrays(), strict=True):
        whole = leaf.shape == () and leaf.dtype.startswith(("int", "uint", "bool"))
        if whole and is_traced(array):
            return (
                f"{leaf.path} has a rank, so a compiled call traces it: the function does not see "
                f"its value. If it needs the value, as for a shape, give {root(leaf.path)} no rank "
                f"and make it static, as in {root(leaf.path)}: int"
            )
    return None


def _forgotten(binder: Binder, call: Call) -> Iterator[str]:
    """The arrays without a rank that begin with the batch shape, or with the last dims of it."""
    batch = call.planned.plan.batch_shape
    for path, array in binder.unranked(call, undeclared=True):
        for start in range(len(batch)):
            part = batch[start:]
            if tuple(array.shape[: len(part)]) == part and (start == 0 or set(part) != {1}):
                of = f"{tuple_text(part)}, the end of " if start else ""
                yield (
                    f"{path}, {shown(array)}, has no base rank, but begins with {of}the batch "
                    f"shape {tuple_text(batch)}; was its rank forgotten?"
                )
                break


def _lists(call: Call) -> Iterator[str]:
    """The flat lists and tuples under one rank."""
    for slot in call.slots:
        value = slot.value(call.args, call.kwargs)
        if type(value) in (list, tuple) and isinstance(slot.rank, (Core, Key, Either)):
            text = _list(cast("Sequence[Any]", value), slot.rank, slot.path)
            if text is not None:
                yield text


def _nones(call: Call) -> Iterator[str]:
    """What is None under a rank, as an argument that may be left out is."""
    for slot in call.slots:
        for path in _none_paths(slot.rank, slot.value(call.args, call.kwargs), slot.path):
            yield f"{path} has a rank, but is None, so the function got None for it"


def _none_paths(rank: Tree, value: Any, path: str) -> Iterator[str]:
    """Where there is None under a rank, by keys and fields."""
    if isinstance(rank, ByName):
        for name, child in rank.children:
            if isinstance(value, Mapping):
                part = cast("Mapping[Any, Any]", value).get(name, value)
                yield from _none_paths(child, part, f"{path}[{name!r}]")
            elif hasattr(value, str(name)):
                yield from _none_paths(child, getattr(value, str(name)), f"{path}.{name}")
    elif value is None and is_mapped(rank):
        yield path


def _list(value: Sequence[Any], rank: Tree, path: str) -> str | None:
    kinds = {kind_of(type(entry)) for entry in value}
    count = f"{path} is a {type(value).__name__} of {len(value)}"
    if len(value) > 1 and (one := entries_of_one_type(value)) is not None:
        return f"{count} {one}; to batch them, stack them: {stacked(path)}"
    if not kinds or not kinds <= {*ARRAYS, *NUMBERS}:
        return None
    keys = isinstance(rank, Key) or any(is_key(entry) for entry in value if hasattr(entry, "dtype"))
    if not keys and not any(getattr(entry, "shape", ()) for entry in value):
        return (
            f"{count} number{'s' * (len(value) != 1)}, each a leaf of rank 0; for one array pass "
            f"jnp.asarray({path})"
        )
    noun, whole = ("key", "array of keys") if keys else ("array", "array")
    return (
        f"{count} {noun}{'s' * (len(value) != 1)}, each a leaf of its own; for one {whole} pass "
        f"jnp.stack({path})"
    )
