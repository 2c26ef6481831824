"""A plan as Python that one could have written by hand, with nothing but `jax` in it."""

import re
from collections.abc import Sequence
from typing import Any

from autovmap._explain.arguments import Arguments, Names
from autovmap._explain.calling import Calling, Output
from autovmap._explain.nest_text import applied, axes_text, entry_text, expanded, keywords_text
from autovmap._plan.layers import Layer
from autovmap._plan.outputs import Group, dropped, layer_out_axis, restored
from autovmap._plan.plan import PlanData
from autovmap._spec.options import FRONT
from autovmap._spec.ranks import ByIndex, ByName, Position, Tree
from autovmap.errors import SpecError


def code(plan: PlanData, calling: Calling, outputs: Sequence[Output] | None = None) -> str:
    """The lines of `def call(f, <parameters>)`, which does what the plan says.

    Raises:
        SpecError: what goes where depends on the result, and its shapes are not in the plan.
    """
    if plan.leaves and not calling.passed:
        raise SpecError(
            f"{plan.function}: this plan does not know how its arguments are passed, so it has no "
            f"code (the plan of a named_vmap has none); print the plan instead"
        )
    names = Names(passed.name for passed in calling.passed)
    module = names.fresh("jax")
    f, leaves = names.fresh("f", "function"), names.fresh("leaves", "flat")
    arguments = Arguments(plan, calling, names)
    result = _result(plan, calling, outputs, names)
    lines = arguments.prepared(leaves)
    tree = names.fresh("tree", "treedef")
    if arguments.flat:
        flat = _listed([passed.path for passed in arguments.flat])
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


def _mapped(arguments: Arguments, result: "ResultText", function: str, leaves: str) -> list[str]:
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


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def _example(
    arguments: Arguments, result: "ResultText", f: str, leaves: str, tree: str
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


class ResultText:
    """How the printed code treats the result: where its batch dims go, and what is no array."""

    def __init__(
        self,
        plan: PlanData,
        names: Names,
        by_leaf: Sequence[Output] | None,
        tree: Tree = FRONT,
    ) -> None:
        self._plan = plan
        self.by_leaf = by_leaf
        self.kept = names.fresh("seen", "kept")
        self.out = names.fresh("out", "result")
        self.tree = tree

    def groups(self) -> list[Group]:
        """The group of each array in the result, or the one group of all."""
        if self.by_leaf is not None:
            return [Group(o.position, o.axes) for o in self.by_leaf if o.array]
        return [Group(self.tree.index)] if isinstance(self.tree, Position) else []

    def out_axes(self, layer: Layer) -> str:
        """The `out_axes` of a layer."""
        layers = self._plan.layers
        i = layers.index(layer)
        if self.by_leaf is not None:
            return entry_text([layer_out_axis(g, layers, i) for g in self.groups()] or [0])
        return _prefix(self.tree, lambda group: repr(layer_out_axis(group, layers, i)))

    @property
    def head(self) -> str:
        """What the line that calls begins with."""
        if self.by_leaf is not None:
            return f"{self.out} = "
        uniform = [self._finish(self.out, group) for group in self.groups()]
        return "return " if all(text == self.out for text in uniform) else f"{self.out} = "

    def returned(self, call: str) -> list[str]:
        """The last lines of an example."""
        if self.by_leaf is None:
            return [f"return {call}"]
        lines = [f'{self.out}, {self.kept}["tree"] = jax.tree.flatten({call})']
        others = [i for i, output in enumerate(self.by_leaf) if not output.array]
        if others:
            places = ", ".join(map(str, reversed(others))) + "," * (len(others) == 1)
            lines.append(f'{self.kept}["rest"] = {{i: {self.out}.pop(i) for i in ({places})}}')
        return [*lines, f"return {self.out}"]

    def finished(self) -> list[str]:
        """Lines behind the call: dims that no layer makes, and leaves that are no arrays."""
        if self.by_leaf is None:
            if self.head == "return ":
                return []
            one = self._finish("y", self.groups()[0])
            return [f"return jax.tree.map(lambda y: {one}, {self.out})"]
        lines: list[str] = []
        for i, group in enumerate(self.groups()):
            place = f"{self.out}[{i}]"
            if (text := self._finish(place, group)) != place:
                lines.append(f"{place} = {text}")
        others = [i for i, output in enumerate(self.by_leaf) if not output.array]
        if others:
            places = ", ".join(map(str, others)) + "," * (len(others) == 1)
            lines.append(f"for i in ({places}):")
            lines.append(f'    {self.out}.insert(i, {self.kept}["rest"][i])')
        return [*lines, f'return jax.tree.unflatten({self.kept}["tree"], {self.out})']

    def _finish(self, value: str, group: Group) -> str:
        """An output without the dims that the call lacks, with those that no layer makes."""
        plan = self._plan
        if group.position is None or plan.trivial:
            return value
        block, position = len(plan.batch_shape), group.position
        drops = dropped(group, plan.layers, block)
        if drops:
            made = sum(group.has(layer) for layer in plan.layers)
            start = position if position >= 0 else position - made + 1
            value = f"jax.lax.squeeze({value}, {tuple(range(start, start + drops))})"
        restores = restored(group, plan.layers, block)
        if restores:
            start = position if position >= 0 else position - block + 1
            value = expanded(value, [start + dim for dim in restores])
        return value


def _result(
    plan: PlanData, calling: Calling, outputs: Sequence[Output] | None, names: Names
) -> ResultText:
    if plan.trivial:
        return ResultText(plan, names, None)
    one = isinstance(calling.out_axes, Position)
    every = outputs is not None and all(output.array for output in outputs)
    literal = plan.exact and not _by_field(calling.out_axes) and outputs is None
    if calling.stretch_outputs and (one or literal) and (every or outputs is None):
        return ResultText(plan, names, None, calling.out_axes)
    if outputs is None:
        raise SpecError(
            f"{plan.function}: what goes where depends on the result, and this plan knows the "
            f"arguments alone; take {plan.function}.plan_with_outputs(...).code()"
        )
    return ResultText(plan, names, outputs)


def _by_field(tree: Tree) -> bool:
    """Whether `out_axes` is declared by the fields of a node, for which there is no literal."""
    match tree:
        case ByName(children=named):
            return any(_by_field(child) for _, child in named)
        case ByIndex(container=container, children=children):
            return container not in (tuple, list) or any(map(_by_field, children))
        case _:
            return False


def _prefix(tree: Tree, leaf: Any) -> str:
    """A prefix of `out_axes` as a literal."""
    match tree:
        case ByName(children=named):
            items = ", ".join(f"{key!r}: {_prefix(child, leaf)}" for key, child in named)
            return f"{{{items}}}"
        case ByIndex(container=container, children=children):
            items = ", ".join(_prefix(child, leaf) for child in children)
            if container is list:
                return f"[{items}]"
            return f"({items}{',' if len(children) == 1 else ''})"
        case Position(index=index):
            return leaf(Group(index))
        case _:
            return leaf(Group(None))
