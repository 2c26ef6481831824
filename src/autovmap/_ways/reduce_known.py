"""What a trace of one example has told of a fold, kept for uncompiled calls like it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from autovmap._bind.binder import Call
from autovmap._cache import BoundedCache
from autovmap._plan.outputs import Group
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping
from autovmap._spec.spec import Spec
from autovmap._ways.constant import may_hold_arrays
from autovmap._ways.reduce_units import Unit, units_of_result
from autovmap._ways.split import Partition
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class KnownFold:
    """How each leaf of a result is folded, and the groups that follow from what it depends on."""

    units: Sequence[Unit]
    groups: Sequence[Group]

    def grouping(self, plan: CallPlan, spec: Spec, declared: Grouping) -> Grouping:
        """The groups of a result's leaves, if it is one like that which was traced."""

        def by_leaf(result: Any) -> Sequence[Group]:
            if list(self.units) != units_of_result(plan, spec, result, declared):
                raise ValueError("another result than before")
            return self.groups

        return Grouping(declared.regrouped(self.groups).groups, by_leaf)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The place of one kind of calls in what is kept.

    A function may read what is no argument, and depend on more axes, or return something else,
    than it did. Then what is known does not fit: vmap raises, or the groups do.
    """

    folds: BoundedCache[KnownFold]
    key: Hashable

    def get(self) -> KnownFold | None:
        """What is known, if anything is."""
        return self.folds.get(self.key)

    def put(self, units: Sequence[Unit], groups: Sequence[Group]) -> None:
        """Keep what a trace has told."""
        self.folds.put(self.key, KnownFold(units, groups))


def remembered(
    folds: BoundedCache[KnownFold], partition: Partition, call: Call
) -> Remembered | None:
    """The place of a call; None if it can't be told from others, or differs in what is unseen.

    Or if a static value may hold arrays, as a function does that closes over some: what is kept
    would keep them too.
    """
    try:
        if any(map(may_hold_arrays, jax.tree.leaves((call.args, call.kwargs)))):
            return None
        split = partition.split(call.args, call.kwargs)
    except (SpecError, ValueError):  # of JAX, where keys of a dict can't be sorted
        return None
    return Remembered(folds, (call.planned.plan, split.key()))
