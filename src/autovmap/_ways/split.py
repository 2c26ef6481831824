"""One call taken apart, leaf by leaf: what is traced, and what is static."""

import warnings
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path, treedef_is_leaf

from autovmap._bind.binder import argument_slots
from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.leaf_type import NUMBERS, leaf_type
from autovmap._bind.leaves import jax_holds, refuse_no_node
from autovmap._bind.trees import flatten, is_storable
from autovmap._cache import BoundedCache
from autovmap._run.carried import carried
from autovmap._spec.ranks import OneBatch, is_mapped, leaves_of
from autovmap._spec.spec import VAR_KEYWORD, VAR_POSITIONAL, Spec
from autovmap._ways.constant import Changing, static_key
from autovmap._ways.settings import settings
from autovmap._ways.statics import refuse_changing, refuse_static
from autovmap._ways.untraceable import refuse_array
from autovmap.errors import SpecError

LAYOUTS = 256
"""How many structures of arguments are remembered for a program."""
EIGHTH = 8
"""With so many different values of a static number, there is a warning."""

ARRAYS = (Kind.ARRAY, Kind.NUMPY, Kind.CONVERTIBLE, Kind.STRUCT, Kind.REF)
STATIC, WITH_NUMBERS, WITH_FLOATS, ARRAYS_ALONE = range(4)
"""What of an argument is traced: nothing, arrays and numbers, arrays and floats, or arrays."""


