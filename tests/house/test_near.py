"""Names that were mistyped: what a message asks, and where it asks nothing."""

from typing import Any

import jax.numpy as jnp
import pytest

from autovmap import SpecError, auto_vmap
from autovmap._lines import did_you_mean
from faults.saying import words

pytestmark = pytest.mark.own


@pytest.mark.parametrize(
    ("name", "known", "asked"),
    [
        ("angel", ["angle", "shift"], "; did you mean 'angle'?"),
        ("w", ["s", "v", "m"], ""),
        ("axis_size", ["axis_name", "in_axes"], ""),
        (0, ["a"], ""),
        ("a", [0, ("a",)], ""),
        ("", [""], "; did you mean ''?"),
    ],
)
def test_did_you_mean(name: Any, known: Any, asked: str) -> None:
    assert did_you_mean(name, known) == asked


def refused(pattern: str) -> Any:
    """An error whose message ends so."""
    return pytest.raises(SpecError, match=words(pattern) + r"\Z")


def test_an_option_among_the_ranks() -> None:
    with refused("its parameters are: x; did you mean the option 'out_axes'?"):
        auto_vmap(x=0, out_axis=1)(lambda x: x)


def test_a_parameter_before_an_option() -> None:
    with refused("its parameters are: out_axs; did you mean 'out_axs'?"):
        auto_vmap(out_axis=0)(lambda out_axs: out_axs)


def test_in_axes() -> None:
    with refused("its parameters are: points; did you mean 'points'?"):
        auto_vmap(points=1, in_axes={"point": 1})(lambda points: points)


def test_replace() -> None:
    with pytest.raises(
        SpecError, match=r"stretch_outputs;\sdid you mean 'out_axes'\?\sTo declare other"
    ):
        auto_vmap(x=0)(lambda x: x).replace(outaxes=1)


def test_a_key() -> None:
    move = auto_vmap(pose={"angel": 0, "shift": 1})(lambda pose: pose["shift"])
    with refused("declare what is there; did you mean 'angle'?"):
        move({"angle": 0.0, "shift": jnp.ones(2)})
