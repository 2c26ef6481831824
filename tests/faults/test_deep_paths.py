"""A leaf deep inside of somebody's type: the argument is named first, and what holds the leaf."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from autovmap import AutoVmapError, auto_vmap
from faults.saying import says


class Data(eqx.Module):
    """Private to its library."""

    data: Any


class Matrix(eqx.Module):
    """What its users know."""

    stored: Data


MATRIX = Matrix(Data(jnp.ones((5, 3, 3))))
NAMED = "H (at H.stored.data, in a Data)"


@pytest.mark.parametrize(
    ("rank", "more", "said"),
    [
        (4, (), f"{NAMED} is float32[5,3,3]"),
        ("(3,4)", (), f"a core dim of {NAMED} has the fixed size 4"),
        (2, (jnp.ones(4),), f"size 5 in {NAMED} and size 4 in x"),
    ],
    ids=["below its rank", "a core size", "batch shapes"],
)
def test_the_argument_comes_first(rank: Any, more: tuple[Any, ...], said: str) -> None:
    decorated = auto_vmap(H=rank, x=0)(lambda H, x=0.0: x)
    for call in (decorated, decorated.plan):
        with pytest.raises(AutoVmapError) as caught:  # noqa: PT011 - what it says is below
            call(MATRIX, *more)
        assert said in " ".join(str(caught.value).split())


def test_a_field_of_the_argument_itself_needs_no_more() -> None:
    with pytest.raises(AutoVmapError, match=says("H.data is float32[3]")):
        auto_vmap(H=2)(lambda H: H)(Data(jnp.ones(3)))


@jax.tree_util.register_pytree_node_class
class Nameless:
    """Registered without names for its children."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def tree_flatten(self) -> Any:
        return (self.data,), None

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        return cls(*children)


def test_a_type_without_names_for_its_children_is_named() -> None:
    with pytest.raises(AutoVmapError, match=says("H (at H.stored[", "in a Nameless) is float32")):
        auto_vmap(H=2)(lambda H: H)(Matrix(Nameless(jnp.ones(3))))  # pyright: ignore
