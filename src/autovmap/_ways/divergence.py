"""Whether the examples of a batch can take different ways through a function."""

from collections.abc import Iterator
from typing import Any


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
