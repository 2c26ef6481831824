"""Members of a union that are arrays: one rank for all, or one that the dtype tells."""

import functools
from collections.abc import Sequence
from typing import Any

from autovmap._spec.annotations.shapes import KEY_DTYPE, Shaped
from autovmap._spec.ranks import Choice, Core, CoreDim, Either, Key, Tree, plain


def clash_of(arrays: Sequence[Shaped]) -> tuple[Any, Any] | None:
    """Two base ranks for arrays of one dtype, if there are such."""
    for i, entry in enumerate(arrays):
        for other in arrays[:i]:
            if _share(other, entry) and plain(other.rank) != plain(entry.rank):
                return plain(other.rank), plain(entry.rank)
    return None


def either(arrays: Sequence[Shaped], numbers: bool, others: bool) -> Tree:
    """The rank of a leaf that is one of several, which may also be a number or no array."""
    ranks = {plain(entry.rank) for entry in arrays}
    if len(ranks) == 1 and not others and (not numbers or ranks == {0}):
        return functools.reduce(_merge, arrays).rank
    merged = [
        functools.reduce(_merge, [entry for entry in arrays if plain(entry.rank) == rank])
        for rank in dict.fromkeys(plain(entry.rank) for entry in arrays)
    ]
    choices = tuple(Choice(entry.dtypes, entry.rank) for entry in merged)
    return Either(choices, numbers or 0 in ranks, others)


def keys_joined(arrays: Sequence[Shaped]) -> list[Shaped]:
    """A typed key and raw ones, as in jaxtyping's `PRNGKeyArray`, as one key."""
    typed = [entry for entry in arrays if isinstance(entry.rank, Key)]
    raw = [entry for entry in arrays if _is_raw_key(entry)]
    if not typed or not raw:
        return list(arrays)
    key = Shaped(Key(), (KEY_DTYPE, "uint32"))
    return [key, *(entry for entry in arrays if entry not in typed and entry not in raw)]


def _is_raw_key(entry: Shaped) -> bool:
    sizes = [dim.size for dim in entry.rank.dims] if isinstance(entry.rank, Core) else []
    return entry.dtypes == ("uint32",) and sizes in ([2], [4])


def _share(a: Shaped, b: Shaped) -> bool:
    """Whether an array's dtype may be of both; patterns may match anything."""
    if not a.dtypes or not b.dtypes:
        return True
    if not all(isinstance(dtype, str) for dtype in (*a.dtypes, *b.dtypes)):
        return True
    return not set(a.dtypes).isdisjoint(b.dtypes)


def _merge(a: Shaped, b: Shaped) -> Shaped:
    """Two of one rank as one, with what both say of its dims."""
    dtypes = tuple(dict.fromkeys((*a.dtypes, *b.dtypes))) if a.dtypes and b.dtypes else ()
    if not isinstance(a.rank, Core) or not isinstance(b.rank, Core):
        return Shaped(a.rank, dtypes)
    pairs = zip(a.rank.dims, b.rank.dims, strict=True)
    dims = tuple(x if x == y else CoreDim() for x, y in pairs)
    return Shaped(Core(a.rank.rank, dims), dtypes)
