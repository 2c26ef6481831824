"""One call taken apart, leaf by leaf: what is traced, what is static, under JAX's settings."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import jax
import numpy as np
from jax.tree_util import keystr, tree_flatten, tree_flatten_with_path, treedef_is_leaf

from autovmap._bind.kinds import ARRAYS, NUMBERS, Kind, kind_of, leaf_type
from autovmap._bind.leaves import jax_holds, refuse_no_node
from autovmap._bind.style import argument_slots
from autovmap._bind.trees import flatten
from autovmap._cache import BoundedCache, is_storable
from autovmap._run.result import carried
from autovmap._spec.ranks import OneBatch, is_mapped, leaves_of
from autovmap._spec.spec import VAR_KEYWORD, VAR_POSITIONAL, Spec
from autovmap._ways.constant import ATOMS, Changing, static_key
from autovmap._ways.statics import count_value, is_number, refuse_changing, refuse_static
from autovmap._ways.untraceable import refuse_array
from autovmap.errors import SpecError


class _SettingsMark:
    """What stands for the settings of one trace: a pytree node without leaves."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key


jax.tree_util.register_pytree_node(
    _SettingsMark, lambda mark: ((), mark.key), lambda key, _: _SettingsMark(key)
)


class _SettingsKey:
    """The settings of one trace, told from others by identity."""


@jax.jit
def _traced_settings() -> Any:
    return _SettingsMark(_SettingsKey())


def settings() -> Hashable:
    """A key that changes with every setting which JAX compiles anew for.

    x64, the default device, matmul precision, the mesh around a call: their number grows with
    each version of JAX. So JAX is asked itself: it traces a program of nothing once for each
    state of its settings, and gives back what it kept (9 µs).

    >>> with jax.default_matmul_precision("highest"):
    ...     highest = settings()
    >>> highest == settings(), settings() == settings()
    (False, True)
    """
    return _traced_settings.eval_shape().key


LAYOUTS = 256
"""How many structures of arguments are remembered for a program."""
STATICS = 1024
"""How many sets of static values are told apart for one structure."""
TRACED = object()
"""In place of the value of a leaf that is traced."""

Values: TypeAlias = tuple[Any, ...]
Keys: TypeAlias = tuple[Hashable, ...]

SEEN = 1024
"""Of how many kinds of calls it is known what was decided, and how often they were seen."""
ARRAY, OTHER = Kind.ARRAY, Kind.OTHER
STATIC, WITH_NUMBERS, WITH_FLOATS, ARRAYS_ALONE = range(4)
"""What of an argument is traced: nothing, arrays and numbers, arrays and floats, or arrays."""


class Static:
    """What is static in a call of a program.

    Equal ones are one object, so that JAX tells them by identity: at each call it would hash and
    compare all that they hold.
    """

    __slots__ = ("kept", "key", "names", "treedef")

    def __init__(self, treedef: Any, names: tuple[str, ...], kept: Values, key: Keys) -> None:
        self.treedef = treedef
        self.names = names
        """Those of the keyword arguments."""
        self.kept = kept
        """The value of each leaf that is static, and `TRACED` for one that is traced."""
        self.key = key
        """The key of each leaf that is static, None for one that is traced."""


