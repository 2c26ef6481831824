"""What a pattern asks for around the nest: arrays prepared, results checked and composed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import kind_text
from autovmap._bind.leaves import is_array
from autovmap._named.notation import Span, axes_of, pointed, text_of
from autovmap._named.parts import PlacedGroup, Prepare
from autovmap._named.plan import PatternPlan
from autovmap._plan.leaf import Dim, shape_text
from autovmap._plan.outputs import Group
from autovmap._run.depend import Output
from autovmap.errors import CoreSizeError, RankError, SpecError


def prepared(plan: PatternPlan, arrays: Sequence[Any]) -> list[Any]:
    """The arrays as the plan's layers map them."""
    return [
        array if step.idle else _prepared(array, step)
        for array, step in zip(arrays, plan.prepares, strict=True)
    ]


def _prepared(array: Any, step: Prepare) -> Any:
    if step.reshape is not None:
        array = jnp.reshape(array, step.reshape)
    for one, other in step.diagonals:
        array = _diagonal(array, one, other)
    if step.order is not None:
        array = jnp.transpose(array, step.order)
    return jnp.expand_dims(array, step.expand) if step.expand else array


def _diagonal(array: Any, one: int, other: int) -> Any:
    """The diagonal of two dims, as the last dim; of an array of keys too.

    `jnp.diagonal` takes no square of keys, and turns a -0.0 in one of floats into 0.0.
    """
    array = jnp.moveaxis(array, (one, other), (0, 1))
    index = jnp.arange(array.shape[0])
    return jnp.moveaxis(array[index, index], 0, -1)


@dataclass(slots=True)
class Placer:
    """Says under which part of the pattern each leaf of a result stands, and checks it.

    What it said last is kept in `found`. Where the groups are `given`, it says these.
    """

    plan: PatternPlan
    given: Sequence[PlacedGroup] | None = None
    found: Sequence[PlacedGroup] = ()

    def __call__(self, result: Any) -> Sequence[PlacedGroup]:
        """The group of each leaf of one example's result.

        Raises:
            SpecError: the result has not as many parts as the pattern.
            RankError: a part has not as many dims; CoreSizeError: not these sizes.
        """
        known = dict(self.plan.core.sizes)
        found: list[PlacedGroup] = []
        for i, (label, part) in enumerate(self._parts(result)):
            for keys, leaf in tree_flatten_with_path(part)[0]:
                if is_array(leaf):
                    self._check(i, f"result{label}{keystr(keys)}", jnp.shape(leaf), known)
                found.append(self.plan.outputs[i])
        self.found = found if self.given is None else self.given
        return self.found

    def in_front(self, result: Any) -> list[Group]:
        """The same for results whose batch dims come first, as a loop stacks them."""
        return [Group(0, group.axes) for group in self(result)]

    def _parts(self, result: Any) -> list[tuple[str, Any]]:
        count = len(self.plan.outputs)
        if count == 1:
            return [("", result)]
        if not isinstance(result, (tuple, list)) or len(cast("Any", result)) != count:
            several = isinstance(result, (tuple, list))
            got = f"{len(cast('Any', result))}" if several else "one"
            raise SpecError(
                f"{self.plan.function}(): the pattern has {count} results, but the function "
                f"returned {got} ({kind_text(result)}); return a tuple of {count}\n"
                f"  {self.plan.pattern.text}"
            )
        return [(f"[{i}]", part) for i, part in enumerate(cast("Sequence[Any]", result))]

    def _check(self, i: int, path: str, shape: Sequence[Dim], known: dict[str, Dim]) -> None:
        core = self.plan.outputs[i].core
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
        pattern = self.plan.pattern
        words = [
            "..."
            if item is None
            else str(item if item.name is None else known.get(item.name, item))
            for item in self.plan.outputs[i].core
        ]
        nodes = pattern.outputs[i]
        spans = [Span(at, at + 1)] if at is not None else [node.span for node in nodes]
        spans = spans or [Span(len(pattern.text), len(pattern.text))]
        comma = "," if len(words) == 1 else ""
        return (
            f"{self.plan.function}(): {path} has shape ({shape_text(tuple(shape))}"
            f"{',' if len(shape) == 1 else ''}) for one example, but `{text_of(nodes)}` in the "
            f"pattern gives it the core shape ({', '.join(words)}{comma})\n"
            f"{pointed(pattern.text, *spans)}\n"
            f"Return an array of that shape, or mend the pattern"
        )


