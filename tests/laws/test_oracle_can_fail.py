"""The oracle can fail: plant a mistake in an implementation, and the comparison catches it.

The implementation here is the crudest that is right: broadcast everything to the batch shape, make
one axis of it, `jax.vmap` once. Each mistake changes one thing.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oracle import Expected, compare, loop

pytestmark = pytest.mark.own

BATCH = (2, 3)


def energy(s, v, *, m):
    """One example of each kind of output."""
    return {
        "energy": v @ m @ v + s,
        "vector": v.astype(jnp.bfloat16),
        "none": None,
        "constant": jnp.arange(2),
        "number": 2.5,
        "pair": (v[0], v[1]),
        "key": jax.random.key(3),
    }


RANKS = {"s": 0, "v": 1, "m": 2}
ARGUMENTS = {
    "s": jnp.arange(6.0).reshape(BATCH),
    "v": jnp.arange(6.0).reshape(3, 2),
    "m": jnp.arange(8.0).reshape(2, 1, 2, 2),
}


def crude(function: Callable[..., Any], arguments: dict[str, Any], ranks: dict[str, int]) -> Any:
    """A right implementation, by other means than the loop."""
    shapes = {name: x.shape[: x.ndim - ranks[name]] for name, x in arguments.items()}
    batch = np.broadcast_shapes(*shapes.values())
    flat = {}
    for name, x in arguments.items():
        core = x.shape[x.ndim - ranks[name] :]
        flat[name] = jnp.broadcast_to(x, batch + core).reshape((-1, *core))
    if not batch:
        return function(**arguments)
    result = jax.vmap(lambda given: function(**given))(flat)
    return jax.tree.map(lambda y: y.reshape(batch + y.shape[1:]), result)


def planted(change: Callable[[dict[str, Any]], Any]) -> Callable[[], Any]:
    """The crude implementation with its result changed."""
    return lambda: change(dict(crude(energy, ARGUMENTS, RANKS)))


def with_arguments(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[], Any]:
    """The crude implementation given other arguments than the loop."""
    return lambda: crude(energy, ARGUMENTS | change(ARGUMENTS), RANKS)


def dropped_keyword() -> Any:
    """As a system that loses keyword arguments and falls back on a default."""
    lossy = lambda s, v, m=None: energy(s, v, m=jnp.eye(2))  # noqa: E731
    return crude(lossy, ARGUMENTS, RANKS)


def only_first_batch(r: dict[str, Any]) -> dict[str, Any]:
    """The constant without the batch shape, as a result that no input reaches."""
    return r | {"constant": jnp.arange(2)}


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "two batch dims transposed": (
        planted(lambda r: r | {"energy": r["energy"].swapaxes(0, 1)}),
        r"\(3, 2\), not \(2, 3\)",
    ),
    "rows in another order": (
        planted(lambda r: r | {"energy": r["energy"].swapaxes(0, 1).reshape(BATCH)}),
        "Not equal to tolerance",
    ),
    "wrong dtype": (
        planted(lambda r: r | {"vector": r["vector"].astype(jnp.float32)}),
        "dtype float32, not bfloat16",
    ),
    "lost weak type": (
        planted(lambda r: r | {"number": r["number"].astype(jnp.float32)}),
        "weak type False, not True",
    ),
    "lost None": (planted(lambda r: {k: y for k, y in r.items() if k != "none"}), "structure"),
    "None made an array": (planted(lambda r: r | {"none": jnp.zeros(BATCH)}), "structure"),
    "tuple made a list": (planted(lambda r: r | {"pair": list(r["pair"])}), "structure"),
    "tuple made an array": (planted(lambda r: r | {"pair": jnp.stack(r["pair"])}), "structure"),
    "unbatched constant": (planted(only_first_batch), r"\(2,\), not \(2, 3, 2\)"),
    "unbatched number": (planted(lambda r: r | {"number": 2.5}), "is no jax.Array"),
    "another key": (
        planted(lambda r: r | {"key": jnp.broadcast_to(jax.random.key(4), BATCH)}),
        "Not equal to tolerance",
    ),
    "NumPy result": (
        planted(lambda r: r | {"energy": np.asarray(r["energy"])}),
        "is no jax.Array",
    ),
    "dropped keyword": (dropped_keyword, "Not equal to tolerance"),
    "broadcast from the left": (
        with_arguments(lambda a: {"v": jnp.repeat(a["v"][:2], 3, 0).reshape(2, 3, 2)}),
        "Not equal to tolerance",
    ),
    "first example for all": (
        with_arguments(lambda a: {"m": a["m"][:1]}),
        "Not equal to tolerance",
    ),
    "a NaN": (
        planted(lambda r: r | {"energy": r["energy"].at[1, 2].set(jnp.nan)}),
        "nan location mismatch|Not equal to tolerance",
    ),
}


def expected() -> Expected:
    """What the loop gives."""
    ranks = {name: [rank] for name, rank in RANKS.items()}
    return loop(energy, [], (), ranks, ARGUMENTS)


def test_the_right_implementation_passes() -> None:
    """Without a mistake nothing is caught."""
    compare(crude(energy, ARGUMENTS, RANKS), expected())


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_caught(name: str) -> None:
    """Each mistake, and the message that tells of it."""
    run, message = MISTAKES[name]
    with pytest.raises(AssertionError, match=message):
        compare(run(), expected())


def test_nan_equals_nan() -> None:
    """A NaN in both is no mistake."""
    x = jnp.asarray([1.0, jnp.nan])
    compare(x + 1, loop(lambda x: x + 1, [[0]], (x,)))


def test_a_size_of_zero_still_has_a_shape_and_a_dtype() -> None:
    """With no example, the core shape and the dtype are checked."""
    want = loop(lambda x: (x, x.sum()), [[1]], (jnp.ones((0, 3), jnp.float16),))
    compare((jnp.ones((0, 3), jnp.float16), jnp.ones(0, jnp.float16)), want)
    with pytest.raises(AssertionError, match=r"\(0, 2\), not \(0, 3\)"):
        compare((jnp.ones((0, 2), jnp.float16), jnp.ones(0, jnp.float16)), want)
    with pytest.raises(AssertionError, match="dtype float32, not float16"):
        compare((jnp.ones((0, 3)), jnp.ones(0, jnp.float16)), want)


def test_without_batch_dims_the_result_is_the_plain_call() -> None:
    """A Python number stays one, a NumPy array too."""
    function = lambda x: (2.5, np.ones(2), "text")  # noqa: E731
    want = loop(function, [[1]], (jnp.ones(2),))
    compare(function(jnp.ones(2)), want)
    for wrong in [(jnp.asarray(2.5), np.ones(2), "text"), (2.5, jnp.ones(2), "text")]:
        with pytest.raises(AssertionError, match="without a batch"):
            compare(wrong, want)
    with pytest.raises(AssertionError, match="'other', not 'text'"):
        compare((2.5, np.ones(2), "other"), want)


def test_the_loop_refuses_what_numpy_refuses() -> None:
    """Batch shapes that do not broadcast are an error of the loop, not a result."""
    with pytest.raises(ValueError, match="shape mismatch"):
        loop(jnp.add, [[0], [0]], (jnp.ones(2), jnp.ones(3)))
