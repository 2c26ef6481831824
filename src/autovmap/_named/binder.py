"""A call under a pattern: its spec, read when decorating, and its plan, from the leaves' shapes."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from autovmap._bind.binder import Binder, KeptPlan, Layout
from autovmap._bind.leaves import planned_leaf, refuse_structs
from autovmap._bind.trees import one_level
from autovmap._named.counts import Given
from autovmap._named.notation import NO_PATTERN, Pattern, Span, pointed
from autovmap._named.plan import make_pattern_plan
from autovmap._named.rules import Entry, Sizes, entries, read_sizes
from autovmap._spec.options import read_options
from autovmap._spec.ranks import UNMAPPED
from autovmap._spec.spec import Declaration, Parameter, Spec
from autovmap.errors import SpecError


@dataclass(frozen=True)
class NamedDeclaration(Declaration):
    """What a user wrote of a pattern."""

    pattern: Pattern = NO_PATTERN
    sizes: Mapping[str, Any] | None = None

    def said(self) -> tuple[Any, ...] | None:
        """All that was written, or None where a caller said more."""
        plain = NamedDeclaration(named=self.named, pattern=self.pattern, sizes=self.sizes)
        return (self.pattern.text, self.named, self.sizes) if self == plain else None


@dataclass(frozen=True, slots=True)
class NamedSpec(Spec):
    """A pattern, checked against the function's parameters: their ranks are its entries."""

    pattern: Pattern = NO_PATTERN
    sizes: Sizes = ()


def read_named_spec(
    declared: NamedDeclaration, signature: inspect.Signature, function: str, skip_first: bool
) -> NamedSpec:
    """Match a pattern with a signature; every mistake that needs no argument is found here."""
    parameters = list(signature.parameters.values())
    options = {**(declared.named or {}), **(declared.options or {})}
    pattern = declared.pattern
    trees = entries(pattern, parameters[skip_first:], function)
    return NamedSpec(
        function=function,
        parameters=tuple(
            Parameter(p.name, p.kind, trees.get(p.name, UNMAPPED)) for p in parameters
        ),
        options=read_options(options, function, one_level),
        pattern=pattern,
        sizes=read_sizes(pattern, declared.sizes or {}, function),
    )


class PatternBinder(Binder):
    """Binds calls of one function under a pattern."""

    _spec: NamedSpec

    def _plan(self, layout: Layout, leaves: Sequence[Any], run: bool) -> KeptPlan:
        """Work out a new plan from the leaves' shapes."""
        spec = self._spec
        places: list[int] = []
        rows: list[Given] = []
        for i in layout.ranked:
            rank = cast("Entry", layout.ranks[i])
            path = layout.paths[i]
            if run:
                refuse_structs(leaves[i], path, spec.function)
            if layout.whole[i] and callable(leaves[i]) and not hasattr(leaves[i], "shape"):
                raise _factory(spec, rank.index, path)
            leaf = planned_leaf(leaves[i], rank, path, layout.whole[i], spec.function)
            if leaf is not None:
                places.append(i)
                rows.append(Given(leaf, spec.pattern.inputs[rank.index]))
        plan = make_pattern_plan(spec.function, spec.pattern, spec.sizes, rows, spec.options)
        return KeptPlan(plan, tuple(places))


def _factory(spec: NamedSpec, index: int, path: str) -> SpecError:
    at = spec.pattern.places[index] if index < len(spec.pattern.places) else 0
    nodes = spec.pattern.inputs[index]
    span = Span(nodes[0].span.at, nodes[-1].span.end) if nodes else Span(at, at + 1)
    return SpecError(
        f"{spec.function}(): {path} is a function, but einx's tensor factories are not supported; "
        f"pass the array that it makes\n{pointed(spec.pattern.text, span)}"
    )
