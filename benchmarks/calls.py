"""What is timed: one function a case, decorated, nested by hand, and through the peers."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from autovmap import auto_vmap

Call = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One function on one set of arguments: a name, the two that are compared, and the peers.

    A peer is a module's name and a function of that module that makes the call.
    """

    name: str
    ours: Call
    nest: Call
    peers: dict[str, tuple[str, Callable[[Any], Call]]]
    plan: Call | None = None


def foo(s: Any, v: Any, m: Any) -> Any:
    """The example of the README."""
    return v @ m @ v + s * v.size


def one_batch_dim() -> Case:
    """`v` (5, 3) and `m` (5, 3, 3)."""
    s, v, m = 2.0, jnp.ones((5, 3)), jnp.ones((5, 3, 3))
    ours = auto_vmap(s=0, v=1, m=2)(foo)
    nest = jax.vmap(foo, in_axes=(None, 0, 0))

    def vectorize(module: Any) -> Call:
        function = module.vectorize(foo, signature="(),(n),(n,n)->()")
        return lambda: function(s, v, m)

    def autovmap(module: Any) -> Call:
        function = module.autovmap(s=0, v=1, m=2)(foo)
        return lambda: function(s, v, m)

    def filter_vmap(module: Any) -> Call:
        function = module.filter_vmap(foo, in_axes=(None, 0, 0))
        return lambda: function(s, v, m)

    def einx(module: Any) -> Call:
        function = module.adapt_with_vmap(foo)
        scalar = jnp.float32(s)
        return lambda: function(", a [n], a [n m] -> a", scalar, v, m)

    return Case(
        "one batch dim",
        ours=lambda: ours(s, v, m),
        nest=lambda: nest(s, v, m),
        peers={
            "jnp.vectorize": ("jax.numpy", vectorize),
            "jax_autovmap": ("jax_autovmap", autovmap),
            "equinox.filter_vmap": ("equinox", filter_vmap),
            "einx": ("einx.jax", einx),
        },
        plan=lambda: ours.plan(s, v, m),
    )


def jitted() -> Case:
    """The same with a function that is under `jax.jit`, and so quick that all else shows."""
    s, v, m = 2.0, jnp.ones((5, 3)), jnp.ones((5, 3, 3))
    ours = auto_vmap(s=0, v=1, m=2)(jax.jit(foo))
    nest = jax.vmap(jax.jit(foo), in_axes=(None, 0, 0))
    return Case(
        "one batch dim, a jitted function",
        ours=lambda: ours(s, v, m),
        nest=lambda: nest(s, v, m),
        peers={},
    )


def three_mixed_dims() -> Case:
    """Batch shape (7, 5, 4): `s` (4,), `v` (7, 1, 1, 3), `m` (5, 1, 3, 3)."""
    s, v, m = jnp.ones(4), jnp.ones((7, 1, 1, 3)), jnp.ones((5, 1, 3, 3))
    ours = auto_vmap(s=0, v=1, m=2)(foo)
    nest = jax.vmap(foo, in_axes=(0, None, None))
    nest = jax.vmap(nest, in_axes=(None, None, 0))
    nest = jax.vmap(nest, in_axes=(None, 0, None))

    def vectorize(module: Any) -> Call:
        function = module.vectorize(foo, signature="(),(n),(n,n)->()")
        return lambda: function(s, v, m)

    def autovmap(module: Any) -> Call:
        function = module.autovmap(s=0, v=1, m=2)(foo)
        return lambda: function(s, v, m)

    def einx(module: Any) -> Call:
        function = module.adapt_with_vmap(foo)
        pattern = "c, a 1 1 [n], b 1 [n m] -> a b c"
        return lambda: function(pattern, s, v, m)

    return Case(
        "three batch dims, mixed",
        ours=lambda: ours(s, v, m),
        # Someone who writes the nest by hand takes the sizes of 1 away in the cheapest way.
        nest=lambda: nest(s, lax.squeeze(v, (1, 2)), lax.squeeze(m, (1,))),
        peers={
            "jnp.vectorize": ("jax.numpy", vectorize),
            "jax_autovmap": ("jax_autovmap", autovmap),
            "einx": ("einx.jax", einx),
        },
        plan=lambda: ours.plan(s, v, m),
    )


def twenty_leaves() -> Case:
    """A dict of 20 vectors, each (5, 3)."""
    tree = {f"leaf{i:02}": jnp.ones((5, 3)) for i in range(20)}

    def total(tree: Any) -> Any:
        return sum(leaf.sum() for leaf in tree.values())

    ours = auto_vmap(tree=1)(total)
    nest = jax.vmap(total)

    def autovmap(module: Any) -> Call:
        function = module.autovmap(tree=1)(total)
        return lambda: function(tree)

    def filter_vmap(module: Any) -> Call:
        function = module.filter_vmap(total)
        return lambda: function(tree)

    return Case(
        "a pytree of 20 leaves",
        ours=lambda: ours(tree),
        nest=lambda: nest(tree),
        peers={
            "jax_autovmap": ("jax_autovmap", autovmap),
            "equinox.filter_vmap": ("equinox", filter_vmap),
        },
        plan=lambda: ours.plan(tree),
    )


class Model:
    """A model with a method, decorated and plain."""

    def __init__(self) -> None:
        self.w = jnp.ones((3, 3))

    def plain(self, x: Any) -> Any:
        """One example."""
        return jnp.tanh(self.w @ x)

    @auto_vmap(x=1)
    def decorated(self, x: Any) -> Any:
        """Any batch."""
        return jnp.tanh(self.w @ x)

    @auto_vmap(x=lambda self: self.w.ndim - 1)
    def asked(self, x: Any) -> Any:
        """The same, of the rank that the object tells."""
        return jnp.tanh(self.w @ x)


def method() -> Case:
    """`x` (5, 3), and a matrix that the object holds."""
    model, x = Model(), jnp.ones((5, 3))
    nest = jax.vmap(model.plain)

    def filter_vmap(module: Any) -> Call:
        function = module.filter_vmap(model.plain)
        return lambda: function(x)

    return Case(
        "a method",
        ours=lambda: model.decorated(x),
        nest=lambda: nest(x),
        peers={"equinox.filter_vmap": ("equinox", filter_vmap)},
        plan=lambda: model.decorated.plan(x),
    )


def asked() -> tuple[Call, Call]:
    """A method whose object tells the rank, and the same of a fixed rank."""
    model, x = Model(), jnp.ones((5, 3))
    return lambda: model.asked(x), lambda: model.decorated(x)


CASES = (one_batch_dim(), jitted(), three_mixed_dims(), twenty_leaves(), method())


def traced(call: Callable[[Any], Any], x: Any) -> Call:
    """Tracing 20 calls inside one jit, anew each time."""

    def trace() -> Any:
        def program(x: Any) -> Any:
            for _ in range(20):
                x = call(x)
            return x

        return jax.make_jaxpr(program)(x)

    return trace


def layer(x: Any) -> Any:
    """What is called 20 times in a row."""
    return jnp.tanh(x) * x.sum()


def tracing() -> tuple[Call, Call]:
    """20 calls of a decorated function, and of the nest, traced."""
    x = jnp.ones((5, 4, 3))
    ours = auto_vmap(x=1)(layer)
    nest = jax.vmap(jax.vmap(layer))
    return traced(ours, x), traced(nest, x)


def peer_call(case: Case, who: str) -> Call:
    """A peer's call; skips the test where the peer is not installed."""
    import pytest

    module, make = case.peers[who]
    pytest.importorskip(module)
    return make(importlib.import_module(module))
