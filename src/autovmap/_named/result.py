"""What a pattern says of a result: its parts, their core dims, and the batch axes they have."""

from collections.abc import Sequence
from typing import Any, cast

import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import kind_text
from autovmap._named.notation import Pattern, Span, axes_of, pointed, text_of
from autovmap._plan.leaf import Dim, tuple_text
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping, of_result
from autovmap.errors import CoreSizeError, RankError, SpecError


class PatternGrouping(Grouping):
    """Says under which part of the pattern each leaf of a result stands, and checks it."""

    __slots__ = ("_pattern", "_plan")

    def __init__(self, plan: CallPlan, pattern: Pattern) -> None:
        super().__init__(tuple(dict.fromkeys(plan.parts)))
        self._plan = plan
        self._pattern = pattern

    def of(self, result: Any) -> Sequence[Group]:
        """The group of each leaf of one example's result.

        Raises:
            SpecError: the result does not have as many parts as the pattern.
            RankError: a part does not have as many dims; CoreSizeError: or not these sizes.
        """
        known = dict(self._plan.core.sizes)
        found: list[Group] = []
        for i, (label, part) in enumerate(self._parts(result)):
            leaves = tree_flatten_with_path(part)[0]
            for (keys, leaf), array in zip(leaves, of_result(part), strict=True):
                if array:
                    self._check(i, f"result{label}{keystr(keys)}", jnp.shape(leaf), known)
                found.append(self._plan.parts[i])
        return found

    def _parts(self, result: Any) -> list[tuple[str, Any]]:
        count = len(self._plan.parts)
        if count == 1:
            return [("", result)]
        if not isinstance(result, (tuple, list)) or len(cast("Any", result)) != count:
            several = isinstance(result, (tuple, list))
            got = f"{len(cast('Any', result))}" if several else "one"
            raise SpecError(
                f"{self._plan.function}(): the pattern has {count} results, but the function "
                f"returned {got} ({kind_text(result)}); return a tuple of {count}\n"
                f"  {self._pattern.text}"
            )
        return [(f"[{i}]", part) for i, part in enumerate(cast("Sequence[Any]", result))]

    def _check(self, i: int, path: str, shape: Sequence[Dim], known: dict[str, Dim]) -> None:
        core = self._plan.parts[i].core
        open_dims = len(shape) - (len(core) - core.count(None))
        if open_dims < 0 or (None not in core and open_dims):
            raise RankError(self._said(i, path, shape, known))
        dims = iter(shape)
        for item in core:
            if item is None:
                for _ in range(open_dims):
                    next(dims)
                continue
            size = next(dims)
            wanted = item.size if item.name is None else known.setdefault(item.name, size)
            if wanted is not None and size != wanted:
                raise CoreSizeError(self._said(i, path, shape, known, item.at))

    def _said(
        self, i: int, path: str, shape: Sequence[Dim], known: dict[str, Dim], at: int | None = None
    ) -> str:
        pattern = self._pattern
        words = [
            "..."
            if item is None
            else str(item if item.name is None else known.get(item.name, item))
            for item in self._plan.parts[i].core
        ]
        nodes = pattern.outputs[i]
        spans = [Span(at, at + 1)] if at is not None else [node.span for node in nodes]
        spans = spans or [Span(len(pattern.text), len(pattern.text))]
        return (
            f"{self._plan.function}(): {path} has shape {tuple_text(tuple(shape))} for one "
            f"example, but `{text_of(nodes)}` in the pattern gives it the core shape "
            f"{tuple_text(tuple(words))}\n"
            f"{pointed(pattern.text, *spans)}\n"
            f"Return an array of that shape, or fix the pattern"
        )

    def refusal(self, plan: CallPlan, path: str, group: Group, axes: Sequence[int]) -> SpecError:
        """The error for a result that depends on batch axes which its part of the pattern lacks."""
        name = next(str(layer.name) for layer in plan.layers if layer.axis == axes[0])
        pattern = self._pattern
        part = text_of(pattern.outputs[plan.parts.index(group)])
        found = [axis for nodes in pattern.inputs for axis in axes_of(nodes)]
        spans = [axis.span for axis in found if axis.name in (name, name.partition(".")[0])]
        end = Span(len(pattern.text), len(pattern.text))
        return SpecError(
            f"{plan.function}(): result{path} depends on the axis {name!r}, which is missing from "
            f"its part of the pattern, `{part}`\n"
            f"{pointed(pattern.text, *spans or [end])}\n"
            f"Give the result that axis, put it in brackets, or reduce over it with a collective, "
            f"as in jax.lax.psum(x, {name!r})"
        )
