"""One kept compiled program for arguments of any kind: arrays are traced, all else is static."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.binder import argument_slots
from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.trees import flatten, is_storable
from autovmap._cache import BoundedCache
from autovmap._run.carried import carried
from autovmap._spec.ranks import OneBatch, is_mapped, leaves_of
from autovmap._spec.spec import Spec
from autovmap._ways.statics import changes, refuse_changing
from autovmap.errors import SpecError

LAYOUTS = 256
"""How many structures of arguments are remembered for a program."""

ARRAYS = (Kind.ARRAY, Kind.NUMPY, Kind.CONVERTIBLE, Kind.STRUCT, Kind.REF)
NUMBERS = (Kind.INT, Kind.NUMBER)
STATIC, WITH_NUMBERS, ARRAYS_ALONE = range(3)
"""What of an argument is traced: nothing, arrays and numbers, or arrays."""


class Static:
    """A static leaf; two are one if they are of one type and equal, floats to the last bit."""

    __slots__ = ("key", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        same = value.hex() if type(value) is float else value
        if type(value) is slice:  # has no hash before Python 3.12
            same = (value.start, value.stop, value.step)
        self.key = (type(value), same)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Partition:
    """A function of any arguments, compiled once for each set of what is static in them.

    A number is traced if it has a rank or is a whole argument, unless its parameter is static; a
    number in a tree without a rank is static, as it configures what holds it.
    """

    def __init__(self, run: Callable[..., Any], spec: Spec, static: Collection[str]) -> None:
        """`run` takes a call's arguments, keyword arguments, something static, and the state.

        The state is what a loop on the host hands from step to step: outputs, whose memory is
        used again, and the place where a step begins.
        """
        self._spec = spec
        self._static = frozenset(static)
        self._layouts: BoundedCache[tuple[int, ...]] = BoundedCache(LAYOUTS)

        def traced(statics: Any, arrays: Sequence[Any], outputs: Any, starts: Any) -> Any:
            treedef, names, kept, more = statics
            rest = iter(arrays)
            leaves = [next(rest) if leaf is None else leaf.value for leaf in kept]
            args, values = jax.tree.unflatten(treedef, leaves)
            kwargs = dict(zip(names, values, strict=True))
            return carried(run(args, kwargs, more, (outputs, starts)), spec.function)

        traced.__name__ = traced.__qualname__ = spec.function
        self.program: Any = jax.jit(traced, static_argnums=0, donate_argnums=2)

    def split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], more: Any = None
    ) -> tuple[Any, list[Any]]:
        """What is static in a call, and its arrays: the arguments of `program`.

        Raises:
            SpecError: a static value has no hash, or one that does not tell when it changes.
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
        for leaf, traced in zip(leaves, self._layout(len(args), names, treedef), strict=True):
            kind = kind_of(type(leaf))
            if traced != STATIC and (
                kind in ARRAYS or (kind in NUMBERS and traced != ARRAYS_ALONE)
            ):
                arrays.append(leaf)
                statics.append(None)
            else:
                if changes(type(leaf)):
                    self._refuse(args, kwargs)
                statics.append(Static(leaf))
        found = (treedef, names, tuple(statics), more)
        try:
            hash(found)
        except Exception as error:
            self._refuse(args, kwargs, error)
        return found, arrays

    def __call__(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        more: Any = None,
        outputs: Any = (),
        starts: Any = (),
    ) -> Any:
        """Run the compiled program."""
        return self.program(*self.split(args, kwargs, more), outputs, starts)

    def _layout(self, count: int, names: tuple[str, ...], treedef: Any) -> tuple[int, ...]:
        """For each leaf, what of its argument is traced."""
        way = (count, names, treedef)
        found = self._layouts.get(way)
        if found is None:
            parts = [part for group in treedef.children() for part in group.children()]
            treats = list(self._treats(count, names))
            found = tuple(
                ARRAYS_ALONE
                if treat is None and not jax.tree_util.treedef_is_leaf(part)
                else (WITH_NUMBERS if treat is None else treat)
                for treat, part in zip(treats, parts, strict=True)
                for _ in range(part.num_leaves)
            )
            if is_storable(treedef):
                self._layouts.put(way, found)
        return found

    def _treats(self, count: int, names: Sequence[str]) -> Iterator[int | None]:
        """How each argument is treated; None where its structure decides."""
        for slot in argument_slots(self._spec, count, names):
            if any(isinstance(leaf, OneBatch) for leaf in leaves_of(slot.rank)):
                yield ARRAYS_ALONE  # no number has a dim to map
            elif is_mapped(slot.rank):
                yield WITH_NUMBERS
            else:
                yield STATIC if slot.parameter in self._static else None

    def _refuse(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception | None = None
    ) -> None:
        """Name the static value that can't be one."""
        function = self._spec.function
        for slot in argument_slots(self._spec, len(args), list(kwargs)):
            value = slot.value(args, kwargs)
            for keys, leaf in tree_flatten_with_path(value)[0]:
                where = f"{function}(): {slot.path}{keystr(keys)}"
                traced = kind_of(type(leaf)) in ARRAYS and slot.parameter not in self._static
                if traced:
                    continue
                if kind_of(type(leaf)) in ARRAYS:
                    raise SpecError(
                        f"{where} is an array, but {slot.parameter} is static, by its default or "
                        f"annotation: pass no array, or annotate it as what it is"
                    ) from error
                refuse_changing(leaf, where)
        if error is not None:
            raise SpecError(
                f"{function}(): the arguments hold static data without a hash ({error}), so that "
                f"no compiled program can be kept for them; keep arrays out of static fields"
            ) from error
