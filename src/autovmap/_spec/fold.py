"""What `f.reduce(...)` says: how each output is folded, over which axes, and what is a gradient."""

import numbers
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
import optree

from autovmap._lines import did_you_mean, value_text
from autovmap._spec.ranks import UNMAPPED, Mark, OneLevel, Tree, leaves_of, plain
from autovmap._spec.reading import read_tree
from autovmap.errors import SpecError

Kind: TypeAlias = Literal["sum", "mean", "max", "min", "prod", "any", "all", "logsumexp"]
KINDS: tuple[str, ...] = get_args(Kind)


class Combine:
    """An associative fold of the caller's own: two values to one, and what changes nothing.

    Two are one if they hold the same function, and identities of which no part can be told apart.
    """

    __slots__ = ("_key", "combine", "identity")

    def __init__(self, combine: Callable[[Any, Any], Any], identity: Any) -> None:
        self.combine = combine
        # A copy: programs are kept by this fold, and the caller's list may change.
        leaves, structure = optree.tree_flatten(cast("Any", [identity]), none_is_leaf=True)
        leaves = [x.copy() if isinstance(x, np.ndarray) else x for x in leaves]
        (self.identity,) = cast("list[Any]", optree.tree_unflatten(structure, leaves))
        self._key = (combine, structure, *map(_identity_key, leaves))

    def __reduce__(self) -> Any:
        return Combine, (self.combine, self.identity)  # an id holds in one process alone

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Combine) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def name(self) -> str:
        """What the function is called, in messages."""
        return getattr(self.combine, "__name__", repr(self.combine))

    def __repr__(self) -> str:
        return f"({self.name}, {self.identity!r})"


def _identity_key(leaf: Any) -> Hashable:
    """What a part of an identity is, told from all others: -0.0 from 0.0, True from 1."""
    if isinstance(leaf, np.ndarray):
        return (leaf.dtype, leaf.shape, leaf.tobytes())
    try:
        hash(leaf)
    except TypeError:  # one of JAX's arrays, which do not change
        return id(leaf)
    return (type(leaf), leaf, repr(leaf))


Fold: TypeAlias = Kind | Combine


@dataclass(frozen=True, slots=True)
class Reduce:
    """How outputs are folded, as a prefix of the result, and over which batch axes: None, all.

    An axis is an index into the batch shape, or the name of a batch axis.
    """

    folds: Tree
    axes: tuple[Hashable, ...] | None = None

    def __str__(self) -> str:
        said = [repr(plain(self.folds))]
        if self.axes is not None:
            axes = self.axes[0] if len(self.axes) == 1 else self.axes
            said.append(f"axes={value_text(axes)}")
        return ", ".join(said)


def fold_of(tree: Tree) -> Fold | None:
    """What a leaf of `Reduce.folds` says; None: not folded."""
    return cast("Fold", tree.value) if isinstance(tree, Mark) else None


def fold_name(fold: Fold | None) -> str:
    """What a fold is called in a picture; nothing where nothing is folded."""
    if isinstance(fold, Combine):
        name = getattr(fold.combine, "__name__", "")
        return name if name.isidentifier() else "fold"
    return fold or ""


