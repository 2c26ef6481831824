"""What is known of a call whose function, or JAX, has raised."""

import functools

from autovmap._bind.binder import Call
from autovmap._bind.hints import call_hints
from autovmap._bind.kinds import REF
from autovmap._function.chain import chunk_text
from autovmap._function.engine import Engine
from autovmap._lines import wrapped
from autovmap._run.failures import diagnose, hint, shared_ref, unbound_axis
from autovmap._run.once import dependence_error
from autovmap._run.steps import prepared
from autovmap._show.table import note
from autovmap._ways.options import Ways
from autovmap.errors import AutoVmapError


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
        error.add_note(f"under the pattern {plan.pattern}{_no_core(plan.pattern)}")
    if engine.ways.bucket is not None:
        error.add_note("under .bucket(), which pads batch sizes")
    static = engine.jit_options(partition=True).static
    known = hint(error, unranked, static, engine.name, _way(engine.ways))
    axis = unbound_axis(error, engine.name, plan.pattern is not None)
    for text in (*call_hints(engine.binder, call), known, axis):
        if text is not None:
            error.add_note(wrapped(text))
    return error


def _of_ref(engine: Engine, error: Exception, call: Call) -> Exception | None:
    """An error of ours in place of JAX's on a Ref that all examples share."""
    if "ref" not in str(error).lower() or isinstance(error, AutoVmapError):
        return None
    refs = [path for path, _ in engine.binder.unranked(call, kind=REF)]
    return shared_ref(error, refs, engine.name, engine.ways.shard is not None)


def _no_core(pattern: str) -> str:
    """Brackets that were forgotten: without any, each axis is a batch axis."""
    if "[" in pattern:
        return ""
    return ", which has no axis in brackets: the function sees scalars"


def _way(ways: Ways) -> str:
    """The way of running that says what can be made static, as one writes it."""
    if ways.bucket is not None:
        return ".bucket()"
    return "" if ways.chunk is None else chunk_text(ways.chunk)


def _is_about_outputs(error: Exception) -> bool:
    """Whether an error is vmap's on an output that is mapped and is not to be."""
    ours = isinstance(error, AutoVmapError)
    return isinstance(error, ValueError) and not ours and "out_axes" in str(error)
