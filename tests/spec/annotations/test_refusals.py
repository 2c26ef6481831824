"""An array where an annotation tells that none is expected, or tells nothing."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, PyTree

from autovmap import SpecError, auto_vmap

pytestmark = [pytest.mark.python, pytest.mark.own]


@auto_vmap
def f(
    x: Float[Array, "n"],
    scale: float = 1.0,
    times: int = 1,
    flag: bool = False,
    name: str = "",
    function: Callable[[Any], Any] = jnp.tanh,
    tree: PyTree = None,
    bare=None,
    *more: int,
    **options: str,
) -> Float[Array, ""]:
    return x.sum()


X = jnp.ones((5, 3))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("scale", "it is annotated as float"),
        ("times", "it is annotated as int"),
        ("flag", "it is annotated as bool"),
        ("name", "it is annotated as str"),
        ("function", "it is annotated as Callable"),
        ("tree", "it is annotated as PyTree"),
        ("bare", "it has no annotation"),
    ],
)
@pytest.mark.parametrize("array", [jnp.ones(4), np.ones(4, "float32")], ids=["jax", "numpy"])
def test_an_array_is_refused(name, said, array):
    with pytest.raises(SpecError) as caught:  # noqa: PT011 - the text is looked at below
        f(X, **{name: array})
    message = str(caught.value)
    assert message.startswith(f"f(): {name} is float32[4], but {said}")
    assert f"@auto_vmap(..., {name}=1); None for not mapped" in message
    with pytest.raises(SpecError, match=said):
        f.plan(X, **{name: array})


def test_arrays_inside():
    with pytest.raises(SpecError, match=r"bare\['a'\]\[0\] is float32\[2\], but bare has no anno"):
        f(X, bare={"a": [jnp.ones(2)]})
    with pytest.raises(SpecError, match=r"tree\[1\] is float32\[2,3\], but tree is annotated as"):
        f(X, tree=(1, np.ones((2, 3), "float32")))
    with pytest.raises(SpecError, match=r"more\[1\] is float32\[5\], but more is annotated as int"):
        f(X, 1.0, 1, False, "", jnp.tanh, None, None, 3, jnp.ones(5))
    with pytest.raises(SpecError, match=r"options\['a'\] is float32\[5\], but options is annot"):
        f(X, a=jnp.ones(5))


def test_a_callable_may_hold_arrays():
    """A model given as a function: its weights are not mapped."""
    linear = eqx.nn.Linear(3, 3, key=jax.random.key(0))
    assert f(X, function=linear).shape == (5,)


def test_what_has_no_dims_is_let_through():
    """A traced number, a single typed key, static objects."""
    assert jax.jit(lambda s: f(X, s, times=s))(2).shape == (5,)
    assert f(X, bare=jax.random.key(0), tree={"a": 1, "b": jnp.float32(1)}).shape == (5,)
    assert f(X, bare=object(), tree=[None, "word", np.float64(1)]).shape == (5,)
    assert f(X, bare={1: 0, "b": 1}).shape == (5,)


def test_ranked_by_name_it_is_taken():
    g = auto_vmap(..., scale=0, bare=None)(f.__wrapped__)
    assert g(X, jnp.ones((4, 1)), bare=jnp.ones(7)).shape == (4, 5)


def test_without_annotations_read_nothing_changes():
    g = auto_vmap(x=1)(f.__wrapped__)
    assert g(X, jnp.ones(4), bare=jnp.ones(7)).shape == (5,)
