"""One call that is not compiled, over the same nest of `jax.vmap` written by hand and built once.

What is compiled is no question: under `jax.jit` the program is the nest's own, which
`tests/compose/test_no_repeated_work.py` shows. Here is what the Python around it costs. The
target is 1.05; nothing is asserted of times, as a busy machine is no bug.
"""

import jax
import numpy as np
import pytest
from calls import CASES, Case, asked, peer_call, tracing
from ratios import interleaved

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
PEERS = [pytest.param(case, who, id=f"{case.name}, {who}") for case in CASES for who in case.peers]


def same(one, other) -> None:
    """What is compared gives the same values."""
    np.testing.assert_allclose(one(), other(), rtol=1e-6)


def test_noise(benchmark, record) -> None:
    """The nest against itself: how far from 1 a ratio is by chance."""
    nest = CASES[0].nest
    record(interleaved(nest, lambda: nest(), "the nest itself", "control"))
    benchmark(nest)


@by_case
def test_call(benchmark, record, case: Case) -> None:
    same(case.ours, case.nest)
    record(interleaved(case.ours, case.nest, case.name, "autovmap"))
    benchmark(case.ours)


@pytest.mark.parametrize(("case", "who"), PEERS)
def test_peer(benchmark, record, case: Case, who: str) -> None:
    call = peer_call(case, who)
    same(call, case.nest)
    record(interleaved(call, case.nest, case.name, who, seconds=1.0))
    benchmark(call)


@pytest.mark.parametrize("case", [case for case in CASES if case.plan], ids=lambda case: case.name)
def test_plan(benchmark, record, case: Case) -> None:
    """`f.plan` is worked out anew at each call; its ratio is to one call of the nest."""
    assert (
        case.plan().batch_shape == jax.eval_shape(case.nest).shape[: len(case.plan().batch_shape)]
    )
    record(interleaved(case.plan, case.nest, case.name, "autovmap, .plan()", seconds=1.0))
    benchmark(case.plan)


def test_rank_from_self(benchmark, record) -> None:
    """A rank that the object tells, over a fixed one: at most 1.05."""
    ours, fixed = asked()
    same(ours, fixed)
    record(interleaved(ours, fixed, "a rank from self, over a fixed one", "autovmap"))
    benchmark(ours)


def test_tracing(benchmark, record) -> None:
    ours, nest = tracing()
    assert len(ours().eqns) == len(nest().eqns)
    record(interleaved(ours, nest, "tracing 20 calls in one program", "autovmap"))
    benchmark.pedantic(ours, rounds=20)
