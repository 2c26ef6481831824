"""The options of a declaration, checked; and what callers say of the batch beside the arguments."""

import numbers
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from autovmap._lines import did_you_mean, value_text
from autovmap._spec.ranks import ByName, OneLevel, Position, Tree
from autovmap._spec.reading import read_positions
from autovmap.errors import SpecError

Randomness: TypeAlias = Literal["same", "different", "error"]

DEFAULTS: dict[str, Any] = {
    "in_axes": 0,
    "out_axes": 0,
    "axis_name": None,
    "spmd_axis_name": None,
    "randomness": None,
    "strict": False,
    "stretch_outputs": True,
}
"""Every option with its default: the one list that the interface is checked against."""


FRONT = Position(0)
"""The default: batch dims before all core dims."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a declaration says beside the ranks."""

    in_axes: Tree | tuple[Tree, ...] = FRONT
    """One position for all, one by parameter name (`ByName`), or a tuple of them in order."""
    out_axes: Tree = FRONT
    axis_name: tuple[Hashable, ...] = ()
    spmd_axis_name: tuple[Hashable, ...] = ()
    randomness: Randomness | None = None
    """What one key means to many examples; None is "same", unless that can't be meant."""
    strict: bool = False
    stretch_outputs: bool = True


UNSAID = Options()
"""The options where none is given."""


def read_options(given: Mapping[str, Any], function: str, one_level: OneLevel) -> Options:
    """Check options as a user wrote them; those not given have their defaults."""
    if not given:
        return UNSAID
    raw = DEFAULTS | dict(given)
    if raw["randomness"] not in (None, "same", "different", "error"):
        raise SpecError(
            f"{function}(): randomness is {value_text(raw['randomness'])}; it must be "
            f'"same", "different" or "error"'
        )
    for name in ("strict", "stretch_outputs"):
        if not isinstance(raw[name], bool):
            raise SpecError(
                f"{function}(): {name} is {value_text(raw[name])}; it must be True or False"
            )
    return Options(
        in_axes=_in_axes(raw["in_axes"], function, one_level),
        out_axes=read_positions(raw["out_axes"], f"{function}(): out_axes", one_level),
        axis_name=_names(raw["axis_name"], "axis_name", function),
        spmd_axis_name=_names(raw["spmd_axis_name"], "spmd_axis_name", function),
        randomness=raw["randomness"],
        strict=raw["strict"],
        stretch_outputs=raw["stretch_outputs"],
    )


def _in_axes(raw: Any, function: str, one_level: OneLevel) -> Tree | tuple[Tree, ...]:
    if isinstance(raw, tuple):
        entries = cast("tuple[Any, ...]", raw)
        return tuple(
            read_positions(entry, f"{function}(): in_axes[{i}]", one_level)
            for i, entry in enumerate(entries)
        )
    read = read_positions(raw, f"{function}(): in_axes", one_level)
    if isinstance(read, (Position, ByName)):
        return read
    raise SpecError(
        f"{function}(): in_axes is {value_text(raw)}; it must be an int, a dict by parameter name, "
        f"or a tuple by position"
    )


def _names(raw: Any, option: str, function: str) -> tuple[Hashable, ...]:
    """The names of the last batch axes, in order."""
    if raw is None:
        return ()
    names = cast("tuple[Hashable, ...]", raw if isinstance(raw, tuple) else (raw,))
    for i, name in enumerate(names):
        if not isinstance(cast("object", name), Hashable):
            raise SpecError(
                f"{function}(): {option} is {value_text(raw)}; it must be the name of the last "
                f"batch axis, or a tuple of names"
            )
        if name in names[:i]:
            raise SpecError(
                f"{function}(): {option} has {name!r} twice; the inner of two axes with the same "
                f"name would hide the outer, so give each a name of its own"
            )
    return names


def refuse_unknown_options(given: Mapping[str, Any], function: str) -> None:
    """Refuse what is not an option, such as a base rank."""
    for name in given:
        if name not in DEFAULTS:
            raise SpecError(
                f"{function}.replace(): {name!r} is not an option; the options are "
                f"{', '.join(DEFAULTS)}{did_you_mean(name, DEFAULTS) or '.'} To declare other "
                f"ranks, decorate {function}.__wrapped__"
            )


@dataclass(frozen=True, slots=True)
class Extent:
    """Batch axes that no argument brings, and how the arguments' own lie to each other."""

    prepended: tuple[int, ...] = ()
    """Sizes of batch axes to the left of the arguments' own (`f.batch`)."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Parameters whose batch axes broadcast among themselves, group beside group (`f.outer`)."""
    size: Any = None
    """The size of the one batch axis, given up front (`axis_size` of `jax.vmap`)."""
    required: bool = False
    """Whether a call without any batch dim is a mistake (it is one to `jax.vmap`)."""

    def group_of(self, parameter: str) -> int | None:
        """The group of a parameter, if it has one."""
        for i, group in enumerate(self.groups):
            if parameter in group:
                return i
        return None


NO_EXTENT = Extent()


def _batch(given: Any) -> str:
    """How `.batch` is to be called, with the sizes that were given as one tuple, if they were."""
    sizes = given if isinstance(given, (tuple, list)) else ()
    return f".batch({', '.join(map(value_text, sizes)) or '100, 3'})"


def checked_sizes(shape: tuple[Any, ...], function: str) -> tuple[int, ...]:
    """The sizes of batch axes that a caller gave, as ints."""
    for size in shape:
        if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 0:
            raise SpecError(
                f"{function}.batch(): got {value_text(size)} of type {type(size).__name__}; give "
                f"the sizes of the new batch axes as non-negative ints, as in {_batch(size)}"
            )
    return tuple(int(size) for size in shape)
