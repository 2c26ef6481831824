"""What the laws are tried on: random arguments and the specs that rank them.

Arguments are drawn as descriptions (`Item`, `Node`), so that hypothesis can print and shrink them;
values are built from these. A `Case` adds the function, the decoration and the call.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from functions import TEMPLATES, Recipe, recipes
from oracle import Expected, Rank, loop

CORES = {0: [()], 1: [(2,), (1,), (0,)], 2: [(2, 3), (3, 1)], 3: [(2, 1, 3), (1, 2, 2)]}
DTYPES = ["float32", "float16", "bfloat16", "int32", "uint8", "bool", "complex64", "int4"]
NUMBERS = [2, 0.5, True, 1.5j]
MOST_EXAMPLES = 36


def cases(share: float = 1.0) -> settings:
    """The profile's number of cases, times `share`."""
    return settings(max_examples=max(1, int(settings().max_examples * share)))


class Pair(NamedTuple):
    """A named tuple."""

    x: Any
    y: Any


@jax.tree_util.register_dataclass
@dataclass
class Point:
    """A dataclass that JAX knows."""

    x: Any
    y: Any
    unit: str = field(default="m", metadata={"static": True})


class Module(eqx.Module):
    """An equinox module with a static field."""

    x: Any
    y: Any
    size: int = eqx.field(static=True, default=3)


RECORDS: dict[str, type[Any]] = {"namedtuple": Pair, "dataclass": Point, "module": Module}
MAPPINGS = ["dict", "ordered", "default"]


@dataclass(frozen=True)
class Item:
    """A leaf: its kind and dtype, its core and batch shape, its rank; `salt` varies the values."""

    kind: str
    dtype: str
    core: tuple[int, ...]
    batch: tuple[int, ...]
    rank: Rank
    salt: int = 0

    @property
    def ranks(self) -> list[Rank]:
        """The rank of each leaf, in JAX's order."""
        return [] if self.kind == "none" else [self.rank]

    def build(self) -> Any:
        """The leaf's value."""
        if self.kind == "none":
            return None
        if self.kind == "str":
            return "text"
        if self.kind == "number":
            return NUMBERS[self.salt % len(NUMBERS)]
        if self.kind == "key":
            key = jax.random.key(self.salt)
            return jax.random.split(key, self.batch) if self.batch else key
        shape = self.batch + self.core
        if self.kind == "raw":
            data = np.arange(np.prod(shape, dtype=int), dtype=np.uint32) + self.salt
            return jnp.asarray(data.reshape(shape))
        if self.kind == "weak":
            return jnp.broadcast_to(jnp.asarray(self.salt + 0.5), shape)
        values = np.random.default_rng(self.salt).integers(0, 8, shape)
        if self.kind == "jnp":
            return jnp.asarray(values, dtype=self.dtype)
        array = np.asarray(values).astype(jnp.dtype(self.dtype))
        return array[()] if self.kind == "scalar" else array


@dataclass(frozen=True)
class Node:
    """A container: its kind, and its children by name (for a sequence the names do not matter)."""

    kind: str
    children: tuple[tuple[str, "Tree"], ...]

    @property
    def ranks(self) -> list[Rank]:
        """The rank of each leaf, in JAX's order: dicts go by sorted key, the others as they are."""
        children = self.children
        if self.kind in ("dict", "default"):
            children = tuple(sorted(children, key=lambda child: child[0]))
        return [rank for _, child in children for rank in child.ranks]

    def build(self) -> Any:
        """The container's value."""
        return container(self.kind, {name: child.build() for name, child in self.children})


Tree = Item | Node


def container(kind: str, children: Mapping[str, Any]) -> Any:
    """A container with these children."""
    if kind in RECORDS:
        return RECORDS[kind](*children.values())
    if kind == "dict":
        return dict(children)
    if kind == "ordered":
        return OrderedDict(children)
    if kind == "default":
        return defaultdict(float, children)
    return list(children.values()) if kind == "list" else tuple(children.values())


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, ...]:
    """The batch shape of a call: up to 4 dims, not too many examples."""
    ndim = draw(st.sampled_from([1, 2, 2, 3, 3, 4, 0]))
    sizes = draw(st.lists(st.sampled_from([2, 3, 2, 1, 0, 3]), min_size=ndim, max_size=ndim))
    while np.prod(sizes, dtype=int) > MOST_EXAMPLES:
        sizes = sizes[1:]
    return tuple(sizes)


@st.composite
def parts(draw: st.DrawFn, batch: tuple[int, ...]) -> tuple[int, ...]:
    """The batch shape of one leaf: some dims missing, some 1."""
    kept = draw(st.sampled_from([*range(len(batch) + 1), len(batch), len(batch)]))
    one_in_four = st.sampled_from([False, False, False, True])
    stretched = draw(st.lists(one_in_four, min_size=kept, max_size=kept))
    own = batch[len(batch) - kept :]
    return tuple(1 if one else size for size, one in zip(own, stretched, strict=True))


@st.composite
def items(draw: st.DrawFn, batch: tuple[int, ...], inside: bool) -> Item:
    """A leaf. Inside a container it may also be None, a string, or unmapped."""
    kinds = ["jnp"] * 6 + ["np", "np", "weak", "key", "raw", "number", "scalar"]
    kind = draw(st.sampled_from(kinds + (["none", "str", "unmapped"] if inside else [])))
    salt = draw(st.integers(0, 3))
    if kind in ("none", "str"):
        return Item(kind, "", (), (), draw(st.sampled_from([None, 0])), salt)
    if kind == "number":
        return Item(kind, "", (), (), 0, salt)
    own = () if kind == "scalar" else draw(parts(batch))
    if kind == "key":
        return Item(kind, "", (), own, draw(st.sampled_from(["key", 0])), salt)
    if kind == "raw":
        return Item(kind, "", (2,), own, "key", salt)
    rank = 0 if kind == "scalar" else draw(st.integers(0, 3))
    dtype = draw(st.sampled_from(DTYPES))
    core = draw(st.sampled_from(CORES[rank]))
    if kind == "unmapped":
        return Item("jnp", dtype, core, (), None, salt)
    return Item(kind, dtype, core, own, rank, salt)


