"""The law: however a call is run, it gives what a loop over the examples gives."""

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autovmap import auto_vmap
from functions import REAL, REAL_CORES
from oracle import compare, loop
from strategies import Case, batches, cases, generic, parts

COUNT = itertools.count(1)

MESH = jax.sharding.Mesh(jax.devices()[:1], ("d",))

WAYS = {
    "loop": lambda f: f.loop(),
    "shard": lambda f: f.shard("d", mesh=MESH),
    "chunk and shard": lambda f: f.shard("d", mesh=MESH).chunk(2),
    "jit": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "one at a time": lambda f: f.chunk(1),
    "three and remat": lambda f: f.chunk(3, remat=True),
    "chunk and jit": lambda f: f.chunk(2).jit(partition=True),
    "progress": lambda f: f.chunk(2, progress=lambda done, total: None),
    "bucket": lambda f: f.bucket(promote=None),
}


@pytest.mark.parametrize("way", ["jit", "chunk", "one at a time", "bucket"])
@cases(0.06)
@given(case=generic())
def test_generic_functions_equal_the_loop(way: str, case: Case) -> None:
    # Compiled, a function sees tracers where a plain call hands it Python numbers.
    # What has no rank must hash or be traced there: test_jit.py has its own tests of that.
    assume(case.template != "unranked")
    assume(all(kind != "probe" for kind, *_ in case.recipe.outputs))
    if next(COUNT) % 200 == 0:
        jax.clear_caches()
    positions, options = case.ranks
    args, kwargs = case.call()
    run: Any = WAYS[way](auto_vmap(*positions, **options)(case.function()))
    compare(run(*args, **kwargs), case.expected(), compiled=way == "jit")


@pytest.mark.parametrize("name", REAL)
@cases(0.02)
@given(data=st.data(), way=st.sampled_from(sorted(WAYS)))
def test_real_functions_equal_the_loop(name: str, data: st.DataObject, way: str) -> None:
    function, ranks = REAL[name]
    batch = data.draw(batches())
    shapes = [data.draw(parts(batch)) for _ in ranks]
    assume("shard" not in way or np.broadcast_shapes(*shapes))  # over the first batch axis
    rng = np.random.default_rng(len(batch))
    args = [
        jax.random.split(jax.random.key(1), shape)
        if rank == "key"
        else jax.numpy.asarray(rng.uniform(1, 5, shape + REAL_CORES[rank]), "float32")
        for rank, shape in zip(ranks, shapes, strict=True)
    ]
    run: Any = WAYS[way](auto_vmap(*ranks)(function))
    expected = loop(function, [[rank] for rank in ranks], args)
    compare(run(*args), expected, compiled="jit" in way)
