"""Named, fixed and optional core dims: which are dropped, and whether their sizes agree.

NumPy's rule (NEP 20): operands are looked at from left to right; one with too few dims drops its
optional dims, from left to right, until it fits; a dropped dim goes from every operand and output.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autovmap._plan.leaf import Dim, Leaf, account, tuple_text
from autovmap._spec.gufunc import Gufunc, caret
from autovmap._spec.ranks import CoreDim, core_text
from autovmap.errors import CoreSizeError


@dataclass(frozen=True, slots=True)
class CoreSizes:
    """What a call's arguments say of the named core dims."""

    sizes: tuple[tuple[str, Dim], ...] = ()
    dropped: frozenset[str] = frozenset()


NO_SIZES = CoreSizes()


def _key(dim: CoreDim) -> str | None:
    return dim.name if dim.size is None else str(dim.size)


def kept(dims: Sequence[CoreDim], dropped: frozenset[str] | set[str]) -> tuple[CoreDim, ...]:
    """The dims that are not dropped."""
    return tuple(dim for dim in dims if _key(dim) not in dropped)


def drop_optional(leaves: Sequence[Leaf]) -> tuple[list[Leaf], frozenset[str]]:
    """The leaves with the base ranks that are left once optional dims are dropped.

    >>> m, n = CoreDim("m", optional=True), CoreDim("n")
    >>> found, dropped = drop_optional([Leaf("x", (4,), "f", 2, dims=(m, n))])
    >>> found[0].rank, sorted(dropped)
    (1, ['m'])
    """
    dropped: set[str] = set()
    for leaf in leaves:
        lacking = len(kept(leaf.dims, dropped)) - len(leaf.shape)
        for dim in leaf.dims:
            key = _key(dim)
            if lacking > 0 and dim.optional and key is not None and key not in dropped:
                lacking -= sum(_key(other) == key for other in leaf.dims)
                dropped.add(key)
    gone = frozenset(dropped)
    if not gone:
        return list(leaves), gone
    rows = [
        replace(leaf, rank=len(left), dims=left)
        if (left := kept(leaf.dims, gone)) or leaf.dims
        else leaf
        for leaf in leaves
    ]
    return rows, gone


def core_sizes(leaves: Sequence[Leaf], dropped: frozenset[str], function: str) -> CoreSizes:
    """The size of each named core dim.

    Raises:
        CoreSizeError: two arguments disagree on one, or one does not have its fixed size.
    """
    known: dict[str, tuple[Dim, Leaf, CoreDim]] = {}
    for leaf in leaves:
        for dim, size in zip(leaf.dims, leaf.core, strict=bool(leaf.dims)):
            if dim.size is not None and size != dim.size:
                raise CoreSizeError(
                    f"{function}(): a core dim of {leaf.named} has the fixed size {dim.size}, but "
                    f"got {size}\n{_place(dim)}  {account(leaf)}, core shape "
                    f"{tuple_text(leaf.core)}\nPass an array of that core size"
                )
            if dim.name is None:
                continue
            other = known.setdefault(dim.name, (size, leaf, dim))
            if size != other[0]:
                raise CoreSizeError(_conflict(leaf, dim, size, other, function))
    if not known and not dropped:
        return NO_SIZES
    return CoreSizes(tuple((name, size) for name, (size, _, _) in known.items()), dropped)


def _conflict(
    leaf: Leaf,
    dim: CoreDim,
    size: Dim,
    other: tuple[Dim, Leaf, CoreDim],
    function: str,
) -> str:
    places = "".join(dict.fromkeys((_place(other[2]), _place(dim))))
    if other[2].text == dim.text:
        places = _place(dim)
    both = [other[1]] * (other[1] is not leaf) + [leaf]
    accounts = "".join(f"  {account(x)}, core shape {tuple_text(x.core)}\n" for x in both)
    return (
        f"{function}(): inconsistent size for core dimension {dim.name!r}: {other[0]} in "
        f"{other[1].named} and {size} in {leaf.named}\n{places}{accounts}"
        f"Core dims with the same name must have the same size; they do not broadcast"
    )


def _place(dim: CoreDim) -> str:
    return "" if dim.text is None else f"{caret(dim.text, dim.at)}\n"


def check_output(
    dims: Sequence[CoreDim],
    shape: Sequence[Dim],
    known: dict[str, Dim],
    where: str,
    signature: Gufunc,
) -> None:
    """Check one example's output against the signature; new names get their sizes in `known`.

    Raises:
        CoreSizeError: the output has another number of dims, or another size.
    """
    text = tuple_text(tuple(shape))
    if len(shape) != len(dims):
        place = _place(dims[0]) if dims else ""
        raise CoreSizeError(
            f"{where} for one example: output shape {text} does not match core dimensions "
            f"{core_text(dims)} of the signature {signature}\n{place}"
            f"Return an output of the declared shape, or fix the signature"
        )
    for dim, size in zip(dims, shape, strict=True):
        wanted = dim.size if dim.name is None else known.setdefault(dim.name, size)
        if size != wanted:
            raise CoreSizeError(
                f"{where} has shape {text} for one example: inconsistent size for core dimension "
                f"{str(dim)!r}: got {size}, expected {wanted}\n{_place(dim)}"
                f"Return an output of the declared shape, or fix the signature"
            )
