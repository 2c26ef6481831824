"""One call of `f.jit()`, over a bare `jax.jit` of the nest of `jax.vmap` written by hand.

The target is 1.05 by position, 1.12 by keyword and with static arguments, 1.6 with partition.
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from ratios import interleaved

from autovmap import auto_vmap

X = jnp.ones((5, 3))
S, V, M = jnp.ones(4), jnp.ones((7, 1, 1, 3)), jnp.ones((5, 1, 3, 3))
TREE = {f"leaf{i:02}": jnp.ones((5, 3)) for i in range(20)}


def foo(s, v, m):
    return v @ m @ v + s * v.size


def powered(x, power: int = 1):
    return x.sum() ** power


def total(tree):
    return sum(leaf.sum() for leaf in tree.values())


@jax.tree_util.register_pytree_node_class
@dataclass
class Model:
    """A pytree with a method."""

    w: Any

    @auto_vmap(x=1)
    def decorated(self, x):
        return jnp.tanh(self.w @ x)

    compiled = decorated.jit()

    def plain(self, x):
        return jnp.tanh(self.w @ x)

    def tree_flatten(self):
        return (self.w,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def cases():
    """Name, ours, the floor."""
    f = auto_vmap(x=1)(powered)
    nest = jax.vmap(powered, (0, None))
    static, bare = f.jit(), jax.jit(nest, static_argnames="power")
    plain = jax.jit(jax.vmap(lambda x: x.sum()))
    ours = auto_vmap(x=1)(lambda x: x.sum()).jit()
    yield "one batch dim", lambda: ours(X), lambda: plain(X)
    more = auto_vmap(x=1)(lambda x: x.sum()).jit()
    more(X[:2])
    yield "one batch dim, after another shape", lambda: more(X), lambda: plain(X)

    mixed = auto_vmap(s=0, v=1, m=2)(foo).jit()
    by_hand = jax.vmap(foo, (0, None, None))
    by_hand = jax.vmap(jax.vmap(by_hand, (None, None, 0)), (None, 0, None))
    floor = jax.jit(lambda s, v, m: by_hand(s, v[:, 0, 0], m[:, 0]))
    yield "three batch dims, mixed", lambda: mixed(S, V, M), lambda: floor(S, V, M)
    named = auto_vmap(s=0, v=1, m=2)(lambda s, v, m: foo(s, v, m)).jit()
    yield "keywords", lambda: named(s=S, v=V, m=M), lambda: floor(S, V, M)
    yield (
        "keywords, over keywords",
        lambda: named(s=S, v=V, m=M),
        lambda: floor(s=S, v=V, m=M),
    )

    leaves, bare_leaves = auto_vmap(tree=1)(total).jit(), jax.jit(jax.vmap(total))
    yield "a pytree of 20 leaves", lambda: leaves(TREE), lambda: bare_leaves(TREE)
    yield "a static argument", lambda: static(X, 2), lambda: plain(X)
    yield "a static argument, over one", lambda: static(X, 2), lambda: bare(X, 2)

    model = Model(jnp.ones((3, 3)))
    bound, method = model.decorated.jit(), jax.jit(jax.vmap(Model.plain, (None, 0)))
    yield "a method, kept", lambda: bound(X), lambda: method(model, X)
    yield "a method, looked up", lambda: model.compiled(X), lambda: method(model, X)

    mlp = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    apart = auto_vmap(x=1)(lambda mlp, x: mlp(x)).jit(partition=True)
    arrays, statics = eqx.partition(mlp, eqx.is_array)
    bare_mlp = jax.jit(lambda arrays, x: jax.vmap(eqx.combine(arrays, statics))(x))
    yield "partition", lambda: apart(mlp, X), lambda: bare_mlp(arrays, X)
    filtered = eqx.filter_jit(lambda mlp, x: jax.vmap(mlp)(x))
    yield "equinox: partition", lambda: filtered(mlp, X), lambda: bare_mlp(arrays, X)


@pytest.mark.parametrize(("name", "ours", "floor"), [pytest.param(*c, id=c[0]) for c in cases()])
def test_jitted_call(benchmark, record, name, ours, floor) -> None:
    who = "equinox.filter_jit" if name.startswith("equinox") else "autovmap"
    record(interleaved(ours, floor, f"jit: {name}", who))
    benchmark(ours)


def layer(x):
    return jnp.tanh(x) * x.sum()


def test_tracing(benchmark, record) -> None:
    """20 calls in one program, through `f.jit()`: traced once. The target is 0.25."""
    x = jnp.ones((5, 4, 3))
    nest = jax.vmap(jax.vmap(layer))

    def traced(call):
        def program(x):
            for _ in range(20):
                x = call(x)
            return x

        return jax.make_jaxpr(program)(x)

    def anew():
        ours = auto_vmap(x=1)(layer).jit()
        return traced(ours)

    record(interleaved(anew, lambda: traced(nest), "jit: tracing 20 calls", "autovmap"))
    benchmark(anew)
