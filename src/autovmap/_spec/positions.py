"""`in_axes` and `out_axes` against the ranks, before any argument is seen."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from autovmap._spec.gufunc import Gufunc
from autovmap._spec.options import FRONT
from autovmap._spec.ranks import ByIndex, ByName, Core, Position, Tree, is_mapped, leaves_of, plain
from autovmap.errors import RankError, SpecError

if TYPE_CHECKING:
    from autovmap._spec.spec import Parameter


def check_positions(
    parameters: "Sequence[Parameter]",
    in_axes: Tree | tuple[Tree, ...],
    function: str,
    unread: Collection[str] = (),
) -> None:
    """Refuse a place that an argument's block of batch dims can't have, or of one that has none.

    Parameters in `unread` are checked once their annotations have been read.

    Raises:
        RankError: an argument of that base rank has no such place.
        SpecError: a place is given for a parameter without a rank.
    """
    if in_axes is FRONT or in_axes == FRONT:  # where every argument can have them
        return
    shared = isinstance(in_axes, Position)
    if isinstance(in_axes, Position) and _fits_one(parameters, in_axes.index, unread):
        return
    named = {str(name) for name, _ in in_axes.children} if isinstance(in_axes, ByName) else None
    for parameter in parameters:
        if parameter.name in unread:
            continue
        if is_mapped(parameter.rank):
            _check(parameter.rank, parameter.positions, parameter.name, function, shared)
        elif (
            not shared
            and (named is None or parameter.name in named)
            and parameter.positions != FRONT
            and is_mapped(parameter.positions)
        ):
            raise SpecError(
                f"{function}(): in_axes gives a position for {parameter.name}, but "
                f"{parameter.name} has no base rank, so it is not mapped and has no batch dims; "
                f"give it a rank ({parameter.name}=...), or leave it out of in_axes"
            )


def _fits_one(parameters: "Sequence[Parameter]", position: int, unread: Collection[str]) -> bool:
    """Whether a position for all may be right for one, or it is not known yet.

    Only then can a call be meant: one that leaves the others out.
    """
    ranks = [leaf for p in parameters for leaf in leaves_of(p.rank) if is_mapped(leaf)]
    known = [leaf.rank for leaf in ranks if isinstance(leaf, Core) and not _is_open(leaf)]
    fits = any(-rank - 1 <= position <= rank for rank in known)
    return fits or bool(unread) or len(known) < len(ranks)


def _is_open(rank: Core) -> bool:
    return any(dim.optional for dim in rank.dims)


def _check(rank: Tree, positions: Tree, path: str, function: str, shared: bool) -> None:
    """Every leaf whose base rank is known for sure, against the place that is given for it."""
    if isinstance(positions, Position):
        if isinstance(rank, Core) and not _is_open(rank):
            _check_one(rank.rank, positions.index, path, function, shared)
            return
        for label, child in _children(rank):
            _check(child, positions, path + label, function, shared)
        return
    below = dict(_children(positions))
    for label, child in _children(rank):
        if label in below:
            _check(child, below[label], path + label, function, shared)


def _children(tree: Tree) -> list[tuple[str, Tree]]:
    match tree:
        case ByName(children=named):
            return [(f"[{key!r}]", child) for key, child in named]
        case ByIndex(labels=labels, children=children):
            return list(zip(labels, children, strict=True))
        case _:
            return []


def _check_one(rank: int, position: int, path: str, function: str, shared: bool) -> None:
    if -rank - 1 <= position <= rank:
        return
    one = ""
    if shared:
        one = f".\nin_axes={position} is for every argument; for one write in_axes={{name: ...}}"
    raise RankError(
        f"{function}(): in_axes puts the batch dims of {path} at {position}, but {path} has base "
        f"rank {rank}; give a position from {-rank - 1} to {rank}{one}"
    )


def check_out_axes(signature: Gufunc, out_axes: Tree, function: str) -> None:
    """Refuse a place for the result that no output of a signature has.

    Raises:
        RankError: an output has no such place.
        SpecError: there are more places or fewer than outputs.
    """
    outputs = signature.outputs or ()
    if isinstance(out_axes, ByIndex) and out_axes.container is tuple and len(outputs) > 1:
        if len(out_axes.children) != len(outputs):
            raise SpecError(
                f"{function}(): out_axes has {len(out_axes.children)} entries, "
                f"{plain(out_axes)!r}, for the {len(outputs)} outputs of {signature}"
            )
        places = list(out_axes.children)
    else:
        places = [out_axes] * len(outputs)
    for i, (dims, place) in enumerate(zip(outputs, places, strict=True)):
        rank = len(dims)
        if not isinstance(place, Position) or any(dim.optional for dim in dims):
            continue
        if not -rank - 1 <= place.index <= rank:
            which = "the result" if len(outputs) == 1 else f"output {i}"
            raise RankError(
                f"{function}(): out_axes puts the batch dims of {which} at {place.index}, but the "
                f"signature {signature} gives it {rank} core dim{'s' * (rank != 1)}; "
                f"give a position from {-rank - 1} to {rank}"
            )