class Unkept(Static):
    """The same of a structure that can be compared, but not looked up: JAX compares it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        alike = isinstance(other, Unkept) and self.names == other.names and self.key == other.key
        return alike and self.treedef == cast("Unkept", other).treedef

    def __hash__(self) -> int:
        return hash((self.names, self.key))


class Layout:
    """What is known of a structure of arguments."""

    __slots__ = ("statics", "traced")

    def __init__(self, traced: tuple[int, ...]) -> None:
        self.traced = traced
        """For each leaf, what of its argument is traced."""
        self.statics: BoundedCache[Static] = BoundedCache(STATICS)


@dataclass(slots=True, eq=False)
class Split:
    """A call in two: what is static in it, and the leaves that are traced."""

    static: Static
    arrays: list[Any]

    def key(self) -> Hashable:
        """All that a program for this call depends on: what is kept for it is kept under this."""
        return self.static, tuple(map(leaf_type, self.arrays)), settings()

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
        self._layouts: BoundedCache[Layout] = BoundedCache(LAYOUTS)
        self._numbers: dict[Any, set[Any]] = {}

        def traced(
            static: Static, more: Any, arrays: Sequence[Any], outputs: Any, starts: Any
        ) -> Any:
            rest = iter(arrays)
            leaves = [next(rest) if leaf is TRACED else leaf for leaf in static.kept]
            args, values = jax.tree.unflatten(static.treedef, leaves)
            kwargs = dict(zip(static.names, values, strict=True))
            self._count(args, kwargs, static)
            return carried(run(args, kwargs, more, (outputs, starts)), spec.function)

        traced.__name__ = traced.__qualname__ = spec.function
        # Donated: the outputs that a loop on the host hands on are written over, not copied.
        self.program: Any = jax.jit(traced, static_argnums=(0, 1), donate_argnums=3)

    def split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Split:
        """Take a call apart.

        Raises:
            SpecError: a static value may change, or JAX can't trace an array.
        """
        names = tuple(kwargs)
        try:
            leaves, treedef = tree_flatten((args, tuple(kwargs.values())))
        except ValueError:
            slots = argument_slots(self._spec, len(args), list(kwargs))
            flatten({s.path: s.value(args, kwargs) for s in slots}, self._spec.function)
            raise
        arrays: list[Any] = []
        keys: list[Hashable] = []
        try:
            layout = self._layouts.get((names, treedef)) or self._layout(len(args), names, treedef)
            for leaf, traced in zip(leaves, layout.traced, strict=True):
                cls = type(leaf)
                kind = kind_of(cls)
                # The first two in place: a frame for each leaf would cost more than all else here.
                if kind is ARRAY and traced != STATIC:
                    arrays.append(leaf)
                    keys.append(None)
                elif kind is OTHER:
                    keys.append((cls, leaf) if cls in ATOMS else static_key(leaf))
                elif _is_traced(leaf, kind, traced):
                    arrays.append(leaf)
                    keys.append(None)
                else:
                    keys.append(static_key(leaf))
            key = tuple(keys)
            static = layout.statics.find(key)
            if static is None:
                static = self._kept(layout, treedef, names, leaves, key)
        except Exception as error:
            self._refuse(args, kwargs, error)
            raise
        return Split(static, arrays)

    def __call__(self, split: Split, more: Any = None, outputs: Any = (), starts: Any = ()) -> Any:
        """Run the compiled program."""
        return self.program(split.static, more, split.arrays, outputs, starts)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], more: Any = None) -> Any:
        """Take a call apart and run its program."""
        split = self.split(args, kwargs)
        return self.program(split.static, more, split.arrays, (), ())

    def _kept(
        self, layout: Layout, treedef: Any, names: tuple[str, ...], leaves: list[Any], key: Keys
    ) -> Static:
        """What is static in a call, kept for all calls like it."""
        kept = tuple([TRACED if k is None else x for x, k in zip(leaves, key, strict=True)])
        if self._layouts.get((names, treedef)) is layout:  # else it can't be looked up at all
            return layout.statics.keep(key, Static(treedef, names, kept, key))
        return Unkept(treedef, names, kept, key)

    def _layout(self, count: int, names: tuple[str, ...], treedef: Any) -> Layout:
        """What is known of a structure of arguments, kept if it can be looked up."""
        parts = [part for group in treedef.children() for part in group.children()]
        layout = Layout(
            tuple(
                [
                    treat if treat == STATIC or treedef_is_leaf(part) else ARRAYS_ALONE
                    for treat, part in zip(self._treats(count, names), parts, strict=True)
                    for _ in range(part.num_leaves)
                ]
            )
        )
        return self._layouts.keep((names, treedef), layout) if is_storable(treedef) else layout

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

    def _count(self, args: tuple[Any, ...], kwargs: dict[str, Any], static: Static) -> None:
        """Warn when a static number takes its eighth value; called once for each trace."""
        if not any(map(is_number, static.kept)):
            return
        every = zip(self._leaves(args, kwargs), static.kept, static.key, strict=True)
        for (where, slot, _), value, key in every:
            if not is_number(value):
                continue
            path = where.partition(": ")[2]
            remedy = f"pass jnp.asarray({path}), which is traced"
            if path == slot.path:
                remedy = f"rank it 0 ({path}=0) to trace it"
            seen = self._numbers.setdefault(where, set())
            count_value(seen, key, f"{where} is a static number that", value, remedy)


def _is_traced(leaf: Any, kind: Kind, traced: int) -> bool:
    """Whether a leaf is traced, where this much of its argument is.

    Raises:
        Changing: it is an array that can be neither traced nor static.
    """
    if kind not in ARRAYS:
        if traced == WITH_NUMBERS:
            return kind in NUMBERS
        return traced == WITH_FLOATS and isinstance(leaf, (float, complex))
    if (traced == STATIC and not isinstance(leaf, np.generic)) or (
        kind is Kind.NUMPY and not jax_holds(leaf.dtype)
    ):
        raise Changing(leaf, "", "is an array")
    return traced != STATIC
