"""`f.reduce(...)` beside what one would write by hand: times, and memory that must not grow."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ratios import interleaved

from autovmap import auto_vmap

EXAMPLES, CHUNK = 8192, 256


def loss(params: Any, x: Any, y: Any) -> Any:
    """The loss of an MLP of two hidden layers on one example."""
    hidden = jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"])
    return (hidden @ params["c"] - y) ** 2


def arguments(examples: int) -> tuple[Any, Any, Any]:
    a, b, c, x = jax.random.split(jax.random.key(0), 4)
    params = {
        "a": jax.random.normal(a, (64, 256)) / 8,
        "b": jax.random.normal(b, (256, 256)) / 16,
        "c": jax.random.normal(c, (256,)) / 16,
    }
    xs = jax.random.normal(x, (examples, 64))
    return params, xs, xs[:, 0]


def by_hand(params: Any, x: Any, y: Any) -> Any:
    """Gradient accumulation as a scan."""

    def total(params: Any, x: Any, y: Any) -> Any:
        return jax.vmap(loss, (None, 0, 0))(params, x, y).sum()

    def step(found: Any, start: Any) -> Any:
        part = [lax.dynamic_slice_in_dim(array, start, CHUNK) for array in (x, y)]
        return jax.tree.map(jnp.add, found, jax.grad(total)(params, *part)), None

    zeros = jax.tree.map(jnp.zeros_like, params)
    found, _ = lax.scan(step, zeros, jnp.arange(0, len(x), CHUNK))
    return jax.tree.map(lambda array: array / len(x), found)


def temporaries(function: Callable[..., Any], *args: Any) -> int:
    return int(jax.jit(function).lower(*args).compile().memory_analysis().temp_size_in_bytes)


def timed(record: Any, benchmark: Any, case: str, function: Any, hand: Any, *args: Any) -> float:
    """How long a function takes over what one writes by hand; both give the same."""
    function, hand = jax.jit(function), jax.jit(hand)
    both = zip(jax.tree.leaves(function(*args)), jax.tree.leaves(hand(*args)), strict=True)
    for one, other in both:
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)

    def run(function: Any) -> Any:
        return lambda: jax.block_until_ready(function(*args))

    found = interleaved(run(function), run(hand), case, "autovmap", seconds=4.0)
    record(found)
    benchmark(run(function))
    return found.by_wall


def test_gradient_accumulation(benchmark: Any, record: Any) -> None:
    """In the memory of one chunk, whatever the batch; in the time of the scan by hand."""
    decorated = auto_vmap(x=1, y=0)(loss)
    lifted = decorated.lift(jax.grad).reduce("mean").chunk(CHUNK)
    folded = jax.grad(decorated.reduce("mean").chunk(CHUNK, remat=True))
    args = arguments(EXAMPLES)
    for f in (lifted, folded):
        assert temporaries(f, *args) <= 1.02 * temporaries(by_hand, *args)
        assert temporaries(f, *args) <= 1.02 * temporaries(f, *arguments(CHUNK * 2))
        both = zip(jax.tree.leaves(f(*args)), jax.tree.leaves(by_hand(*args)), strict=True)
        for one, other in both:
            np.testing.assert_allclose(one, other, atol=1e-6)
        first = f is lifted
        run = (lambda function: function()) if first else benchmark  # it takes one a test
        case = "gradient accumulation, " + ("lifted" if first else "of a folded loss")
        assert timed(record, run, case, f, by_hand, *args) <= 1.05


def fisher(w: Any, x: Any) -> Any:
    """An outer product of a gradient, of 576 by 576."""
    gradient = jax.grad(lambda w: jnp.tanh(jnp.tanh(x @ w.reshape(24, 24)).sum()))(w)
    return jnp.outer(gradient, gradient)


def test_a_sum_of_matrices(benchmark: Any, record: Any) -> None:
    """A Fisher matrix: without chunks it is what XLA fuses, in chunks it does not grow."""
    f = auto_vmap(x=1)(fisher).reduce("sum")
    w = jax.random.normal(jax.random.key(0), (576,))
    x = jax.random.normal(jax.random.key(1), (1024, 24))
    sizes = {temporaries(f.chunk(64), w, jnp.ones((n, 24))) for n in (1_000, 10_000, 100_000)}
    assert len(sizes) == 1
    assert sizes.pop() < 2**18
    hand: Any = lambda w, x: jax.vmap(fisher, (None, 0))(w, x).sum(0)  # noqa: E731
    assert timed(record, benchmark, "a sum of matrices", f, hand, w, x) <= 1.05


def test_logsumexp(benchmark: Any, record: Any) -> None:
    x = jax.random.normal(jax.random.key(0), (100_000, 200))
    f = auto_vmap(x=1)(lambda x: 2 * x).reduce("logsumexp").chunk(1000)
    assert temporaries(f, x) < 2 * 2**20
    assert (
        timed(record, benchmark, "logsumexp", f, lambda x: jax.nn.logsumexp(2 * x, axis=0), x) <= 1
    )