class Static:
    """A static leaf; two are one if all that they hold is the same: see `static_key`."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.key = static_key(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class Split:
    """A call in two: what is static in it, which is hashable, and the leaves that are traced."""

    statics: tuple[Any, tuple[str, ...], tuple[Static | None, ...]]
    """The structure, the names of the keyword arguments, and a static value for each leaf, None
    for one that is traced."""
    arrays: Sequence[Any]

    def key(self) -> Hashable:
        """All that a program for this call depends on: what is kept for it is kept under this."""
        return self.statics, tuple(map(leaf_type, self.arrays)), settings()

    def structs(self) -> list[Any]:
        """What stands for the arrays in `lower`."""
        return [leaf_type(x).struct() for x in self.arrays]


class Partition:
    """A function of any arguments, compiled once for each set of what is static in them.

    An array is traced, and a number that is a whole argument, unless its parameter is static. A
    number in a tree is static, ranked or not, as it configures what holds it; so is all else.
    """

    def __init__(self, run: Callable[..., Any], spec: Spec, static: Collection[str]) -> None:
        """`run` takes a call's arguments, keyword arguments, something static, and the state.

        The state is what a loop on the host hands from step to step: outputs, whose memory is
        used again, and the place where a step begins.
        """
        self._spec = spec
        self._static = frozenset(static)
        self._variadic = {
            p.name for p in spec.parameters if p.kind in (VAR_POSITIONAL, VAR_KEYWORD)
        }
        self._layouts: BoundedCache[tuple[int, ...]] = BoundedCache(LAYOUTS)
        self._numbers: dict[Any, set[Any]] = {}

        def traced(
            statics: Any, more: Any, arrays: Sequence[Any], outputs: Any, starts: Any
        ) -> Any:
            treedef, names, kept = statics
            rest = iter(arrays)
            leaves = [next(rest) if leaf is None else leaf.value for leaf in kept]
            args, values = jax.tree.unflatten(treedef, leaves)
            kwargs = dict(zip(names, values, strict=True))
            self._count(args, kwargs, kept)
            return carried(run(args, kwargs, more, (outputs, starts)), spec.function)

        traced.__name__ = traced.__qualname__ = spec.function
        self.program: Any = jax.jit(traced, static_argnums=(0, 1), donate_argnums=3)

    def split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Split:
        """Take a call apart.

        Raises:
            SpecError: a static value may change, or JAX can't trace an array.
        """
        names = tuple(kwargs)
        try:
            leaves, treedef = jax.tree.flatten((args, tuple(kwargs.values())))
        except ValueError:
            slots = argument_slots(self._spec, len(args), list(kwargs))
            flatten({s.path: s.value(args, kwargs) for s in slots}, self._spec.function)
            raise
        arrays: list[Any] = []
        statics: list[Static | None] = []
        try:
            for leaf, traced in zip(leaves, self._layout(len(args), names, treedef), strict=True):
                kind = kind_of(type(leaf))
                if kind in ARRAYS:
                    if (traced == STATIC and not isinstance(leaf, np.generic)) or (
                        kind is Kind.NUMPY and not jax_holds(leaf.dtype)
                    ):
                        raise Changing(leaf, "", "is an array")
                    as_array = traced != STATIC
                else:
                    as_array = (traced == WITH_NUMBERS and kind in NUMBERS) or (
                        traced == WITH_FLOATS and isinstance(leaf, (float, complex))
                    )
                if as_array:
                    arrays.append(leaf)
                statics.append(None if as_array else Static(leaf))
            found = (treedef, names, tuple(statics))
            hash(found)
        except Exception as error:
            self._refuse(args, kwargs, error)
            raise
        return Split(found, arrays)

    def __call__(self, split: Split, more: Any = None, outputs: Any = (), starts: Any = ()) -> Any:
        """Run the compiled program."""
        return self.program(split.statics, more, split.arrays, outputs, starts)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], more: Any = None) -> Any:
        """Take a call apart and run its program."""
        return self(self.split(args, kwargs), more)

    def _layout(self, count: int, names: tuple[str, ...], treedef: Any) -> tuple[int, ...]:
        """For each leaf, what of its argument is traced."""
        way = (count, names, treedef)
        found = self._layouts.get(way)
        if found is None:
            parts = [part for group in treedef.children() for part in group.children()]
            found = tuple(
                treat if treat == STATIC or treedef_is_leaf(part) else ARRAYS_ALONE
                for treat, part in zip(self._treats(count, names), parts, strict=True)
                for _ in range(part.num_leaves)
            )
            if is_storable(treedef):
                self._layouts.put(way, found)
        return found

    def _treats(self, count: int, names: Sequence[str]) -> Iterator[int]:
        """How each argument is treated if it is a leaf."""
        for slot in argument_slots(self._spec, count, names):
            if slot.parameter in self._static or slot.place in self._static:
                yield STATIC
            elif slot.parameter in self._variadic and not is_mapped(slot.rank):
                yield WITH_FLOATS  # an int among them is an option, as in `axis=0`
            elif any(isinstance(leaf, OneBatch) for leaf in leaves_of(slot.rank)):
                yield ARRAYS_ALONE  # no number has a dim to map
            else:
                yield WITH_NUMBERS

    def _refuse(self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception) -> None:
        """Name the value that can be neither traced nor static."""
        function = self._spec.function
        for where, slot, leaf in self._leaves(args, kwargs):
            kind = kind_of(type(leaf))
            static = slot.parameter in self._static
            if kind in ARRAYS and static and not isinstance(leaf, np.generic):
                refuse_static(leaf, slot.parameter, where, function)
            refuse_array(leaf, where)
            if kind not in ARRAYS:
                refuse_no_node(leaf, slot.rank, where)
                refuse_changing(leaf, where)
        raise SpecError(
            f"{function}(): the arguments hold static data that has no hash ({error}), so no "
            f"compiled program can be kept for them; keep arrays out of static fields"
        ) from error

    def _leaves(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[str, Any, Any]]:
        """The leaves of a call: what opens a message on one, and its argument's slot."""
        for slot in argument_slots(self._spec, len(args), list(kwargs)):
            for keys, leaf in tree_flatten_with_path(slot.value(args, kwargs))[0]:
                yield f"{self._spec.function}(): {slot.path}{keystr(keys)}", slot, leaf

    def _count(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], kept: Sequence[Static | None]
    ) -> None:
        """Warn when a static number takes its eighth value; called once for each trace."""
        if not any(leaf is not None and _is_number(leaf.value) for leaf in kept):
            return
        for (where, slot, _), leaf in zip(self._leaves(args, kwargs), kept, strict=True):
            if leaf is None or not _is_number(leaf.value):
                continue
            seen = self._numbers.setdefault(where, set())
            if leaf.key in seen or len(seen) >= EIGHTH:
                continue
            seen.add(leaf.key)
            if len(seen) == EIGHTH:
                path = where.partition(": ")[2]
                remedy = f"pass jnp.asarray({path}), which is traced"
                if path == slot.path:
                    remedy = f"rank it 0 ({path}=0) to trace it"
                warnings.warn(
                    f"{where} is a static number that takes its eighth value, {leaf.value!r}, and "
                    f"each value is compiled separately; {remedy}",
                    stacklevel=3,
                )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
