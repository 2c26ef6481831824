"""A function's result around vmap: arrays go through it, everything else beside it."""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.leaves import is_array
from autovmap._plan.leaf import dims_text
from autovmap._plan.outputs import Group, block_start, dropped, restored
from autovmap._plan.plan import PlanData
from autovmap._run.hidden import refuse_hidden
from autovmap.errors import RankError, SpecError

LAZY = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)

Place: TypeAlias = Callable[[Any], Sequence[Group]]
"""The group of each leaf of a result."""


Groups: TypeAlias = tuple[Group, ...]
"""The different groups of a function's outputs: vmap takes one `out_axes` for each."""
FRONT: Groups = (Group(),)


def refuse_lazy(result: Any, leaves: Sequence[Any], function: str) -> None:
    """Refuse a coroutine or generator in a result: its body has not run yet, and never would."""
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, LAZY):
            path = keystr(tree_flatten_with_path(result)[0][i][0])
            raise SpecError(
                f"{function}(): the result{path} is a {type(leaf).__name__}, whose body has not "
                f"run; return its values instead"
            )


@dataclass(slots=True)
class Result:
    """The structure of one example's result, caught while vmap traces the function."""

    function: str
    groups: Groups
    place: Place | None
    treedef: Any = None
    others: tuple[tuple[int, Any], ...] = ()
    """The leaves that are no arrays, by their place."""
    alone: bool = False
    """Whether the result is one array, which goes through vmap as it is."""
    members: tuple[list[int], ...] | None = None
    """For each group, the places of its leaves; None where all leaves are in the one group."""

    def split(self, result: Any) -> list[Any] | tuple[list[Any], ...]:
        """The array leaves to go through vmap, in one list a group; the rest is kept here."""
        refuse_lazy(result, [result], self.function)
        leaves, self.treedef = jax.tree.flatten(result)
        others = [] if all(map(is_array, leaves)) else leaves
        refuse_lazy(result, others, self.function)
        refuse_hidden(result, others, self.treedef, self.function)
        if self.groups is FRONT and not others:
            return leaves
        self.others = tuple((i, leaf) for i, leaf in enumerate(leaves) if not is_array(leaf))
        for i, leaf in self.others:
            if isinstance(leaf, np.ndarray):
                path = keystr(tree_flatten_with_path(result)[0][i][0])
                raise SpecError(
                    f"{self.function}(): the result{path} is a NumPy array of dtype {leaf.dtype} "
                    f"({type(leaf).__name__}), which JAX has not, so it gets no batch dims; "
                    f"return a JAX array"
                )
        outside = {i for i, _ in self.others}
        places = [i for i in range(len(leaves)) if i not in outside]
        at = self.place(result) if self.place else [self.groups[0]] * len(leaves)
        for i in places:
            self._check(result, i, at[i].position)
        self.members = tuple([i for i in places if at[i] == group] for group in self.groups)
        grouped = tuple([leaves[i] for i in members] for members in self.members)
        return grouped[0] if len(grouped) == 1 else grouped

    def split_front(self, result: Any) -> Any:
        """As `split` for one group in front; a lone array, as most results are, is not wrapped."""
        if kind_of(type(result)) is Kind.ARRAY:
            self.alone = True
            return result
        return self.split(result)

    def _check(self, result: Any, i: int, position: int | None) -> None:
        if position in (None, 0, -1):
            return
        path, leaf = tree_flatten_with_path(result)[0][i]
        ndim = jnp.ndim(leaf)
        if not -ndim - 1 <= position <= ndim:
            raise RankError(
                f"{self.function}(): out_axes puts the batch dims of the result{keystr(path)} at "
                f"{position}, but one example's has {dims_text(ndim)}; give a position from "
                f"{-ndim - 1} to {ndim}"
            )

    def join(self, batched: Any, plan: PlanData) -> Any:
        """The result, from what came out of the nest and what was kept."""
        if self.alone:
            return batched if plan.exact else finish(batched, plan, FRONT[0])
        if not plan.exact or any(group.axes is not None for group in self.groups):
            grouped = (batched,) if len(self.groups) == 1 else batched
            finished = tuple(
                [finish(array, plan, group) for array in arrays]
                for group, arrays in zip(self.groups, grouped, strict=True)
            )
            batched = finished[0] if len(self.groups) == 1 else finished
        return self.joined(batched)

    def joined(self, batched: Any) -> Any:
        """The result, from finished arrays and what was kept."""
        if self.members is None:
            return jax.tree.unflatten(self.treedef, batched)
        leaves: list[Any] = [None] * self.treedef.num_leaves
        for i, leaf in self.others:
            leaves[i] = leaf
        grouped = (batched,) if len(self.groups) == 1 else batched
        for members, arrays in zip(self.members, grouped, strict=True):
            for i, array in zip(members, arrays, strict=True):
                leaves[i] = array
        return jax.tree.unflatten(self.treedef, leaves)


def finish(array: Any, plan: PlanData, group: Group) -> Any:
    """Take away the batch dims that the call lacks, and give those that no layer makes."""
    if group.position is None:
        return array
    block = len(plan.batch_shape)
    drops = dropped(group, plan.layers, block)
    if drops:
        made = sum(group.has(layer) for layer in plan.layers)
        start = block_start(group.position, jnp.ndim(array), made)
        array = lax.squeeze(array, range(start, start + drops))
    restores = restored(group, plan.layers, block)
    if restores:
        array = jnp.asarray(array)
        start = block_start(group.position, array.ndim + len(restores), block)
        array = lax.expand_dims(array, [start + dim for dim in restores])
    return array
