"""A function's result around vmap and jit: arrays go through, everything else beside."""

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path, treedef_is_leaf

from autovmap._bind.kinds import kind_text
from autovmap._plan.core import check_output, kept
from autovmap._plan.leaf import dims_text
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import FRONT, Grouping, batched, of_result
from autovmap._run.hidden import refuse_hidden, refuse_sparse_result
from autovmap._run.steps import done
from autovmap._spec.gufunc import Gufunc
from autovmap.errors import RankError, SpecError

LAZY = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


def refuse_lazy(result: Any, leaves: Sequence[Any], function: str) -> None:
    """Refuse a coroutine or generator in a result, whose body would never run."""
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, LAZY):
            path = keystr(tree_flatten_with_path(result)[0][i][0])
            raise SpecError(
                f"{function}(): result{path} is a {type(leaf).__name__}, whose body has not run; "
                f"return its values instead"
            )


@dataclass(slots=True)
class Result:
    """The structure of one example's result, caught while vmap traces the function."""

    plan: CallPlan
    grouping: Grouping
    treedef: Any = None
    others: tuple[tuple[int, Any], ...] = ()
    """The leaves that are not arrays, by their place."""
    alone: bool = False
    """Whether the result is one array, which goes through vmap as it is."""
    members: tuple[list[int], ...] | None = None
    """For each group, the places of its leaves; None where all leaves are in the one group."""

    @property
    def function(self) -> str:
        """The function's name."""
        return self.plan.function

    def split(self, result: Any) -> tuple[list[Any], ...]:
        """The array leaves to go through vmap, in one list a group; the rest is kept here."""
        function = self.plan.function
        refuse_lazy(result, [result], function)
        leaves, self.treedef = jax.tree.flatten(result)
        gets = batched(leaves, self.treedef, self.plan.maps_numbers)
        others = [] if all(gets) else leaves
        if treedef_is_leaf(self.treedef) and not others and self.grouping is FRONT:
            return (leaves,)
        if others:
            refuse_lazy(result, others, function)
        refuse_hidden(result, others, self.treedef, function)
        refuse_sparse_result(self.treedef, function)
        if self.grouping is FRONT and not others:
            return (leaves,)
        self.others = tuple((i, leaf) for i, leaf in enumerate(leaves) if not gets[i])
        for i, leaf in self.others:
            if isinstance(leaf, np.ndarray):
                path = keystr(tree_flatten_with_path(result)[0][i][0])
                raise SpecError(
                    f"{self.function}(): result{path} is a NumPy array of dtype {leaf.dtype} "
                    f"({type(leaf).__name__}), which JAX does not support, so it gets no batch "
                    f"dims; return a JAX array"
                )
        outside = {i for i, _ in self.others}
        places = [i for i in range(len(leaves)) if i not in outside]
        at = self.grouping.of(result)
        for i in places:
            self._check(result, i, at[i].position)
        groups = self.grouping.groups
        self.members = tuple([i for i in places if at[i] == group] for group in groups)
        return tuple([leaves[i] for i in members] for members in self.members)

    def split_front(self, result: Any) -> Any:
        """As `split` for one group in front; a lone array, as most results are, is not wrapped."""
        if isinstance(result, jax.Array):  # a tracer too, whose class is no subclass
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
                f"{self.function}(): out_axes puts the batch dims of result{keystr(path)} at "
                f"{position}, but one example's has {dims_text(ndim)}; give a position from "
                f"{-ndim - 1} to {ndim}"
            )

    def join(self, outputs: Any, plan: CallPlan) -> Any:
        """The result, from what came out of the nest and what was kept."""
        if self.alone:
            return done(outputs, plan.behind) if plan.behind else outputs
        steps = [plan.after(group) for group in self.grouping.groups]
        if any(steps):
            pairs = zip(outputs, steps, strict=True)
            outputs = tuple([done(array, after) for array in arrays] for arrays, after in pairs)
        return self.joined(outputs)

    def joined(self, outputs: Sequence[list[Any]]) -> Any:
        """The result, from finished arrays and what was kept."""
        if self.members is None:
            return jax.tree.unflatten(self.treedef, outputs[0])
        leaves: list[Any] = [None] * self.treedef.num_leaves
        for i, leaf in self.others:
            leaves[i] = leaf
        for members, arrays in zip(self.members, outputs, strict=True):
            for i, array in zip(members, arrays, strict=True):
                leaves[i] = array
        return jax.tree.unflatten(self.treedef, leaves)


def finished(result: Any, plan: CallPlan, grouping: Grouping) -> Any:
    """The result of a function that was called as it is, after the steps behind the nest."""
    leaves, treedef = jax.tree.flatten(result)
    found = [
        done(leaf, plan.after(group)) if array else leaf
        for leaf, array, group in zip(
            leaves, batched(leaves, treedef, plan.maps_numbers), grouping.of(result), strict=True
        )
    ]
    return jax.tree.unflatten(treedef, found)


class Carried:
    """A pytree node without leaves, which comes out of a compiled function as what it carries."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


# Its value is the node's static data, and what unflattens it gives the value itself: so a compiled
# function returns no node, but what was carried. Nested vmaps would open it too early.
jax.tree_util.register_pytree_node(
    Carried, lambda carried: ((), carried.value), lambda value, _: value
)


def carried(result: Any, function: str) -> Any:
    """A traced function's result, with what is not an array where `jax.jit` lets it through.

    JAX refuses a NumPy array of a dtype that it does not have in its own words.

    Raises:
        SpecError: a leaf that is not an array holds a traced one.
    """
    leaves, treedef = jax.tree.flatten(result)
    refuse_hidden(result, leaves, treedef, function)
    arrays = batched(leaves, treedef)
    if all(arrays):
        return result
    kept = [
        x if array or isinstance(x, np.ndarray) else Carried(x)
        for x, array in zip(leaves, arrays, strict=True)
    ]
    return jax.tree.unflatten(treedef, kept)


def check_result(result: Any, signature: Gufunc, plan: CallPlan) -> None:
    """Check one example's result: as many outputs as the signature has, each of its core shape.

    With one output every array leaf of the result has that core; with several the result is a
    tuple or list with one entry each.

    Raises:
        SpecError: another number of outputs.
        CoreSizeError: an output of another shape.
    """
    outputs = signature.outputs
    assert outputs is not None, "looked at before"
    parts: list[tuple[str, Any]] = [("", result)]
    if len(outputs) > 1:
        if not isinstance(result, (tuple, list)) or len(result) != len(outputs):
            raise SpecError(_wrong_count(result, len(outputs), signature, plan.function))
        parts = [(f"[{i}]", part) for i, part in enumerate(result)]
    known = dict(plan.core.sizes)
    for (label, part), dims in zip(parts, outputs, strict=True):
        for (path, leaf), array in zip(
            tree_flatten_with_path(part)[0], of_result(part), strict=True
        ):
            if array:
                where = f"{plan.function}(): result{label}{keystr(path)}"
                shape = jnp.shape(leaf)
                check_output(kept(dims, plan.core.dropped), shape, known, where, signature)


def _wrong_count(result: Any, wanted: int, signature: Gufunc, function: str) -> str:
    if isinstance(result, (tuple, list)):
        return (
            f"{function}(): wrong number of output arguments: expected {wanted}, got "
            f"{len(result)}; return a tuple with one entry for each output of {signature}"
        )
    return (
        f"{function}(): output must be a tuple when multiple outputs are expected, got: "
        f"{kind_text(result)}; return a tuple with one entry for each output of {signature}"
    )
