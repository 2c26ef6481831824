"""Batch shapes that must not stretch: the `strict` option, and JAX's rank promotion."""

from collections.abc import Sequence

from autovmap._plan.leaf import Leaf, account
from autovmap.errors import BatchShapeError


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
