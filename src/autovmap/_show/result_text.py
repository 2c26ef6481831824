"""How printed code treats the result: where its batch dims go, and what is no array."""

from collections.abc import Sequence
from typing import Any

from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Shape
from autovmap._plan.outputs import Group, layer_out_axis
from autovmap._plan.plan import CallPlan
from autovmap._show.arguments import Names
from autovmap._show.calling import Calling, Output
from autovmap._show.step_text import entry_text, step_text
from autovmap._spec.options import FRONT
from autovmap._spec.ranks import ByIndex, ByName, Position, Tree
from autovmap.errors import SpecError


class ResultText:
    """How the printed code treats the result: where its batch dims go, and what is not an array."""

    def __init__(
        self,
        plan: CallPlan,
        names: Names,
        by_leaf: Sequence[Output] | None,
        tree: Tree = FRONT,
        bare: bool = False,
    ) -> None:
        self._bare = bare
        self._plan = plan
        self.by_leaf = by_leaf
        self.kept = names.fresh("seen", "kept")
        self.out = names.fresh("out", "result")
        self.tree = tree

    def groups(self) -> list[Group]:
        """The group of each array in the result, or of each part, or the one group of all."""
        if self.by_leaf is not None:
            return [output.group for output in self.by_leaf if output.array]
        if self._plan.parts:
            return list(self._plan.parts)
        return [Group(self.tree.index)] if isinstance(self.tree, Position) else []

    def out_axes(self, layer: Layer) -> str:
        """The `out_axes` of a layer."""
        layers = self._plan.layers
        i = layers.index(layer)
        if self.by_leaf is not None:
            return entry_text([layer_out_axis(g, layers, i) for g in self.groups()] or [0])
        if self._plan.parts:
            axes = [layer_out_axis(part, layers, i) for part in self._plan.parts]
            return repr(axes[0] if len(axes) == 1 else tuple(axes))
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
            groups = self.groups()
            places = [f"{self.out}[{i}]" for i in range(len(groups))]
            places = [self.out] if len(groups) == 1 else places
            texts = [self._each(*one) for one in zip(places, groups, strict=True)]
            return [f"return {', '.join(texts)}"]
        lines: list[str] = []
        arrays = [output for output in self.by_leaf if output.array]
        for i, (output, group) in enumerate(zip(arrays, self.groups(), strict=True)):
            place = f"{self.out}[{i}]"
            if (text := self._finish(place, group, output.shape)) != place:
                lines.append(f"{place} = {text}")
        others = [i for i, output in enumerate(self.by_leaf) if not output.array]
        if others:
            places = ", ".join(map(str, others)) + "," * (len(others) == 1)
            lines.append(f"for i in ({places}):")
            lines.append(f'    {self.out}.insert(i, {self.kept}["rest"][i])')
        return [*lines, f'return jax.tree.unflatten({self.kept}["tree"], {self.out})']

    def _each(self, value: str, group: Group) -> str:
        """The same for every leaf of a result, or of one part of it."""
        if self._bare:
            return self._finish(value, group)
        one = self._finish("y", group)
        return value if one == "y" else f"jax.tree.map(lambda y: {one}, {value})"

    def _finish(self, value: str, group: Group, shape: Shape | None = None) -> str:
        """An output after its steps behind the nest."""
        for step in self._plan.after(group):
            value = step_text(value, step, shape)
        return value


def result_text(
    plan: CallPlan, calling: Calling, outputs: Sequence[Output] | None, names: Names
) -> ResultText:
    """How the result is treated, in as few words as what is known of it allows.

    Raises:
        SpecError: what goes where depends on the result, and its shapes are not in the plan.
    """
    if plan.trivial and not any(map(plan.after, plan.parts)):
        return ResultText(plan, names, None)
    one = isinstance(calling.out_axes, Position)
    every = outputs is not None and all(output.array for output in outputs)
    literal = not plan.behind and not _by_field(calling.out_axes) and outputs is None
    if plan.parts:
        one = len(plan.parts) == 1 or calling.parted
    uniform = calling.stretch_outputs or plan.trivial
    if uniform and (one or literal) and (every or outputs is None):
        bare = outputs is not None and [output.path for output in outputs] == ["result"]
        return ResultText(plan, names, None, calling.out_axes, bare)
    if outputs is None:
        raise SpecError(
            f"{plan.function}: what goes where depends on the result, but this plan knows only the "
            f"arguments; use {plan.function}.plan_with_outputs(...).code()"
        )
    return ResultText(plan, names, outputs)


def _by_field(tree: Tree) -> bool:
    """Whether `out_axes` is declared by the fields of a node, for which there is no literal."""
    match tree:
        case ByName(others=others):
            return others is not None or any(map(_by_field, tree.trees))
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