@st.composite
def trees(draw: st.DrawFn, batch: tuple[int, ...], depth: int = 2) -> Tree:
    """An argument: a leaf, or containers of leaves."""
    if depth == 0 or draw(st.booleans()):
        return draw(items(batch, inside=depth < 2))
    kind = draw(st.sampled_from([*MAPPINGS, "tuple", "list", *RECORDS]))
    if kind in RECORDS:
        names = ["x", "y"]
    else:
        names = draw(st.permutations(["u", "v", "w"]))[: draw(st.sampled_from([2, 1, 3, 0]))]
    return Node(kind, tuple((name, draw(trees(batch, depth - 1))) for name in names))


@st.composite
def specs(draw: st.DrawFn, tree: Tree) -> Any:
    """A spec that says the ranks of a tree: a prefix of it, the whole, or dicts by field."""
    ranks = set(tree.ranks)
    if isinstance(tree, Item):
        return tree.rank
    if len(ranks) == 1 and draw(st.booleans()):
        return ranks.pop()
    children = {name: draw(specs(child)) for name, child in tree.children}
    kind = tree.kind
    if kind in MAPPINGS:
        # Keys are matched by name: any order, any mapping type.
        names = draw(st.permutations(list(children)))
        return container(draw(st.sampled_from(MAPPINGS)), {n: children[n] for n in names})
    if kind in RECORDS and draw(st.booleans()):
        return dict(reversed(children.items()))
    return container(kind, children)


@dataclass(frozen=True)
class Case:
    """A function for one example, how to decorate it, a call, and every leaf's rank."""

    template: str
    recipe: Recipe
    ranks: tuple[tuple[Any, ...], dict[str, Any]]
    args: tuple[Tree, ...]
    kwargs: dict[str, Tree]
    default: Tree | None = None
    """The value of the last parameter, which the call leaves out."""
    extra: Any = None
    """An unranked argument of any type, passed last."""

    def function(self) -> Callable[..., Any]:
        """The plain function."""
        default = None if self.default is None else self.default.build()
        return TEMPLATES[self.template](self.recipe, default)

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the call."""
        kwargs = {name: tree.build() for name, tree in self.kwargs.items()}
        if self.template == "unranked":
            kwargs["extra"] = self.extra
        return [tree.build() for tree in self.args], kwargs

    def expected(self) -> Expected:
        """What the loop gives."""
        args, kwargs = self.call()
        ranks = {name: tree.ranks for name, tree in self.kwargs.items()} | {"extra": None}
        if self.default is not None:
            kwargs["second"] = self.default.build()
            ranks["second"] = self.default.ranks
        return loop(self.function(), [tree.ranks for tree in self.args], args, ranks, kwargs)


EXTRAS = ["text", None, 3, {1: "a", "b": object}, [1, "a"], len, float, np.ones(2), {1, 2}]


@st.composite
def generic(draw: st.DrawFn) -> Case:
    """A function that mixes its leaves, under each kind of signature."""
    template = draw(st.sampled_from(sorted(TEMPLATES)))
    batch = draw(batches())
    recipe = draw(recipes())
    if template in ("star", "keywords"):
        return draw(variadic(template, batch, recipe))
    first, second = draw(trees(batch)), draw(trees(batch))
    one, two = draw(specs(first)), draw(specs(second))
    names = ("out_axes", "strict") if template == "options" else ("first", "second")
    ranks = ((), dict(zip(names, (one, two), strict=True)))
    if template == "options":
        ranks = ((), {"ranks": ranks[1]})
    elif template != "keyword" and draw(st.booleans()):
        ranks = ((one, two), {})
    extra = draw(st.sampled_from(EXTRAS))
    if template == "default" and draw(st.booleans()):
        return Case(template, recipe, ranks, (first,), {}, second, extra)
    if template == "keyword" or (template != "only" and draw(st.booleans())):
        named = {names[1]: second}
        if draw(st.booleans()):
            return Case(template, recipe, ranks, (), named | {names[0]: first}, None, extra)
        return Case(template, recipe, ranks, (first,), named, None, extra)
    return Case(template, recipe, ranks, (first, second), {}, None, extra)


@st.composite
def variadic(draw: st.DrawFn, template: str, batch: tuple[int, ...], recipe: Recipe) -> Case:
    """A call of a function with `*rest` or `**rest`."""
    first = draw(trees(batch))
    ranks = {"first": draw(specs(first))}
    if template == "keywords" and draw(st.booleans()):
        names = draw(st.permutations(["p", "q"]))[: draw(st.integers(0, 2))]
        values = {name: draw(trees(batch)) for name in names}
        ranks["rest"] = {name: draw(specs(tree)) for name, tree in values.items()}
        return Case(template, recipe, ((), ranks), (first,), values)
    # One rank covers each of the values.
    rank = draw(st.integers(0, 3))
    core = draw(st.sampled_from(CORES[rank]))
    rest = [
        Item("jnp", draw(st.sampled_from(DTYPES)), core, draw(parts(batch)), rank, n)
        for n in range(draw(st.integers(0, 3)))
    ]
    ranks["rest"] = rank
    if template == "star":
        return Case(template, recipe, ((), ranks), (first, *rest), {})
    named = {f"p{n}": item for n, item in enumerate(rest)}
    return Case(template, recipe, ((), ranks), (first,), named)
