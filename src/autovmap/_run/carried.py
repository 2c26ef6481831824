"""Results that are not arrays, through `jax.jit`: strings, functions, None-like markers."""

from typing import Any

import jax
import numpy as np

from autovmap._run.batched import batched
from autovmap._run.hidden import refuse_hidden


class Carried:
    """A pytree node without leaves, which comes out of a compiled function as what it carries."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


# Its value is the node's static data, and what unflattens it gives the value itself: so a compiled
# function returns no node, but what was carried. Nested vmaps would open it too early.
jax.tree_util.register_pytree_node(
    Carried, lambda carried: ((), carried.value), lambda value, _: value
)


def carried(result: Any, function: str) -> Any:
    """A traced function's result, with what is not an array where `jax.jit` lets it through.

    JAX refuses a NumPy array of a dtype that it does not have in its own words.

    Raises:
        SpecError: a leaf that is not an array holds a traced one.
    """
    leaves, treedef = jax.tree.flatten(result)
    refuse_hidden(result, leaves, treedef, function)
    arrays = batched(leaves, treedef)
    if all(arrays):
        return result
    kept = [
        x if array or isinstance(x, np.ndarray) else Carried(x)
        for x, array in zip(leaves, arrays, strict=True)
    ]
    return jax.tree.unflatten(treedef, kept)
