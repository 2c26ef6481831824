"""What may be wrong with a call in whose body the function or JAX failed."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from autovmap._bind.binder import Binder, Call
from autovmap._bind.kinds import Kind, is_key, kind_of, shown
from autovmap._plan.leaf import tuple_text
from autovmap._spec.ranks import Core, Either, Key, Tree, is_mapped

ARRAYS = (Kind.ARRAY, Kind.NUMPY, Kind.CONVERTIBLE)
NUMBERS = (Kind.INT, Kind.NUMBER)
MOST = 4
"""So many arguments are named at most."""


def call_hints(binder: Binder, call: Call) -> list[str]:
    """A line for each argument that is likely to be other than it was meant.

    A list of numbers or arrays under one rank is a pytree, as in JAX, and not an array; None under
    a rank has no batch dims; an argument without a rank that begins with the batch shape, or with
    its last dims, may have been meant to be mapped.
    """
    lists = [*list(_lists(call))[:MOST], *list(_nones(call))[:MOST]]
    return lists + list(_forgotten(binder, call))[:MOST]


def _forgotten(binder: Binder, call: Call) -> Iterator[str]:
    """The arrays without a rank that begin with the batch shape, or with the last dims of it."""
    batch = call.planned.plan.batch_shape
    for path, array in binder.unranked(call, undeclared=True):
        for start in range(len(batch)):
            part = batch[start:]
            if tuple(array.shape[: len(part)]) == part and (start == 0 or set(part) != {1}):
                of = f"{tuple_text(part)}, the end of " if start else ""
                yield (
                    f"{path}, {shown(array)}, has no base rank, but begins with {of}the batch "
                    f"shape {tuple_text(batch)}; was its rank forgotten?"
                )
                break


def _lists(call: Call) -> Iterator[str]:
    """The flat lists and tuples under one rank."""
    for slot in call.slots:
        value = slot.value(call.args, call.kwargs)
        if type(value) in (list, tuple) and isinstance(slot.rank, (Core, Key, Either)):
            text = _list(cast("Sequence[Any]", value), slot.rank, slot.path)
            if text is not None:
                yield text


def _nones(call: Call) -> Iterator[str]:
    """What is None under a rank, as an argument that may be left out is."""
    for slot in call.slots:
        if is_mapped(slot.rank) and slot.value(call.args, call.kwargs) is None:
            yield f"{slot.path} has a rank, but is None, so the function got None for it"


def _list(value: Sequence[Any], rank: Tree, path: str) -> str | None:
    kinds = {kind_of(type(entry)) for entry in value}
    count = f"{path} is a {type(value).__name__} of {len(value)}"
    if not kinds or not kinds <= {*ARRAYS, *NUMBERS}:
        return None
    keys = isinstance(rank, Key) or any(is_key(entry) for entry in value if hasattr(entry, "dtype"))
    if not keys and not any(getattr(entry, "shape", ()) for entry in value):
        return (
            f"{count} number{'s' * (len(value) != 1)}, each a leaf of rank 0; for one array pass "
            f"jnp.asarray({path})"
        )
    noun, whole = ("key", "array of keys") if keys else ("array", "array")
    return (
        f"{count} {noun}{'s' * (len(value) != 1)}, each a leaf of its own; for one {whole} pass "
        f"jnp.stack({path})"
    )
