"""Chunk sizes: what fits a bound, which to time, which is best; whether examples may diverge."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SMALL = (4, 32)
"""The two numbers of examples whose programs are measured for the line."""
TRIES = 6
BETWEEN = (8, 64)
"""The sizes between one at a time and all at once that are timed where examples diverge."""
FASTER = 0.95
"""What a smaller number must take, as a part of the largest's time, to be picked."""


@dataclass(frozen=True, slots=True)
class Sized:
    """How many examples run at once, and what was timed for it on how many."""

    examples: int
    timed: tuple[tuple[int, float], ...] = ()
    sample: int = 0
    final: bool = True
    """Whether a later call has nothing to add: sizes can't be timed while tracing."""
    diverging: bool = False
    """Whether they were timed because examples can take different ways."""


def quickest(seconds: Mapping[int, float]) -> int:
    """The number of examples at once that took the least time; the largest unless it is clear.

    >>> quickest({64: 0.4, 512: 0.5, 4096: 1.0}), quickest({64: 0.97, 4096: 1.0})
    (64, 4096)
    """
    least = min(seconds, key=seconds.__getitem__)
    largest = max(seconds)
    return least if seconds[least] <= FASTER * seconds[largest] else largest


def candidates(least: int, most: int, quickly: bool) -> tuple[int, ...]:
    """The sizes to time where examples can take different ways, the largest first.

    Examples that wait for each other do so least where one runs at a time; 8 and 64 keep some of
    what vmap gains. Where compiling is not done `quickly`, only the two ends are tried.

    >>> candidates(1, 2000, True), candidates(1, 2000, False), candidates(4, 50, True)
    ((2000, 64, 8, 1), (2000, 1), (50, 8, 4))
    """
    sizes = (*BETWEEN, least) if quickly else (least,)
    return tuple(sorted({most, *(size for size in sizes if least <= size < most)}, reverse=True))


def fitting(total: int, temporaries: Callable[[int], int | None], bound: int) -> int | None:
    """The most examples at once whose program needs at most `bound` bytes beside its result.

    A straight line through two small programs proposes a number, and the program for that number
    is measured before it is believed.

    >>> fitting(10**6, lambda n: 1000 + 64 * n, 10**6)
    15609
    >>> fitting(100, lambda n: 64 * n, 10**6)
    100

    Args:
        total: how many examples there are.
        temporaries: the bytes that a program for so many at once needs; None where unknown.
        bound: the bytes that it may need.

    Returns:
        A number from 1 to `total`, 1 where even that needs more; None where nothing is known.
    """
    at_once = temporaries(total)
    if at_once is None:
        return None
    if at_once <= bound or total <= 1:
        return total
    low, high = (min(size, total) for size in SMALL)
    least, more = temporaries(low), temporaries(high)
    if least is None or more is None:
        return None
    slope = max((more - least) / (high - low) if high > low else 0.0, 1e-9)
    found = max(1, min(total, int((bound - least) / slope) + low))
    for _ in range(TRIES):
        needed = temporaries(found)
        if needed is None or needed <= bound or found == 1:
            break
        found = max(1, min(found - 1, int(found * bound / needed * 0.95)))
    return found


def diverges(one_at_a_time: Any, at_once: Any) -> bool:
    """Whether examples that run at once wait for each other, told from two jaxprs of one call.

    Under vmap a `while` runs until its last example is done: its test gives a bool an example, or
    reduces them itself (as equinox's loops do). A `cond` whose predicate is batched is no `cond`
    any more: both its branches run. A loop of so many steps for every example has neither.

    >>> import jax, jax.numpy as jnp
    >>> def halve(x):
    ...     return jax.lax.while_loop(lambda x: x > 1, lambda x: x / 2, x)
    >>> xs = jnp.ones(3)
    >>> one = jax.make_jaxpr(lambda xs: jax.lax.map(halve, xs))(xs)
    >>> diverges(one, jax.make_jaxpr(jax.vmap(halve))(xs)), diverges(one, one)
    (True, False)

    Args:
        one_at_a_time: the closed jaxpr of a scan over single examples.
        at_once: that of all examples under vmap.
    """
    waiting = any(
        equation.primitive.name == "while" and _is_batched(equation.params["cond_jaxpr"])
        for equation in equations(at_once)
    )
    return waiting or _branches(one_at_a_time) > _branches(at_once)


def _branches(jaxpr: Any) -> int:
    return sum(equation.primitive.name == "cond" for equation in equations(jaxpr))


def _is_batched(test: Any) -> bool:
    """Whether the test of a `while` looks at many examples: it gives a bool each, or one of all.

    Libraries reduce in operations of their own (equinox's `unvmap_any`), so the shapes tell.
    """
    return test.out_avals[0].shape != () or any(
        equation.outvars[0].aval.shape == ()
        and any(var.aval.shape != () and var.aval.dtype == bool for var in equation.invars)
        for equation in equations(test)
    )


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a jaxpr, and of the jaxprs inside it."""
    # Imported here: it brings Pallas with it, which a bare import of the library need not pay for.
    from jax.extend.core import ClosedJaxpr, Jaxpr

    waiting = [jaxpr]
    while waiting:
        found = waiting.pop()
        if isinstance(found, (tuple, list)):
            waiting += found
        elif isinstance(found, (Jaxpr, ClosedJaxpr)):
            for equation in found.eqns:
                yield equation
                waiting += equation.params.values()
