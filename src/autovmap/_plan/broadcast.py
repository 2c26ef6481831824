"""The batch shape of a call: NumPy's rule over the batch shapes of all leaves; what may stretch."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import replace

from autovmap._plan.leaf import Dim, Leaf, Shape, account, key_hint, looks_like_raw_key, root
from autovmap.errors import BatchShapeError


def batch_shape(leaves: Sequence[Leaf], function: str, names: Sequence[Hashable] = ()) -> Shape:
    """Broadcast the leaves' batch shapes: right-aligned, size 1 and missing dims stretch.

    >>> batch_shape([Leaf("v", (7, 1, 3), "f", 1), Leaf("m", (5, 3, 3), "f", 2)], "f")
    (7, 5)

    Raises:
        BatchShapeError: two leaves have different sizes along one axis, neither of them 1.
    """
    ndim = max((leaf.batch_ndim + leaf.offset for leaf in leaves), default=0)
    return tuple(reversed([_size(leaves, -k, function, names) for k in range(1, ndim + 1)]))


def _size(leaves: Sequence[Leaf], axis: int, function: str, names: Sequence[Hashable]) -> Dim:
    size: Dim = 1
    first: Leaf | None = None
    for leaf in leaves:
        dim = leaf.size(axis)
        if dim is None or dim == 1:
            continue
        if first is None:
            size, first = dim, leaf
        elif dim != size:
            error = BatchShapeError(_conflict(leaves, axis, first, leaf, function, names))
            error.leaves, error.axis = tuple(leaves), axis
            raise error
    return size


def axis_text(axis: int, names: Sequence[Hashable]) -> str:
    """A batch axis as messages write it.

    >>> axis_text(-1, ("time",)), axis_text(-2, ("time",))
    ("batch axis -1 'time'", 'batch axis -2')
    """
    named = f" {names[axis]!r}" if -axis <= len(names) else ""
    return f"batch axis {axis}{named}"


def _conflict(
    leaves: Sequence[Leaf],
    axis: int,
    one: Leaf,
    other: Leaf,
    function: str,
    names: Sequence[Hashable],
) -> str:
    """Both leaves, their shapes and sizes, who else has these sizes, and what to do."""
    lines = [
        f"{function}(): {axis_text(axis, names)} has size {one.size(axis)} in {one.named} and size "
        f"{other.size(axis)} in {other.named}; along a batch axis sizes must be equal, 1 or "
        f"missing",
        f"  {account(one)}",
        f"  {account(other)}",
    ]
    for leaf in leaves:
        dim = leaf.size(axis)
        if leaf not in (one, other) and dim is not None and dim != 1:
            lines.append(f"  {account(leaf)}")
            if len(lines) == 8:
                lines.append("  ...")
                break
    # First what is likelier: numbers of type uint32, two or four at the end, are rarely data.
    lines.extend(key_hint(leaf) for leaf in (one, other) if looks_like_raw_key(leaf))
    lines.append("Check the base ranks and the shapes.")
    lines += _remedies(axis, leaves, one, other, function)
    return "\n".join(lines)


def _remedies(
    axis: int, leaves: Sequence[Leaf], one: Leaf, other: Leaf, function: str
) -> list[str]:
    """What to do about a clash, beside looking again: a line each."""
    name = root(one.path)
    if name == root(other.path):
        return _ranks_of_parts(leaves, one, other)
    if other.offset or one.offset or one.dtype == "" or axis != -1:
        return []
    decorated = "f" if "<" in function else function
    text = f"To combine every {name} with every {root(other.path)}, use "
    text += f"{decorated}.outer({name!r}, {root(other.path)!r})"
    if other.path != root(other.path) or other.position:
        return [f"{text}."]
    # The other's batch dims go to the left of all that the rest have.
    count = max(leaf.batch_ndim for leaf in leaves if leaf is not other)
    index = ", ".join([":"] * other.batch_ndim + ["None"] * count)
    dims = "a batch dim" if count == 1 else "batch dims"
    return [f"{text} or insert {dims}: {other.path}[{index}]."]


def _ranks_of_parts(leaves: Sequence[Leaf], one: Leaf, other: Leaf) -> list[str]:
    """What to do if the ranks of a model's parts are not those that its parts have."""
    name = root(one.path)
    if not re.match(r"\.|\['", one.path[len(name) :]):
        return []
    parts = [leaf for leaf in leaves if root(leaf.path) == name]
    if len({leaf.rank for leaf in parts}) > 1:
        return [
            f"To read the base ranks of {name} from one example of it, use {name}=like(example)."
        ]
    remedies = [
        f"All parts of {name} have base rank {one.rank}: if their own differ, rank each, as in "
        f"{name}={{...}} or {name}=like(example)."
    ]
    if one.rank and len({leaf.core[-1] for leaf in parts}) == 1:
        remedies.append(f"If their last dim is the batch, use in_axes={{{name!r}: -1}}.")
    return remedies


def outer(
    leaves: Sequence[Leaf], groups: Sequence[int | None], count: int, function: str
) -> list[Leaf]:
    """Move each group's batch axes to the left of those of the groups behind it.

    `groups` says the group of each leaf. A group has as many batch axes as its deepest leaf.

    >>> x, y = Leaf("x", (5,), "f", 0), Leaf("y", (4, 3), "f", 0)
    >>> [leaf.offset for leaf in outer([x, y], [0, 1], 2, "f")]
    [2, 0]

    Raises:
        BatchShapeError: a leaf of no group has batch dims.
    """
    depth = [0] * count
    for leaf, group in zip(leaves, groups, strict=True):
        if group is not None:
            depth[group] = max(depth[group], leaf.batch_ndim)
        elif leaf.batch_ndim:
            raise BatchShapeError(
                f"{function}(): {leaf.path} has batch dims, but outer() does not say which group "
                f"it belongs to\n  {account(leaf)}\nName it, alone or in a tuple with others"
            )
    offsets = [sum(depth[group + 1 :]) for group in range(count)]
    return [
        leaf if group is None else replace(leaf, offset=offsets[group])
        for leaf, group in zip(leaves, groups, strict=True)
    ]


def refuse_stretching(leaves: Sequence[Leaf], function: str) -> None:
    """Refuse batch shapes that are neither equal nor absent."""
    first: dict[int, Leaf] = {}
    for leaf in leaves:
        one = first.setdefault(leaf.offset, leaf) if leaf.batch_ndim else leaf
        if leaf.batch != one.batch:
            raise BatchShapeError(
                f"{function}(): strict=True lets nothing stretch (vmap never does), but "
                f"{one.path} and {leaf.path} have different batch shapes\n"
                f"  {account(one)}\n  {account(leaf)}\n"
                f"Give them equal batch shapes, or give one of them no batch dims"
            )


def promotion(leaves: Sequence[Leaf], function: str) -> str | None:
    """What to say where JAX is told to refuse or warn of broadcasting between ranks.

    As in `jax.numpy`, sizes of 1 may stretch and an argument without batch dims may join; only
    different numbers of batch dims are a promotion.
    """
    first: dict[int, Leaf] = {}
    for leaf in leaves:
        one = first.setdefault(leaf.offset, leaf) if leaf.batch_ndim else leaf
        if leaf.batch_ndim != one.batch_ndim:
            return (
                f"{function}(): {one.path} has {one.batch_ndim} batch dims and "
                f"{leaf.path} has {leaf.batch_ndim}: they require rank promotion, which "
                f"jax_numpy_rank_promotion does not allow\n  {account(one)}\n  {account(leaf)}\n"
                f"Insert batch dims of size 1 by hand, or allow rank promotion"
            )
    return None
