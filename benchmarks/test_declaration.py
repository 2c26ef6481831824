"""What a declaration costs: a new one, one like one before, and one in a method's body.

The targets: 60 microseconds for a new one, 15 for one like one before, and for a call with its
declaration at most 1.05 of jax_autovmap's; nothing is asserted of times, as a busy machine is no
bug. The column `nest` is `jnp.vectorize` of the same function, or what the case says.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ratios import interleaved

from autovmap import auto_vmap, like, named_vmap

Call = Callable[[], Any]
X = jnp.ones((5, 3))
ROW = X[0]


def total(x: np.ndarray[tuple[int], np.dtype[np.float32]], scale=2.0):
    """The sum of a vector."""
    return scale * x.sum()


def new() -> Any:
    """A function that nobody has declared yet, of a code of its own."""
    code = total.__code__.replace(co_firstlineno=next(LINES))
    function = type(total)(code, total.__globals__, "total", (2.0,))
    function.__doc__ = total.__doc__
    return function


LINES = iter(range(1, 10**9))


class Flow(NamedTuple):
    """A pytree with methods that declare what they use."""

    shift: Any

    @property
    def ndim(self) -> int:
        """How many dims an example has."""
        return 1

    def one(self, x):
        return (x + self.shift).sum()

    def compiled(self, x):
        return auto_vmap(1)(self.one).jit()(x)

    def asked(self, x):
        return auto_vmap(x=lambda self: self.ndim)(self.one).jit()(x)

    def plain(self, x):
        return auto_vmap(1)(self.one)(x)

    def peer(self, x):
        return importlib.import_module("jax_autovmap").autovmap(1)(self.one)(x)

    def vectorized(self, x):
        return jnp.vectorize(self.one, signature="(n)->()")(x)


ALIKE: dict[str, Call] = {
    "by name": lambda: auto_vmap(x=1)(total),
    "by annotations": lambda: auto_vmap(total),
    "like an example": lambda: auto_vmap(x=like(ROW))(total),
    "a pattern": lambda: named_vmap("a [b] -> a")(total),
}
FLOW = Flow(jnp.float32(1))
BARE = jax.jit(jax.vmap(Flow.one, (None, 0)))
BODIES: dict[str, tuple[Call, Call, str]] = {
    "compiled, over a bare jit": (lambda: FLOW.compiled(X), lambda: BARE(FLOW, X), "autovmap"),
    "rank from self, over a fixed one": (
        lambda: FLOW.asked(X),
        lambda: FLOW.compiled(X),
        "autovmap",
    ),
    "plain, over jnp.vectorize": (lambda: FLOW.plain(X), lambda: FLOW.vectorized(X), "autovmap"),
}


def vectorize() -> Any:
    """The same declared to `jnp.vectorize`."""
    return jnp.vectorize(total, signature="(n)->()")


def newly_vectorized() -> Any:
    """The same of a function that is made anew, which takes five microseconds itself."""
    return jnp.vectorize(new(), signature="(n)->()")


def test_new(benchmark, record) -> None:
    case = "a new declaration, over jnp.vectorize"
    record(interleaved(lambda: auto_vmap(x=1)(new()), newly_vectorized, case, "autovmap"))
    benchmark(lambda: auto_vmap(x=1)(new()))


def test_new_by_a_peer(benchmark, record) -> None:
    peer = pytest.importorskip("jax_autovmap").autovmap
    case = "a new declaration, over jnp.vectorize"
    record(interleaved(lambda: peer(x=1)(new()), newly_vectorized, case, "jax_autovmap"))
    benchmark(lambda: peer(x=1)(new()))


@pytest.mark.parametrize("how", ALIKE)
def test_alike(benchmark, record, how: str) -> None:
    assert ALIKE[how]() is ALIKE[how]()
    case = f"a declaration like one before, {how}, over jnp.vectorize"
    record(interleaved(ALIKE[how], vectorize, case, "autovmap", seconds=1.0))
    benchmark(ALIKE[how])


@pytest.mark.parametrize("case", BODIES)
def test_in_a_body(benchmark, record, case: str) -> None:
    """Declared at each call."""
    ours, other, who = BODIES[case]
    np.testing.assert_allclose(ours(), other(), rtol=1e-6)
    record(interleaved(ours, other, f"declared in a method's body: {case}", who))
    benchmark(ours)


def test_in_a_body_over_a_peer(benchmark, record) -> None:
    """Declared at each call, uncompiled: at most 1.05."""
    pytest.importorskip("jax_autovmap")
    case = "declared in a method's body: plain, over jax_autovmap"
    np.testing.assert_allclose(FLOW.plain(X), FLOW.peer(X), rtol=1e-6)
    record(interleaved(lambda: FLOW.plain(X), lambda: FLOW.peer(X), case, "autovmap"))
    benchmark(lambda: FLOW.plain(X))
