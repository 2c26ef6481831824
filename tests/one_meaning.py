"""Leaves of every kind, a function that gives each back in several forms, and what is compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

FLOAT0 = jax.dtypes.float0
MESH = jax.sharding.Mesh(jax.devices()[:1], ("d",))


def _silent(done: int, total: int) -> None:
    """Progress that nobody sees."""


WAYS: dict[str, Callable[[Any], Any]] = {
    "loop": lambda f: f.loop(),
    "partition": lambda f: f.jit(partition=True),
    "chunk": lambda f: f.chunk(2),
    "one at a time": lambda f: f.chunk(1),
    "remat": lambda f: f.chunk(3, remat=True),
    "memory": lambda f: f.chunk(memory=64),
    "progress": lambda f: f.chunk(2, progress=_silent),
    "bucket": lambda f: f.bucket(promote=None),
    "promoted": lambda f: f.bucket(promote=1),
    "bucket and chunk": lambda f: f.bucket(promote=None).chunk(2),
    "shard": lambda f: f.shard("d", mesh=MESH),
    "shard and chunk": lambda f: f.chunk(2).shard("d", mesh=MESH),
    "chunk and jit": lambda f: f.chunk(2).jit(partition=True),
    "bucket and shard": lambda f: f.bucket(promote=None).shard("d", mesh=MESH),
}
"""The ways and chains, each of which gives what the plain call gives."""
PLACES = {"shard", "shard and chunk", "bucket and shard"}
"""Those whose result lies where the caller says."""


@jax.tree_util.register_dataclass
@dataclass
class Layer:
    """A model with numbers and a function among its children."""

    w: Any
    on: Any = True
    copies: Any = 2
    act: Any = jnp.tanh


def _counted(shape: tuple[int, ...]) -> Any:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape)


def _weak(shape: tuple[int, ...]) -> Any:
    return jnp.full(shape, 10) + jnp.full(shape, 1)


KINDS: dict[str, tuple[Any, Callable[[tuple[int, ...]], Any]]] = {
    "float32": (0, lambda s: jnp.asarray(_counted(s), "float32")),
    "bfloat16": (0, lambda s: jnp.asarray(_counted(s), "bfloat16")),
    "complex64": (0, lambda s: jnp.asarray(_counted(s), "complex64")),
    "int8": (0, lambda s: jnp.asarray(_counted(s) + 120, "int8")),
    "uint8": (0, lambda s: jnp.asarray(250 + _counted(s) % 5, "uint8")),
    "bool": (0, lambda s: jnp.asarray(_counted(s) % 2 == 0)),
    "weak int": (0, _weak),
    "weak float": (0, lambda s: jnp.full(s, 1.5) * 1.0),
    "vector": (1, lambda s: jnp.asarray(_counted((*s, 2)), "float32")),
    "weak vector": (1, lambda s: _weak((*s, 2))),
    "numpy": (0, lambda s: np.asarray(_counted(s), "float32")),
    "numpy double": (0, lambda s: np.asarray(_counted(s), "float64")),
    "numpy bfloat16": (0, lambda s: np.asarray(_counted(s), ml_dtypes.bfloat16)),
    "float0": (0, lambda s: np.zeros(s, FLOAT0)),
    "committed": (
        0,
        lambda s: jax.device_put(np.asarray(_counted(s), "float32"), jax.devices()[0]),
    ),
    "weak committed": (0, lambda s: jax.device_put(_weak(s), jax.devices()[0])),
    "key": ("key", lambda s: jax.random.split(jax.random.key(1), s)),
    "raw key": ("key", lambda s: jax.random.split(jax.random.PRNGKey(1), s)),
    "number": (0, lambda s: 3),
    "bool number": (0, lambda s: False),
    "static": (0, lambda s: "cos"),
    "function": (0, lambda s: jnp.cos),
    "module": (
        {"w": 0, ...: None},
        lambda s: Layer(jnp.asarray(_counted(s), "float32"), on=False),
    ),
}
"""A base rank, and a value of a batch shape."""


def forms(kind: str, leaf: Any, shared: Any) -> Any:
    """What a function makes of one example's leaf: as it is, and together with others."""
    if kind in ("key", "raw key"):
        return {"key": leaf, "draw": jax.random.uniform(leaf)}
    if kind == "module":
        act = leaf.act(leaf.w) if leaf.on else leaf.w
        return {"y": jnp.tile(act, leaf.copies), "model": leaf}
    if kind in ("static", "function", "float0"):
        return {"as it is": leaf}
    if isinstance(leaf, (int, float)):
        return {"as it is": leaf, "branch": jnp.zeros(2) if leaf else jnp.ones(leaf + 2)}
    alike = {"as it is": leaf, "with a number": leaf * 2, "with a weak one": leaf + shared["weak"]}
    return {**alike, "with a byte": leaf + shared["byte"], "shape": leaf.ndim, "weak": 1.5}


def function(tree: dict[str, Any], shared: Any = None, fn: Any = jnp.negative) -> Any:
    """Each leaf in several forms, and what no argument has a part in."""
    found = {kind: forms(kind, leaf, shared) for kind, leaf in tree.items()}
    return found, {"alone": jnp.arange(2), "text": "x", "none": None, "fn": fn(shared["weak"])}


def arguments(batches: dict[str, tuple[int, ...]]) -> tuple[Any, Any]:
    """A tree of leaves of these kinds and batch shapes, and a tree that is not mapped."""
    tree = {kind: KINDS[kind][1](batch) for kind, batch in batches.items()}
    return tree, {"weak": jnp.full((), 2), "byte": jnp.uint8(3), "number": 2, "text": "shared"}


def ranks(kinds: Any) -> dict[str, Any]:
    """The base rank of each leaf of such a tree."""
    return {kind: KINDS[kind][0] for kind in kinds}


def traits(leaf: Any, place: bool) -> Any:
    """All of a leaf that a caller can see: type, shape, dtype, weak type, value, placement."""
    if isinstance(leaf, (np.ndarray, jax.Array)) and leaf.dtype == FLOAT0:
        return ("float0", leaf.shape)
    if not isinstance(leaf, jax.Array):
        return (type(leaf), leaf)
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    where = (leaf.committed, leaf.devices()) if place else None
    weak = jax.typeof(leaf).weak_type if data is leaf else None
    value = np.asarray(data).tolist()
    return (leaf.shape, str(leaf.dtype), weak, value, where)


def assert_same(result: Any, expected: Any, place: bool = True) -> None:
    """Compare two results in all that a caller can see; `place`: where they lie, too.

    One program commits all of its results if one of its arguments is committed, as JAX's do.
    """
    structures = jax.tree.structure(result), jax.tree.structure(expected)
    assert structures[0] == structures[1], f"another structure: {structures}"
    leaves = jax.tree.leaves(expected)
    bound = any(isinstance(leaf, jax.Array) and leaf.committed for leaf in leaves)
    both = zip(jax.tree_util.tree_leaves_with_path(result), leaves, strict=True)
    for (path, leaf), wanted in both:
        free = place and not (bound and not getattr(wanted, "committed", True))
        one, other = traits(leaf, free), traits(wanted, free)
        assert one == other, f"result{jax.tree_util.keystr(path)} is {one}, but {other}"
