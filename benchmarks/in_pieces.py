"""Pieces of a batch, and of a Jacobian: what docs/howto/batched.md shows.

    python benchmarks/in_pieces.py

Values are compared, programs are asked what they need beside arguments and result
(`memory_analysis`), and times are least ones of calls in turns. Where netket is installed its
`apply_chunked` is a row too.
"""

import itertools
import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from ratios import circumstances, interleaved

from autovmap import auto_vmap

MIB = 2**20
ROWS, WIDTH, SIZE = 20_003, 256, 1024
SECONDS = 4.0
SIZES = (1, 32, 256, 1024)


def apply(params: Any, x: Any) -> Any:
    """Three layers, of a whole batch."""
    for weights in params:
        x = jnp.tanh(x @ weights)
    return x


one_block = auto_vmap(x=2)(apply).chunk(1)


def in_blocks(params: Any, x: Any) -> Any:
    """The recipe of the page: blocks, and a call of its own for what is left over."""
    whole = len(x) // SIZE * SIZE
    blocks = x[:whole].reshape(-1, SIZE, *x.shape[1:])
    found = one_block(params, blocks)
    found = found.reshape(whole, *found.shape[2:])
    return jnp.concatenate([found, apply(params, x[whole:])])


def scanned(params: Any, x: Any) -> Any:
    """A scan over the same blocks, by hand."""
    whole = len(x) // SIZE * SIZE
    blocks = x[:whole].reshape(-1, SIZE, *x.shape[1:])
    _, found = jax.lax.scan(lambda carry, block: (carry, apply(params, block)), None, blocks)
    found = found.reshape(whole, *found.shape[2:])
    return jnp.concatenate([found, apply(params, x[whole:])])


def peers() -> dict[str, Callable[..., Any]]:
    """Other libraries' helpers, of those that are installed."""
    try:
        from netket.jax import apply_chunked
    except ImportError:
        return {}
    return {"netket's `apply_chunked`": apply_chunked(apply, in_axes=(None, 0), chunk_size=SIZE)}


def rows(ways: dict[str, Callable[..., Any]], first: str, *args: Any) -> list[str]:
    """Time over the first way, and temporaries, of each."""
    programs = {name: jax.jit(way).lower(*args).compile() for name, way in ways.items()}
    expected = np.asarray(programs[first](*args))
    found = []
    for name, program in programs.items():
        np.testing.assert_allclose(program(*args), expected, rtol=1e-4, atol=1e-5)
        needed = program.memory_analysis().temp_size_in_bytes / MIB

        def call(program: Any = program) -> Any:
            return jax.block_until_ready(program(*args))

        ratio = interleaved(call, partial(call, programs[first]), name, "", SECONDS)
        found.append(f"| {name} | {1e3 * ratio.wall:.0f} ms | {ratio.by_wall:.2f} | {needed:.1f} |")
    return found


def of_a_batch() -> list[str]:
    """A function that takes the batch itself, in blocks."""
    key = jax.random.key(0)
    params = list(jax.random.normal(key, (3, WIDTH, WIDTH)) / WIDTH**0.5)
    x = jax.random.normal(key, (ROWS, WIDTH))
    ways = {
        "a scan by hand": scanned,
        **peers(),
        "`in_blocks`": in_blocks,
        "`auto_vmap(x=1)(apply).chunk(1024)`": auto_vmap(x=1)(apply).chunk(SIZE),
        "`apply` on the whole": apply,
    }
    return rows(ways, "a scan by hand", params, x)


def jacobian(f: Callable[[Any], Any], x: Any, size: int) -> Any:
    """The recipe of the page."""
    y, pullback = jax.vjp(f, x)

    @auto_vmap(i=0)
    def row(i: Any) -> Any:
        return pullback(jax.nn.one_hot(i, y.size, dtype=y.dtype).reshape(y.shape))[0]

    return row.chunk(size)(jnp.arange(y.size)).reshape(*y.shape, *x.shape)


def of_a_jacobian() -> list[str]:
    """1024 outputs of 256 inputs, through layers of 2048: so many rows at once."""
    key = jax.random.key(0)
    widths = (256, 2048, 2048, 1024)
    shapes = list(itertools.pairwise(widths))
    params = [jax.random.normal(key, shape) / shape[0] ** 0.5 for shape in shapes]
    ways: dict[str, Callable[..., Any]] = {
        "`jax.jacrev`": lambda params, x: jax.jacrev(partial(apply, params))(x)
    }
    for size in SIZES:
        ways[f"in chunks of {size}"] = lambda params, x, size=size: jacobian(
            partial(apply, params), x, size
        )
    return rows(ways, "`jax.jacrev`", params, jax.random.normal(key, (256,)))


if __name__ == "__main__":
    print(circumstances())
    for title, table in (("a batch in blocks", of_a_batch), ("a Jacobian", of_a_jacobian)):
        print(f"\n| {title} | time | over the first | temporaries, MiB |")
        print("| --- | ---: | ---: | ---: |", *table(), sep="\n", flush=True)
