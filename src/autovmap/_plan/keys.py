"""What one PRNG key means to many examples: shared, folded, or refused."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from autovmap._plan.leaf import Dim, Leaf, Shape, account
from autovmap._spec.options import Randomness
from autovmap.errors import BatchShapeError, RankError

Lacks: TypeAlias = tuple[tuple[int, Dim], ...]
"""Batch axes that a key lacks, outermost first, each with its size."""


def lacking(leaf: Leaf, batch: Shape) -> Lacks:
    """The batch axes along which a leaf has no dim of its own: missing, or 1 where others are not.

    >>> lacking(Leaf("key", (3, 1), "key<fry>", 0, key=True), (2, 3, 5))
    ((-3, 2), (-1, 5))
    """
    found: list[tuple[int, Dim]] = []
    for axis in range(-len(batch), 0):
        own = leaf.size(axis)
        if own is None or (own == 1 and batch[axis] != 1):  # a size may be a symbol: no < or >
            found.append((axis, batch[axis]))
    return tuple(found)


def fold_ins(
    leaves: Sequence[Leaf],
    batch: Shape,
    randomness: Randomness | None,
    function: str,
    prepended: Shape = (),
) -> dict[int, Lacks]:
    """The axes along which an index is folded into each key, by row, under "different".

    Raises:
        BatchShapeError: under "error", one key would serve several examples; or nothing is said
            and one would serve all of the batch axes that `f.batch` has `prepended`.
        RankError: what looks like a raw key, and serves several examples, is ranked by a number.
    """
    if randomness == "same" or randomness is None:
        if randomness is None:
            refuse_equal_draws(leaves, batch, prepended, function)
        return {}
    for leaf in leaves:
        if is_like_raw_key(leaf) and lacking(leaf, batch):
            raise raw_key_error(leaf, randomness, function)
    rows = enumerate(leaves)
    found = {i: axes for i, leaf in rows if leaf.key and (axes := lacking(leaf, batch))}
    if randomness == "error" and found:
        leaf = leaves[next(iter(found))]
        raise BatchShapeError(
            f'{function}(): randomness="error", but one PRNG key would be used for several '
            f"examples of the batch\n  {account(leaf)}\n"
            f"Pass a key for each example (jax.random.split), or say what one key means: "
            f'randomness="different" folds the example\'s index into it, "same" gives every '
            f"example the same draw"
        )
    return found


def refuse_equal_draws(
    leaves: Sequence[Leaf], batch: Shape, prepended: Shape, function: str
) -> None:
    """Refuse draws of `f.batch` that would all be equal, where nobody said that this is intended.

    >>> refuse_equal_draws([Leaf("key", (), "key<fry>", 0, key=True)], (1, 3), (1,), "f")
    """
    if not any(size > 1 for size in prepended):
        return
    first = len(prepended) - len(batch)  # the first batch axis that the arguments bring
    for leaf in leaves:
        if leaf.key and any(axis < first and size > 1 for axis, size in lacking(leaf, batch)):
            raise equal_draws(account(leaf), prepended, function)


def equal_draws(shown: str, prepended: Shape, function: str) -> BatchShapeError:
    """The error for equal draws, of a key that is shown so."""
    said = ", ".join(map(str, prepended))
    return BatchShapeError(
        f"{function}(): .batch({said}) of one PRNG key would give equal draws, and nothing says "
        f"that this is intended\n  {shown}\n"
        f'Say what one key means, here or in the decorator: .replace(randomness="different") '
        f'folds the example\'s index into it; "same" gives every example the same draw'
    )


def is_like_raw_key(leaf: Leaf) -> bool:
    """Whether an example's part, under a number for a rank, has the look of a raw PRNG key."""
    return not leaf.key and leaf.dtype == "uint32" and leaf.core in ((2,), (4,))


def raw_key_error(
    leaf: Leaf, randomness: Randomness | None, function: str, key: str = 'its rank is "key"'
) -> RankError:
    """The error for a raw key that is ranked by a number: randomness concerns keys alone."""
    return RankError(
        f"{function}(): {leaf.path} looks like a raw PRNG key that is used for several examples of "
        f"the batch, but it is ranked as numbers, to which randomness={randomness!r} does not "
        f"apply\n  {account(leaf)}\n"
        f"If it is a key, {key};\nif it is data, pass it with a dtype other than uint32"
    )


def folded_in(leaf: Leaf, batch: Shape) -> Leaf:
    """A key as it is mapped once an index is folded in: it has the whole batch shape in front."""
    return replace(leaf, shape=batch + leaf.core, position=0, offset=0, placed=None)
