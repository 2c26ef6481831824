"""What is decided of a call is kept for concrete arrays alone: a traced call is looked at anew."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import auto_vmap
from autovmap._bind.kinds import Kind, kind_of
from autovmap._ways import program

X = jnp.arange(4.0)

TRACES: dict[str, Callable[[Any], Any]] = {
    "jit": lambda f: jax.jit(f)(X),
    "vmap": lambda f: jax.vmap(f)(X[None])[0],
    "grad": lambda f: jax.grad(lambda x: f(x).sum())(X) * X / 2,
    "jvp": lambda f: jax.jvp(f, (X,), (X,))[0],
    "linearize": lambda f: jax.linearize(f, X)[0],
    "checkpoint": lambda f: jax.checkpoint(f)(X),
}


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("as_arrays", [False, True])
def test_a_traced_call_has_no_key(
    trace: str, as_arrays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a test for tracers: not because JAX happens to raise, nor by the class of a tracer."""
    keys: list[Any] = []
    job_key = program.Programs._job_key

    def noted(self: Any, split: Any) -> Any:
        try:
            keys.append(job_key(self, split))
        except Exception as error:
            keys.append(error)
            raise
        return keys[-1]

    def older(cls: type) -> Kind:  # as in JAX 0.6, where tracers are of a subclass of jax.Array
        return Kind.ARRAY if cls.__name__.endswith("Tracer") else kind_of(cls)

    monkeypatch.setattr(program.Programs, "_job_key", noted)
    if as_arrays:
        monkeypatch.setattr(program, "kind_of", older)
    f: Any = auto_vmap(x=0)(lambda x: x * x).chunk(2)
    np.testing.assert_allclose(f(X), X * X)
    assert len(keys) == 1
    assert keys.pop() is not None
    np.testing.assert_allclose(TRACES[trace](f), X * X)
    assert keys
    assert keys == [None] * len(keys)
