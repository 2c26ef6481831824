"""How a call reaches the function, as far as only words and pictures need to know.

A call that runs never makes these: `f.plan` does.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from autovmap._plan.leaf import Shape
from autovmap._plan.outputs import Group
from autovmap._spec.fold import Fold, Reduce
from autovmap._spec.options import FRONT, Randomness
from autovmap._spec.ranks import Tree

How: TypeAlias = Literal["positional", "star", "keyword", "keywords"]
"""By position, in `*args`, by keyword, in `**kwargs`."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One argument of a call.

    `rows` has an entry for each leaf of a ranked argument (none for one without a rank): its row
    in the plan, or None where the leaf passes through. `bare` says that the argument is a leaf
    itself, `builtin` that it is made of dicts, lists and tuples alone.
    """

    name: str
    how: How
    path: str
    key: str = ""
    rows: tuple[int | None, ...] = ()
    bare: bool = True
    builtin: bool = True


@dataclass(frozen=True, slots=True)
class Bystander:
    """An array that is not mapped, as it has no rank."""

    path: str
    shape: Shape
    dtype: str


NOWHERE = Group(None)


@dataclass(frozen=True, slots=True)
class Output:
    """A leaf of the result: `group` says where its batch dims go, `core` is one example's shape.

    Where `array` is False it is no array, and goes around vmap.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> plan = auto_vmap(x=1)(lambda x: {"sum": x.sum()}).plan_with_outputs(jnp.ones((5, 3)))
    >>> [(out.path, out.shape, out.dtype) for out in plan.outputs]
    [("result['sum']", (5,), 'float32')]
    """

    path: str
    shape: Shape
    dtype: str
    group: Group = NOWHERE
    core: Shape = ()
    array: bool = True
    fold: str = ""
    """How it is folded, by the fold's name or its function's; empty where it is not."""
    how: Fold | None = None
    """What folds it."""


@dataclass(frozen=True, slots=True)
class Calling:
    """The arguments in the order of the call, and what else a plan's readers want."""

    passed: tuple[Passed, ...] = ()
    bystanders: tuple[Bystander, ...] = ()
    numpy: tuple[int, ...] = ()
    """Rows that are NumPy arrays: JAX arrays to the function."""
    foreign: tuple[int, ...] = ()
    """Rows that JAX has to convert by their `__jax_array__`."""
    out_axes: Tree = FRONT
    stretch_outputs: bool = True
    core: tuple[str, ...] | None = None
    """The core dims of the one output, where a signature tells them."""
    steps: tuple[str, ...] = ()
    """What a way of running adds, in words."""
    parted: bool = True
    """Whether a result of several parts is a tuple: known, or taken for granted."""
    reduce: Reduce | None = None
    """How the results are folded, if they are."""
    folded: frozenset[int] = frozenset()
    """The batch axes that are folded."""
    summed: bool = False
    """Whether gradients may be added up by taking the gradient of a sum."""
    randomness: Randomness | None = None


UNKNOWN = Calling()


def forgotten(bystander: Bystander, batch: Shape) -> bool:
    """Whether an array that is not mapped begins with the batch shape: a rank was forgotten?

    >>> forgotten(Bystander("w", (7, 5, 3), "float32"), (7, 5))
    True
    """
    return bool(batch) and bystander.shape[: len(batch)] == batch


def warning(bystander: Bystander, batch: Shape, randomness: Randomness | None) -> str:
    """What may be wrong with an array without a rank, if anything.

    >>> warning(Bystander("rng", (), "key<fry>"), (5,), "same")
    ''
    """
    if forgotten(bystander, batch):
        return "begins with the batch shape; was its rank forgotten?"
    if batch and randomness == "different" and bystander.dtype.startswith("key<"):
        return (
            f"is a key that all examples share, as randomness={randomness!r} concerns keys with a "
            f'rank; was its rank, "key", forgotten?'
        )
    return ""
