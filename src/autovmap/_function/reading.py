"""A plan to be read: `f.plan(...)` and `f.plan_with_outputs(...)`."""

import functools
from collections.abc import Sequence
from typing import Any

from autovmap._bind.binder import Call
from autovmap._function.engine import Engine
from autovmap._function.object_ranks import from_object
from autovmap._run.nest import naming
from autovmap._run.steps import prepared
from autovmap._show.facts import Example, Noted, calling, outputs_of, result_shapes
from autovmap._show.plan import Plan
from autovmap._ways.options import PLAIN
from autovmap._ways.parts import run_in_way, stretched
from autovmap._ways.program import current_mesh, sharded_axes
from autovmap._ways.words import repetition, way_words


def plan_of(
    engine: Engine, args: tuple[Any, ...], kwargs: dict[str, Any], more: tuple[str, ...]
) -> Plan:
    """What a call does; `more` is what is added to its steps, in words."""
    call = engine.bind(args, kwargs, run=False)
    shown = calling(engine.spec, call, _steps(engine, call, args, kwargs) + more)
    return Plan(call.planned.plan, shown)


def plan_with_outputs_of(
    engine: Engine, args: tuple[Any, ...], kwargs: dict[str, Any], more: tuple[str, ...]
) -> Plan:
    """The same with the result's shapes, for which the function is traced."""
    call = engine.bind(args, kwargs, run=False)
    examples: list[Example] = []
    result, effects = result_shapes(functools.partial(_run_shapes, engine, examples), call)
    outputs = outputs_of(result, examples[-1], engine.spec.reduce)
    said = _steps(engine, call, args, kwargs, effects) + more
    shown = calling(engine.spec, call, said, type(result) is tuple)
    return Plan(call.planned.plan, shown, outputs)


def _steps(
    engine: Engine,
    call: Call,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    effects: bool = False,
) -> tuple[str, ...]:
    """What the object answered, and what the way of running adds to a plan, in words.

    With `effects` the function is known to do more than compute.
    """
    answers = from_object(engine.spec)
    if engine.ways == PLAIN:
        return answers
    sized = engine.programs.known_size(call, args, kwargs) if engine.ways.compiled else None
    mesh = None
    if engine.ways.shard is not None:
        mesh = dict(current_mesh(engine.ways.shard.mesh, engine.name).shape)
    folds = engine.spec.reduce is not None
    facts = (call.planned.plan, engine.ways, sized, sharded_axes(call), mesh, folds)
    said = answers + way_words(*facts)
    if effects and (why := repetition(*facts)):
        what = "side effects happen twice for some examples"
        said += (f"effects: {what}, as {why}",)
    return said


def _run_shapes(engine: Engine, examples: list[Example], call: Call, arrays: Sequence[Any]) -> Any:
    """What a call does, on tracers of its shapes; one example's result is kept too."""
    plan, body = call.planned.plan, engine.body(call)
    try:
        with naming(plan, engine.spec.options.axis_name):
            leaves = prepared(plan, arrays)
            grouping = stretched(engine.spec, engine.grouping_of(plan), plan, body, leaves)
            noted = Noted(grouping, examples)
            result = run_in_way(engine.spec, engine.ways, noted, plan, body, leaves)
            if not examples:  # called as it is: the result is one example's
                noted.of(result)
            return result
    except Exception as error:
        engine.explain(error, call)