def refuse_missing(plan: PatternPlan, outputs: Sequence[Output]) -> SpecError | None:
    """The error for a result that depends on a batch axis which its part of the pattern lacks."""
    for output in outputs:
        group = cast("PlacedGroup", output.group)
        lacking = [x for x in plan.layers if x.axis in output.axes and not group.has(x)]
        if not lacking:
            continue
        name, pattern = str(lacking[0].name), plan.pattern
        part = text_of(pattern.outputs[plan.outputs.index(group)])
        axes = [axis for nodes in pattern.inputs for axis in axes_of(nodes)]
        spans = [axis.span for axis in axes if axis.name in (name, name.partition(".")[0])]
        return SpecError(
            f"{plan.function}(): result{output.path} depends on the axis {name!r}, which its part "
            f"of the pattern, `{part}`, lacks\n"
            f"{pointed(pattern.text, *spans or [Span(len(pattern.text), len(pattern.text))])}\n"
            f"Give the result that axis, put it in brackets, or reduce over it by a collective, as "
            f"in jax.lax.psum(x, {name!r})"
        )
    return None


def composed(plan: PatternPlan, result: Any, groups: Sequence[PlacedGroup], in_front: bool) -> Any:
    """The result with its dims composed and sizes of 1 put in, as the pattern has them."""
    leaves, treedef = jax.tree.flatten(result)
    if not in_front and all(group.flat for group in groups):
        return result
    finished = [
        _composed(leaf, group, plan, in_front) if is_array(leaf) else leaf
        for leaf, group in zip(leaves, groups, strict=True)
    ]
    return jax.tree.unflatten(treedef, finished)


def _composed(array: Any, group: PlacedGroup, plan: PatternPlan, in_front: bool) -> Any:
    if in_front:
        array = _from_front(array, group, plan)
    shape = jnp.shape(array)
    whole = replace(group, axes=None) if in_front else group
    sizes = [tuple(shape[dim] for dim in dims) for dims in whole.spread(len(shape))]
    final: list[Dim] = []
    for part in group.composed:
        if len(part) == 1 and group.items[part[0]] is None:
            final += sizes[part[0]]
        else:
            final.append(_product([size for i in part for size in sizes[i]]))
    return jnp.reshape(array, tuple(final)) if tuple(final) != jnp.shape(array) else array


def _product(sizes: Sequence[Dim]) -> Dim:
    product: Dim = 1
    for size in sizes:
        product = product * size
    return product


def _from_front(array: Any, group: PlacedGroup, plan: PatternPlan) -> Any:
    """The batch dims where the pattern has them, from a block in front."""
    block = len(plan.batch_shape)
    for axis in range(-block, 0):
        if axis not in group.items:
            array = lax.index_in_dim(array, 0, axis=block + axis, keepdims=True)
    lacking = [block + axis for axis in range(-block, 0) if axis not in group.items]
    array = lax.squeeze(array, lacking)
    present = [axis for axis in range(-block, 0) if axis in group.items]
    free = jnp.ndim(array) - (len(group.items) - group.items.count(None))
    at: dict[int, int] = {}
    dim = 0
    for item in group.items:
        if isinstance(item, int):
            at[item] = dim
        dim += free if item is None else 1
    return jnp.moveaxis(array, range(len(present)), [at[axis] for axis in present])
