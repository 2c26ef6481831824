"""What a function does beside computing: once for each example, where a way can have it so."""

from typing import Any

import jax
import numpy as np
import pytest

from autovmap import auto_vmap

WAYS = {
    "plain": lambda f: f,
    "jit": lambda f: f.jit(),
    "chunk": lambda f: f.chunk(2),
    "chunk of three": lambda f: f.chunk(3, remat=True),
    "one at a time": lambda f: f.chunk(1),
    "auto": lambda f: f.chunk("auto"),
    "chunk and jit": lambda f: f.chunk(2).jit(),
    "bucket": lambda f: f.bucket(promote=None),
    "bucket and chunk": lambda f: f.bucket(promote=None).chunk(2),
}


@pytest.mark.parametrize("size", [3, 4, 5, 7])
@pytest.mark.parametrize("way", WAYS)
def test_an_effect_happens_once_for_each_example(way: str, size: int) -> None:
    seen: list[float] = []

    def watched(x: Any) -> Any:
        jax.debug.callback(lambda value: seen.append(float(value)), x)
        return x * 2

    run = WAYS[way](auto_vmap(x=0)(watched))
    x = np.arange(size, dtype=np.float32)
    for _ in range(2):
        seen.clear()
        result = jax.block_until_ready(run(x))
        jax.effects_barrier()
        assert result.tolist() == (x * 2).tolist()
        assert sorted(seen) == x.tolist()


def test_a_function_without_effects_keeps_its_padded_programs() -> None:
    run = auto_vmap(x=0)(lambda x: x * 2).bucket(promote=None)
    for size in (5, 6, 7, 8):
        run(np.ones(size))
    assert run.stats().compilations == 1
