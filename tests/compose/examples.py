"""The function and the arrays that the tests of composition share, with NumPy's own loop."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from autovmap import auto_vmap


def plain(s: Any, v: Any, m: Any) -> Any:
    """A scalar of a scalar, a vector and a matrix."""
    return s * jnp.sin(v @ m @ v) + v.sum()


quadratic = auto_vmap(s=0, v=1, m=2)(plain)


def numpy_loop(function: Any, result: str = "()") -> Any:
    """The same function of one example, looped over by NumPy, which knows nothing of vmap."""
    return np.vectorize(function, signature=f"(),(n),(n,n)->{result}")


def arrays(s: tuple[int, ...] = (), v: tuple[int, ...] = (4, 1), m: tuple[int, ...] = (5,)) -> Any:
    """Arrays of these batch shapes: together (4, 5)."""
    rng = np.random.default_rng(0)
    shapes = (s, (*v, 3), (*m, 3, 3))
    return tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)


def close(result: Any, expected: Any, rtol: float = 1e-5) -> None:
    """Equal in shape, and in value up to rounding."""
    assert np.shape(result) == np.shape(expected)
    np.testing.assert_allclose(np.asarray(result), np.asarray(expected), rtol=rtol, atol=1e-5)


def words(raised: Any) -> str:
    """The message and the notes of a caught error, shapes without spaces."""
    error = raised.value
    return "\n".join([str(error), *getattr(error, "__notes__", ())]).replace(", ", ",")
