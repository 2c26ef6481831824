"""Compiled: run time, flops, bytes and temporaries over the nest by hand, and batched code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ratios import interleaved

from autovmap import auto_vmap
from functions import FUNCTIONS, Function, normal

SIZE, SIDE = 256, 24


def costs(function, args) -> dict[str, float]:
    compiled = jax.jit(function).lower(*args).compile()
    found = compiled.cost_analysis()
    found = found[0] if isinstance(found, list) else found
    memory = compiled.memory_analysis().temp_size_in_bytes
    return {"flops": found["flops"], "bytes": found["bytes accessed"], "temporaries": memory}


def compared(benchmark, record, case, ours, other, args, who="autovmap") -> None:
    for one, two in zip(jax.tree.leaves(ours(*args)), jax.tree.leaves(other(*args)), strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-3)
    found, hand = costs(ours, args), costs(other, args)
    ours, other = jax.jit(ours), jax.jit(other)

    def run(function):
        return lambda: jax.block_until_ready(function(*args))

    record(interleaved(run(ours), run(other), case, who, seconds=1.0))
    for what, value in found.items():
        ratio = value / hand[what] if hand[what] else 1.0
        benchmark.extra_info[f"{what} ratio"] = round(ratio, 4)
    benchmark(run(ours))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
@pytest.mark.parametrize("batch", ["paired", "crossed"])
def test_against_the_nest(benchmark, record, function: Function, batch: str) -> None:
    """Paired: (256,) and (256,). Crossed: (24, 1) against (1, 24)."""
    fronts = ((SIZE,), (SIZE,)) if batch == "paired" else ((SIDE, 1), (1, SIDE))
    args = [m(*f, *c) for m, f, c in zip(function.make, fronts, function.core, strict=True)]
    ours = auto_vmap(*function.ranks)(function.one).jit()
    nest = jax.vmap(function.one)
    if batch == "crossed":
        inner = jax.vmap(jax.vmap(function.one, (None, 0)), (0, None))

        def nest(x, y):
            return inner(x[:, 0], y[0])

    compared(benchmark, record, f"{function.name}, {batch}", ours, nest, args)


BATCHED = [function for function in FUNCTIONS if function.batched is not None]


@pytest.mark.parametrize("function", BATCHED, ids=lambda function: function.name)
def test_against_batched_code(benchmark, record, function: Function) -> None:
    args = [m(SIZE, *c) for m, c in zip(function.make, function.core, strict=True)]
    ours = auto_vmap(*function.ranks)(function.one).jit()
    compared(benchmark, record, f"{function.name}, over batched code", ours, function.batched, args)


SHARED = {
    "w @ x": lambda w, x: w @ x,
    "x @ w.T": lambda w, x: x @ w.T,
    "einsum": lambda w, x: jnp.einsum("ij,j->i", w, x),
    "dot_general": lambda w, x: jax.lax.dot_general(x, w, (((0,), (1,)), ((), ()))),
}


@pytest.mark.parametrize("way", SHARED)
def test_a_shared_operand(benchmark, record, way: str) -> None:
    """One matrix and 64 by 64 vectors, over the batched `x @ w.T`."""
    w, x = normal(128, 128), normal(64, 64, 128)
    ours = auto_vmap(w=2, x=1)(SHARED[way]).jit()
    compared(benchmark, record, f"shared operand, {way}", ours, lambda w, x: x @ w.T, (w, x))


def test_a_cond_where_all_sizes_are_one(benchmark, record) -> None:
    def of_matrix(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x, lambda x: jnp.sin(x @ x.T @ x), x)

    x = jnp.abs(normal(1, 1, 128, 128))
    ours = auto_vmap(x=2)(of_matrix).jit()
    compared(
        benchmark, record, "cond, all sizes 1", ours, lambda x: of_matrix(x[0, 0])[None, None], (x,)
    )