def read_reduce(raw: Any, axes: Any, function: str, one_level: OneLevel) -> Reduce:
    """What the arguments of `f.reduce` say.

    >>> read_reduce({"a": "sum", "b": None}, -1, "f", lambda node: None).axes
    (-1,)

    Raises:
        SpecError: there is no such fold, or an axis is neither an index nor a name.
    """
    path = f"{function}.reduce()"

    def leaf(raw: Any, path: str) -> Tree:
        if raw is None:
            return UNMAPPED
        if isinstance(raw, Combine) or (isinstance(raw, str) and raw in KINDS):
            return Mark(raw)
        hint = did_you_mean(raw, KINDS) if isinstance(raw, str) else ""
        name = getattr(raw, "__name__", "")
        if callable(raw):
            shown = name if name.isidentifier() else "f"
            hint = f". To fold by a function, give the value it starts from too: ({shown}, 0)"
            hint = f"; did you mean {name!r}?" if name in KINDS else hint
        got = f"{value_text(raw)} of type {type(raw).__name__}"
        got = f"the function {name}" if callable(raw) and name else got
        raise SpecError(
            f"{path}: got {got}; a fold is one of "
            f"{', '.join(map(repr, KINDS))}, a pair (combine, identity), None for an output that "
            f"is not folded, or a container of these{hint}"
        )

    tree = read_tree(_paired(raw), path, one_level, leaf)
    if not any(isinstance(leaf, Mark) for leaf in leaves_of(tree)):
        raise SpecError(f"{path}: {value_text(raw)} folds no output; leave out .reduce()")
    return Reduce(tree, _axes(axes, path))


def _paired(raw: Any) -> Any:
    """What was given, with each pair (combine, identity) as one thing."""
    if isinstance(raw, Mapping):
        items = cast("Mapping[Any, Any]", raw).items()
        return {key: _paired(value) for key, value in items}
    if type(raw) is tuple and len(raw) == 2 and callable(raw[0]):
        return Combine(raw[0], raw[1])
    if type(raw) in (tuple, list):
        return type(raw)(map(_paired, raw))
    return raw


def _axes(axes: Any, path: str) -> tuple[Hashable, ...] | None:
    if axes is None:
        return None
    found = tuple(cast("Any", axes)) if isinstance(axes, (tuple, list)) else (axes,)
    for axis in found:
        if isinstance(axis, (bool, float)) or not isinstance(axis, Hashable):
            raise SpecError(
                f"{path}: axes is {value_text(axes)}; give the index of a batch axis, the name of "
                f"one, or a tuple of these, as in axes=-1"
            )
    return tuple(int(axis) if isinstance(axis, numbers.Integral) else axis for axis in found)


def check_names(reduce: Reduce, names: tuple[Hashable, ...], function: str) -> None:
    """Refuse a name that no batch axis has."""
    for axis in reduce.axes or ():
        if not isinstance(axis, int) and axis not in names:
            shown = f"the names are {', '.join(map(repr, names))}" if names else "none has a name"
            raise SpecError(
                f"{function}.reduce(): no batch axis is named {axis!r}; {shown}. Name the last "
                f"ones with axis_name=, or give an index into the batch shape"
            )


@dataclass(frozen=True, slots=True)
class Gradient:
    """That a lifted function is `jax.grad` or `jax.value_and_grad` of this one."""

    function: Callable[..., Any]
    argnums: int | tuple[int, ...] = 0
    has_aux: bool = False
    value: bool = False
    """Whether it gives the value too."""
    bound: bool = False
    """Whether `argnums` count without the first argument, the object of a method."""

    def places(self, count: int) -> tuple[int, ...]:
        """Which of so many positional arguments are differentiated; none if not all are there.

        >>> Gradient(print, (0, -1), bound=True).places(4)
        (1, 3)
        """
        argnums = self.argnums if isinstance(self.argnums, tuple) else (self.argnums,)
        count -= self.bound
        if any(not -count <= i < count for i in argnums):
            return ()
        found = tuple(i % count + self.bound for i in argnums)
        return found if len(set(found)) == len(found) else ()

    def result(self, value: Any, aux: Any, gradients: tuple[Any, ...]) -> Any:
        """What the lifted function returns, put together."""
        found = gradients if isinstance(self.argnums, tuple) else gradients[0]
        if self.value:
            return ((value, aux) if self.has_aux else value), found
        return (found, aux) if self.has_aux else found

    def parts(self, result: Any) -> tuple[Any, Any]:
        """What stands before the gradients in a result, and the gradients."""
        if self.value:
            return result
        return (), (result[0] if self.has_aux else result)
