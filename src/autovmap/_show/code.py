"""A plan as Python that one could have written by hand, with nothing but `jax` in it."""

import re
from collections.abc import Sequence
from dataclasses import replace

from autovmap._plan.plan import CallPlan
from autovmap._show.arguments import Arguments, Names
from autovmap._show.calling import Calling, Output
from autovmap._show.fold_text import folded_code, unfolded
from autovmap._show.result_text import ResultText, result_text
from autovmap._show.step_text import applied, axes_text, keywords_text
from autovmap.errors import SpecError


def code(plan: CallPlan, calling: Calling, outputs: Sequence[Output] | None = None) -> str:
    """The lines of `def call(f, <parameters>)`, which does what the plan says.

    Raises:
        SpecError: what goes where depends on the result, and its shapes are not in the plan.
    """
    if calling.reduce is not None:
        whole = replace(calling, reduce=None, folded=frozenset(), stretch_outputs=True)
        batched = code(plan, whole, unfolded(plan, outputs))
        return folded_code(plan, calling, calling.reduce, outputs, batched)
    if plan.leaves and not calling.passed:
        raise SpecError(
            f"{plan.function}: this plan does not know how its arguments are passed, so it has no "
            f"code; print the plan instead"
        )
    names = Names(passed.name for passed in calling.passed)
    module = names.fresh("jax")
    f, leaves = names.fresh("f", "function"), names.fresh("leaves", "flat")
    arguments = Arguments(plan, calling, names)
    result = result_text(plan, calling, outputs, names)
    lines = arguments.prepared(leaves)
    tree = names.fresh("tree", "treedef")
    if arguments.flat:
        paths = [passed.path for passed in arguments.flat]
        flat = paths[0] if len(paths) == 1 else f"({', '.join(paths)})"
        lines.insert(0, f"{leaves}, {tree} = jax.tree.flatten({flat})")
    function, defined = _example(arguments, result, f, leaves, tree)
    lines += defined
    if plan.layers:
        lines += _mapped(arguments, result, function, leaves)
    else:
        lines.append(f"{result.head}{function}")
    lines += result.finished()
    head = f"def call({f}{arguments.parameters()}):"
    body = "\n".join([head, *(f"    {line}".rstrip() for line in lines)])
    if module == "jax":
        return f"import jax\n\n\n{body}"
    renamed = re.sub(r"(?<![\w.])jax\.", f"{module}.", body)  # a parameter is called jax
    return f"import jax as {module}\n\n\n{renamed}"


def _mapped(arguments: Arguments, result: ResultText, function: str, leaves: str) -> list[str]:
    """Lines that build the nest around a function and call it."""
    keywords = [
        keywords_text(layer, axes_text(arguments.entries(layer)), result.out_axes(layer))
        for layer in arguments.plan.layers
    ]
    handed = arguments.handed(leaves)
    if not handed:  # vmap wants an argument, even where it maps none
        keywords = [f", in_axes=None{keyword}" for keyword in keywords]
        handed = "None"
    name = arguments.names.fresh("mapped", "vmapped")
    return applied(function, keywords, handed, result.head, name)


def _example(
    arguments: Arguments, result: ResultText, f: str, leaves: str, tree: str
) -> tuple[str, list[str]]:
    """The function that the nest maps (or, without layers, its call), and lines that define it."""
    plan, lines = arguments.plan, list[str]()
    values = dict(arguments.variables) if plan.layers else {}
    unflattened = f"jax.tree.unflatten({tree}, {leaves})"
    if len(arguments.flat) == 1:
        values[arguments.flat[0].path] = unflattened
    elif arguments.flat:
        values |= {p.path: arguments.variables[p.path] for p in arguments.flat}
        names = ", ".join(values[passed.path] for passed in arguments.flat)
        lines.append(f"{names} = {unflattened}")
    call = arguments.called(f, values)
    taken = [leaves] * bool(arguments.flat)
    taken += [arguments.variables[passed.path] for passed in arguments.direct]
    if not plan.layers and not result.by_leaf:
        return call, lines
    if arguments.in_order and not result.by_leaf:
        return f, []
    short = f"lambda {', '.join(taken or ['_'])}: {call}"
    if not lines and not arguments.flat and not result.by_leaf and len(short) <= 48:
        return short, []
    name = arguments.names.fresh("example", "one_example")
    body = [*lines, *result.returned(call)]
    head = f"def {name}({', '.join(taken or ['_']) if plan.layers else ''}):"
    before = [f"{result.kept} = {{}}"] if result.by_leaf else []
    defined = [*before, "", head, *(f"    {line}" for line in body), ""]
    return (name if plan.layers else f"{name}()"), defined
