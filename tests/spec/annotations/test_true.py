"""The annotations that the decorated object shows, and type checkers around and inside it."""

import inspect
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, TypeCheckError, jaxtyped

from autovmap import auto_vmap

pytestmark = [pytest.mark.python, pytest.mark.own]

HOOKED = Path(__file__).parent / "hooked"


def shown(annotation: Any, **options: Any) -> Any:
    """The annotation that a decorated function shows for this one."""

    def f(x):
        return x

    f.__annotations__ = {"x": annotation, "return": annotation}
    decorated = auto_vmap(**options)(f)
    assert f.__annotations__ == {"x": annotation, "return": annotation}
    return decorated.__annotations__["x"]


@pytest.mark.parametrize(
    ("dims", "options", "expected"),
    [
        ("n", {}, "... n"),
        ("", {}, "..."),
        ("3 n+1 _", {}, "... 3 n+1 _"),
        ("*batch n", {}, "*batch n"),
        ("... n", {}, "... n"),
        ("n", {"x": 1}, "... n"),
        ("n", {"x": 0}, "..."),
        ("n", {"x": None}, "n"),
        ("n m", {"in_axes": 1}, "n ... m"),
        ("n m", {"in_axes": -1}, "n m ..."),
        ("n m", {"in_axes": {"x": 2}}, "n m ..."),
        ("*batch n", {"in_axes": -1}, "..."),
    ],
)
def test_dims(dims, options, expected):
    assert shown(Float[Array, dims], **options).dim_str == expected


def test_inside_of_others():
    vector, batched = Float[Array, "n"], Float[Array, "... n"]
    for own, expected in (
        (vector | None, batched | None),
        (list[vector], list[batched]),
        (tuple[vector, ...], tuple[batched, ...]),
        (tuple[vector, int], tuple[batched, int]),
        (dict[str, vector], dict[str, batched]),
        (PyTree[vector], PyTree[batched]),
    ):
        assert str(shown(own)) == str(expected)
    assert shown(PyTree[vector, "T"]).structure == "T"
    assert [a.dim_str for a in typing.get_args(shown(PRNGKeyArray))] == ["...", "... 2", "... 4"]
    assert shown(np.ndarray[tuple[int], np.dtype[Any]]) == np.ndarray[tuple[int], np.dtype[Any]]


def test_results_and_signatures():
    @auto_vmap(out_axes=-1)
    def f(x: Float[Array, "n"], k: int = 3) -> Float[Array, "n m"]:
        return x

    assert f.__annotations__["return"].dim_str == "n m ..."
    assert f.__annotations__["k"] is int
    signature = inspect.signature(f)
    assert signature.parameters["x"].annotation.dim_str == "... n"
    assert signature.parameters["k"].default == 3
    assert signature.return_annotation.dim_str == "n m ..."
    assert inspect.signature(f.__wrapped__).parameters["x"].annotation.dim_str == "n"
    assert f.replace(out_axes=None).__annotations__["return"].dim_str == "n m"
    assert f.replace(out_axes=(0, 1)).__annotations__["return"].dim_str == "..."

    class C:
        @auto_vmap
        def method(self, x: Float[Array, "n"]) -> Float[Array, ""]:
            return x.sum()

    bound = inspect.signature(C().method)
    assert list(bound.parameters) == ["x"]
    assert bound.parameters["x"].annotation.dim_str == "... n"


def test_annotations_of_others_stay():
    def f(x: int, y: "str") -> bytes:
        return b""

    decorated = auto_vmap(x=0)(f)
    assert decorated.__annotations__ == f.__annotations__
    assert not hasattr(decorated, "__signature__")


def test_a_checker_inside_sees_one_example():
    @auto_vmap
    @jaxtyped(typechecker=beartype)
    def f(x: Float[Array, "n m"], y: Float[Array, "m"]) -> Float[Array, "n"]:
        return x @ y

    @auto_vmap
    @jaxtyped(typechecker=beartype)
    def wrong(x: Float[Array, "n"]) -> Float[Array, "n"]:
        return x.sum()

    x, y = jnp.ones((5, 3, 2)), jnp.ones((4, 1, 2))
    assert f(x, y).shape == (4, 5, 3)
    assert jax.jit(f)(x, y).shape == (4, 5, 3)
    assert f.loop()(x, y).shape == (4, 5, 3)
    with pytest.raises(TypeCheckError, match="checking the parameters"):
        f(x.astype(int), y)
    with pytest.raises(TypeCheckError, match="checking the return value"):
        wrong(jnp.ones((5, 3)))


def test_a_checker_outside_sees_the_batch():
    @jaxtyped(typechecker=beartype)
    @auto_vmap
    def f(x: Float[Array, "n m"], y: Float[Array, "m"]) -> Float[Array, "n"]:
        return x @ y

    @beartype
    @auto_vmap
    def g(x: Float[Array, "n"], k: Int[Array, ""] | None = None) -> Float[Array, "n"]:
        return x

    assert f(jnp.ones((5, 3, 2)), jnp.ones((4, 1, 2))).shape == (4, 5, 3)
    with pytest.raises(TypeCheckError, match="checking the parameters"):
        f(jnp.ones((5, 3, 2), int), jnp.ones((4, 1, 2)))
    assert g(jnp.ones((5, 3)), jnp.ones((4, 1), int)).shape == (4, 5, 3)
    with pytest.raises(BeartypeCallHintViolation, match=r"violates type hint"):
        g(jnp.ones((5, 3)), jnp.ones((4, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["claw", "claw-first", "jaxtyping"])
def test_import_hooks(how):
    """A module of decorated functions and methods works under each hook, and is checked."""
    path = os.pathsep.join([str(HOOKED), *sys.path])
    run = subprocess.run(
        [sys.executable, "-W", "error", str(HOOKED / "run.py"), how],
        # Without bytecode: beartype would find there what it wrote under another configuration.
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr
