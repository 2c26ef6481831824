"""From a call's arguments to its plan: which values are ranked, their leaves, what was cached.

Two things are cached, each once for the many calls that share it: a *style* for a way of calling
(so many positional arguments, these keywords), under it a *layout* for a structure of the ranked
values, and under that a plan for the leaves' shapes. None of them holds an array: all that is
kept of a call is structure, shapes and dtypes.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax

from autovmap._bind.kinds import is_key, refuse_arrays, shown
from autovmap._bind.leaves import (
    facts,
    planned_leaf,
    refuse_shape,
    refuse_short_ref,
    refuse_structs,
    to_jax,
)
from autovmap._bind.match import Layout, layout_of
from autovmap._bind.style import Slot, Style, argument_slots, style_of, with_arrays
from autovmap._bind.trees import array_leaves, fresh, holders, refuse_unsortable
from autovmap._cache import BoundedCache, is_storable
from autovmap._plan.broadcast import outer
from autovmap._plan.core import core_sizes, drop_optional
from autovmap._plan.keys import equal_draws
from autovmap._plan.leaf import Leaf, checked_leaf, key_hint, looks_like_raw_key, root, tuple_text
from autovmap._plan.plan import CallPlan, make_plan
from autovmap._spec.ranks import OneBatch
from autovmap._spec.spec import Spec
from autovmap.errors import BatchShapeError, CoreSizeError, RankError, SpecError

STYLES, LAYOUTS, PLANS = 128, 256, 1024
"""How many of each are kept for a function."""


@dataclass(slots=True)
class KeptPlan:
    """A plan, which of the call's leaves its rows are, and its nest of vmaps once it has run."""

    plan: CallPlan
    places: tuple[int, ...]
    nest: Any = None


