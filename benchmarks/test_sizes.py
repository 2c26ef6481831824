"""Ever-new batch sizes, and chunks: seconds for a whole series, not for one call."""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from ratios import Ratio, interleaved

from autovmap import auto_vmap
from functions import definite

CALLS = 200


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def one(x):
    return jnp.tanh(x) @ x


def series(call, sizes) -> float:
    batches = [np.ones((size, 16), np.float32) for size in sizes]
    return seconds(lambda: [jax.block_until_ready(call(x)) for x in batches])


def recorded(benchmark, record, case, ours, other) -> None:
    record(Ratio(case, "autovmap", ours, ours, other, other, 1))
    benchmark.pedantic(lambda: None, rounds=1)


def test_ever_new_sizes(benchmark, record) -> None:
    """200 calls with up to 185 sizes, over one compilation a size. The target is 1/15."""
    sizes = np.random.default_rng(0).integers(1, 1200, CALLS)
    bucketed = auto_vmap(x=1)(one).bucket()
    exact = auto_vmap(x=1)(one).jit()
    ours, other = series(bucketed, sizes), series(exact, sizes)
    assert bucketed.stats().compilations <= 13
    recorded(benchmark, record, "200 varying sizes", ours, other)


def test_ever_new_sizes_in_blocks(benchmark, record) -> None:
    """The same through one program. The target is 1/40."""
    sizes = np.random.default_rng(0).integers(1, 1200, CALLS)
    blocks = auto_vmap(x=1)(one).bucket(block=512)
    ours, other = series(blocks, sizes), series(auto_vmap(x=1)(one).jit(), sizes)
    assert blocks.stats().compilations == 1
    recorded(benchmark, record, "200 varying sizes, in blocks", ours, other)


def test_sizes_that_come_back(benchmark, record) -> None:
    """Two sizes, 200 calls each: promoted, they are as quick as exact programs."""
    bucketed, exact = auto_vmap(x=1)(one).bucket(), auto_vmap(x=1)(one).jit()
    batches = [np.ones((size, 16), np.float32) for size in (37, 100)]
    for call in (bucketed, exact):
        for _ in range(20):
            for x in batches:
                call(x)

    def run(call):
        return lambda: [call(x) for x in batches]

    record(interleaved(run(bucketed), run(exact), "sizes that come back", "autovmap"))
    benchmark(run(bucketed))


def in_chunks(benchmark, record, function, x, case) -> None:
    """Chunks of some sizes over one shot."""
    whole = function.jit()
    for size in (128, "auto"):
        chunked = function.chunk(size)

        def ours(chunked=chunked):
            return jax.block_until_ready(chunked(x))

        shown = f"{case}, chunk({size!r})"
        record(interleaved(ours, lambda: jax.block_until_ready(whole(x)), shown, "autovmap"))
    benchmark(ours)


def test_cholesky_that_leaves_the_cache(benchmark, record) -> None:
    """16,384 matrices of 64 by 64, made in the function: 512 MiB. The target is 0.6."""

    def log_det(x):
        gram = x @ x.T + jnp.eye(64)
        return jnp.log(jnp.diagonal(jnp.linalg.cholesky(gram))).sum()

    x = np.random.default_rng(0).normal(size=(16_384, 64, 8)).astype(np.float32)
    in_chunks(benchmark, record, auto_vmap(x=2)(log_det), jnp.asarray(x), "Cholesky 64 by 64")


def test_cholesky_that_stays_in_the_cache(benchmark, record) -> None:
    """16,384 given matrices of 16 by 16: 32 MiB, so that there is little to win."""
    f = auto_vmap(x=2)(lambda x: jnp.linalg.cholesky(x).sum())
    in_chunks(benchmark, record, f, definite(16_384, 16, 16), "Cholesky 16 by 16")


def test_pairwise_distances_in_chunks(benchmark, record) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 4096, 8)).astype(np.float32)
    f = auto_vmap(x=1, y=2)(lambda x, y: jnp.sort(((x - y) ** 2).sum(-1))[:5])
    whole, chunked = f.jit(), f.chunk("auto")

    def run(call):
        return lambda: jax.block_until_ready(call(x, y))

    record(interleaved(run(chunked), run(whole), "pairwise distances, chunk('auto')", "autovmap"))
    benchmark(run(chunked))


def test_import(benchmark, tmp_path) -> None:
    """Importing autovmap once JAX is there, in a process of its own, as bytecode."""
    import subprocess
    import sys

    code = (
        "import jax, numpy, optree, time; start = time.process_time(); import autovmap; "
        "print(time.process_time() - start)"
    )
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    kept["PYTHONPYCACHEPREFIX"] = str(tmp_path)

    def imported() -> float:
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept
        )
        return float(run.stdout)

    imported()  # which compiles the modules
    benchmark.extra_info["seconds beside JAX"] = min(imported() for _ in range(5))
    benchmark.pedantic(imported, rounds=1)
