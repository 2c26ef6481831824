"""String annotations: read at the first call or plan, parameter by parameter."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from autovmap import SpecError, auto_vmap, infer_ranks

pytestmark = [pytest.mark.python, pytest.mark.own]


@auto_vmap
def later(x: Vector, pair: Pair) -> Scalar:
    return (x + pair.shift).sum()


RANKS_BEFORE = repr(later)


class Pair(NamedTuple):
    shift: Vector
    count: Scalar = 0.0


Vector = Float[Array, "n"]
Scalar = Float[Array, ""]


class Nested:
    Inner = Float[Array, "a b"]

    @auto_vmap
    def method(self, x: Inner, other: Nested | None = None) -> Scalar:
        return x.sum()


def test_names_that_resolve_later():
    assert RANKS_BEFORE == "<auto_vmap(...) of later>"
    assert later(jnp.ones((5, 3)), Pair(jnp.ones((4, 1, 3)))).shape == (4, 5)
    assert later.ranks == {"x": 1, "pair": {"shift": 1, "count": 0}}
    assert later.__annotations__["x"].dim_str == "... n"
    assert later.__annotations__["return"].dim_str == "..."
    assert later.__wrapped__.__annotations__["x"] == "Vector"


def test_a_class_body_is_looked_into():
    assert Nested().method(jnp.ones((5, 2, 3))).shape == (5,)


def test_what_is_closed_over():
    Local = Float[Array, "a b"]

    @auto_vmap
    def f(x: Local):
        assert Local is not None
        return x.sum()

    assert f(jnp.ones((5, 2, 3))).shape == (5,)


def test_the_parameter_that_does_not_resolve_is_named():
    @auto_vmap
    def f(x: Vector, y: Missing, z: Unknown):
        return x

    assert repr(f).startswith("<auto_vmap(...) of ")
    for use in (f, f.plan, lambda *args: f.ranks):
        with pytest.raises(SpecError, match=r"annotation of y, 'Missing', does not resolve: NameE"):
            use(jnp.ones(3), 1, 2)
    with pytest.raises(SpecError, match=r"annotation of z, 'Unknown'"):
        _ = auto_vmap(..., y=0)(f.__wrapped__).ranks
    assert auto_vmap(..., y=0, z=None)(f.__wrapped__).ranks == {"x": 1, "y": 0}
    f.__wrapped__.__globals__.update(Missing=Scalar, Unknown=int)
    try:
        assert f(jnp.ones((5, 3)), 1.0, 2).shape == (5, 3)
    finally:
        del f.__wrapped__.__globals__["Missing"], f.__wrapped__.__globals__["Unknown"]


def test_a_field_that_does_not_resolve_is_named():
    class Fields(NamedTuple):
        a: Vector
        b: Missing

    def f(x):
        return x

    f.__annotations__ = {"x": Fields}
    with pytest.raises(SpecError, match=r"annotation of x.b, 'Missing', does not resolve"):
        infer_ranks(f)


def test_forward_references_inside():
    def f(x, y):
        return x

    f.__annotations__ = {"x": list["Vector"], "y": "dict[str, 'Pair'] | None"}
    assert infer_ranks(f) == {"x": 1, "y": [{"shift": 1, "count": 0}, ...]}


def test_any_error_of_evaluating_names_the_parameter():
    @auto_vmap
    def f(x: 1 / 0):
        return x

    with pytest.raises(SpecError, match=r"annotation of x, '1 / 0', does not resolve: ZeroDiv"):
        f(np.ones(3))


def test_jaxtyping_is_imported_only_by_others():
    code = """
import sys
import numpy as np
from autovmap import auto_vmap
@auto_vmap
def f(x: np.ndarray[tuple[int], np.dtype[np.float64]], n: int = 1):
    return x.sum()
assert f(np.ones((5, 3))).shape == (5,)
assert "jaxtyping" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