@dataclass(slots=True)
class Call:
    """One call: its arguments, the leaves of the ranked ones, and the plan."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    style: Style
    layout: Layout
    leaves: list[Any]
    treedef: Any
    planned: KeptPlan

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The ranked arguments."""
        return self.style.slots

    def arrays(self) -> list[Any]:
        """The plan's leaves, with NumPy arrays and the like as JAX arrays."""
        return [to_jax(self.leaves[i]) for i in self.planned.places]

    def arguments(self, rows: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The function's arguments, with other values in place of the plan's leaves."""
        leaves = rows
        if len(rows) != len(self.leaves):
            leaves = list(self.leaves)
            for i, value in zip(self.planned.places, rows, strict=True):
                leaves[i] = value
        args, kwargs = list(self.args), dict(self.kwargs)
        for place in self.style.shared:
            if isinstance(place, int):
                args[place] = fresh(args[place])
            else:
                kwargs[place] = fresh(kwargs[place])
        for slot, value in zip(self.slots, jax.tree.unflatten(self.treedef, leaves), strict=True):
            if isinstance(slot.place, int):
                args[slot.place] = value
            else:
                kwargs[slot.place] = value
        return args, kwargs


def looks_for_keys(spec: Spec) -> bool:
    """Whether a key without a rank is a mistake: under "error", and in `f.batch`, if not said."""
    randomness = spec.options.randomness
    prepended = spec.extent.prepended
    drawn = bool(prepended) and randomness is None and any(size > 1 for size in prepended)
    return randomness == "error" or drawn


class Binder:
    """Binds calls of one function under one spec."""

    def __init__(self, spec: Spec, signature: inspect.Signature, class_first: bool = False) -> None:
        """`class_first` says that the first argument of each call must be a class."""
        self._class_first = class_first
        self._spec = spec
        self._signature = signature
        self._styles: BoundedCache[Style] = BoundedCache(STYLES)
        self._layouts: BoundedCache[Layout] = BoundedCache(LAYOUTS)
        self._plans: BoundedCache[KeptPlan] = BoundedCache(PLANS)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, run: bool = True) -> Call:
        """Plan a call; with `run=False` shapes will do, and nothing is looked up or kept.

        Raises:
            TypeError: the arguments do not fit the function's parameters.
            AutoVmapError: the arguments do not fit the declaration.
        """
        if self._class_first and not (args and isinstance(args[0], type)):
            raise SpecError(_no_class(self._spec.function))
        style = self._style(args, kwargs)
        for slot in style.checked:
            refuse_arrays(slot.value(args, kwargs), slot.rank, slot.path, self._spec.function)
        args, kwargs, values = self._values(style, args, kwargs)
        if not run:
            for slot, value in zip(style.slots, values, strict=True):
                refuse_shape(value, slot.rank, slot.path, self._spec.function)
        try:
            leaves, treedef = jax.tree.flatten(values)
        except ValueError as error:
            by_path = {slot.path: value for slot, value in zip(style.slots, values, strict=True)}
            refuse_unsortable(by_path, self._spec.function, error)
            raise
        structure = (style, treedef)
        layout = self._layouts.get(structure)
        if layout is None:
            layout = layout_of(self._spec, style, values)
            if is_storable(treedef):
                self._layouts.put(structure, layout)
        planned = self._planned(layout, leaves, values, run)
        call = Call(args, kwargs, style, layout, leaves, treedef, planned)
        if self._spec.options.strict and (forgotten := self.forgotten(call)):
            self._refuse_forgotten(*forgotten[0], call)
        if looks_for_keys(self._spec) and call.planned.plan.batch_shape:
            self._refuse_shared_keys(call)
        return call

    def again(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """A call that was bound, with other arrays: those that a trace of its program has.

        None if it is another one. It is planned anew only where its shapes differ, as in a bucket.
        """
        style = self._style(args, kwargs)
        args, kwargs, values = self._values(style, args, kwargs)
        leaves, treedef = jax.tree.flatten(values)
        try:
            if style is not call.style or treedef != call.treedef:
                return None
        except Exception:  # what the treedefs hold can't be compared
            return None
        planned = call.planned
        if [_shape_of(leaves[i]) for i in planned.places] != [
            _shape_of(call.leaves[i]) for i in planned.places
        ]:
            planned = self._planned(call.layout, leaves, values)
        return Call(args, kwargs, style, call.layout, leaves, treedef, planned)

    def _values(
        self, style: Style, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
        """The arguments with the defaults of ranked ones, and the values of these."""
        args += style.default_args
        if style.default_kwargs:
            kwargs = {**kwargs, **style.default_kwargs}
        if self._spec.numpy_calls:
            args, kwargs = with_arrays(style.slots, args, kwargs)
        return args, kwargs, [slot.value(args, kwargs) for slot in style.slots]

    def _planned(
        self, layout: Layout, leaves: Sequence[Any], values: Sequence[Any], run: bool = True
    ) -> KeptPlan:
        """The plan of some leaves, which is kept with `run`."""
        key = (layout, *[facts(leaves[i]) for i in layout.ranked])
        planned = self._plans.get(key) if run else None
        if planned is None:
            try:
                planned = self._plan(layout, leaves, run)
            except (RankError, BatchShapeError, CoreSizeError):
                held = tuple(holder for value in values for holder in holders(value))
                if any(held):  # once more, with more to say of leaves deep inside
                    self._plan(replace(layout, holders=held), leaves, run)
                raise
            if run:
                self._plans.put(key, planned)
        return planned

    def _refuse_shared_keys(self, call: Call) -> None:
        """Refuse typed keys without a rank that all examples would share, unless declared None."""
        spec = self._spec
        for path, array in self.unranked(call, undeclared=True):
            if not is_key(array):
                continue
            if spec.options.randomness is None:
                raise equal_draws(f"{path}: {shown(array)}", spec.extent.prepended, spec.function)
            raise BatchShapeError(
                f'{spec.function}(): randomness="error", but {path}, {shown(array)}, is a PRNG key '
                f'that all examples share\nGive it a rank ({root(path)}="key") and pass a key for '
                f"each example, or declare {root(path)}=None if it is shared on purpose"
            )

    def unranked(
        self, call: Call, *, undeclared: bool = False, kind: Any = jax.Array
    ) -> Iterator[tuple[str, Any]]:
        """The array leaves of the arguments without a rank, by path: to explain an error.

        With `undeclared` those that were declared None, not mapped on purpose, are left out.
        """
        taken = {slot.place for slot in call.slots}
        chosen = {p.name for p in self._spec.parameters if p.declared} if undeclared else ()
        for slot in argument_slots(self._spec, len(call.args), list(call.kwargs)):
            if slot.place not in taken and slot.parameter not in chosen:
                yield from array_leaves(slot.value(call.args, call.kwargs), slot.path, kind)

    def forgotten(self, call: Call) -> list[tuple[str, Any]]:
        """The arrays without a rank that begin with the batch shape of the call, by path."""
        batch = call.planned.plan.batch_shape
        if not batch:
            return []
        arrays = self.unranked(call, undeclared=True)
        return [(path, x) for path, x in arrays if tuple(x.shape[: len(batch)]) == batch]

    def _refuse_forgotten(self, path: str, array: Any, call: Call) -> None:
        name = root(path)
        raise BatchShapeError(
            f"{self._spec.function}(): strict=True, and {path}, {shown(array)}, has no base rank, "
            f"but begins with the batch shape {tuple_text(call.planned.plan.batch_shape)}. Was its "
            f"rank forgotten? Give it one, or {name}=None if all examples share it"
        )

    def _style(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Style:
        way = (len(args), *kwargs)
        style = self._styles.find(way)
        if style is None:
            style = style_of(self._spec, self._signature, args, kwargs, self._class_first)
            self._styles.put(way, style)
        return style

    def _plan(self, layout: Layout, leaves: Sequence[Any], run: bool) -> KeptPlan:
        """Work out a new plan. Every leaf under a rank is looked at, so a bad one is named here."""
        function = self._spec.function
        places: list[int] = []
        rows: list[Leaf] = []
        for i in layout.ranked:
            if run:
                refuse_structs(leaves[i], layout.paths[i], function)
            leaf = planned_leaf(
                leaves[i], layout.ranks[i], layout.paths[i], layout.whole[i], function
            )
            if leaf is not None:
                places.append(i)
                rows.append(replace(leaf, holder=layout.holders[i]) if layout.holders else leaf)
        rows, dropped = drop_optional(rows)
        for j, i in enumerate(places):
            one = isinstance(layout.ranks[i], OneBatch)
            at = rows[j].position if one else layout.positions[i]
            hint = f"\n{key_hint(rows[j])}" if looks_like_raw_key(rows[j]) else ""
            rows[j] = checked_leaf(rows[j], at, function, hint)
        sizes = core_sizes(rows, dropped, function)
        extent = self._spec.extent
        if extent.groups:
            groups = [layout.groups[i] for i in places]
            rows = outer(rows, groups, len(extent.groups), function)
        plan = make_plan(function, rows, self._spec.options, extent, sizes)
        for i, leaf in zip(places, rows, strict=True):
            refuse_short_ref(leaves[i], leaf, plan.batch_shape, function)
        return KeptPlan(plan, tuple(places))


def _shape_of(leaf: Any) -> Any:
    """The shape of an array; a number has none to tell."""
    return getattr(leaf, "shape", ())


def may_promote() -> str:
    """What `jax_numpy_rank_promotion` says of broadcasting: "allow", "warn" or "raise"."""
    return cast("Any", jax.config).jax_numpy_rank_promotion


def _no_class(function: str) -> str:
    return (
        f"{function}(): its first argument is not a class. Below @classmethod, Python 3.13 and "
        f"later give the class to a call alone, not to .plan, .batch and the like: put @auto_vmap "
        f"above @classmethod"
    )
