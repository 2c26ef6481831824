"""Looking into jaxprs by public interfaces: how often a primitive stands in one, at any depth."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a jaxpr, closed or open, and of those in its equations' parameters."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def primitives(function: Any, *args: Any) -> Counter[str]:
    """How often each primitive stands in a function's jaxpr, the inner ones included."""
    return Counter(eqn.primitive.name for eqn in equations(jax.make_jaxpr(function)(*args)))


def text(function: Any, *args: Any) -> str:
    """A function's jaxpr as text. JAX names variables in their order, so no name is in the way."""
    return str(jax.make_jaxpr(function)(*args))


def cost(function: Any, *args: Any) -> tuple[float, float]:
    """The flops and the bytes accessed of a function as XLA compiles it."""
    analysis = jax.jit(function).lower(*args).compile().cost_analysis()
    found = analysis[0] if isinstance(analysis, list) else analysis
    return found["flops"], found["bytes accessed"]
