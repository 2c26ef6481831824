"""One leaf under a rank: its shape, parted into batch dims and core dims."""

import re
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from autovmap._spec.ranks import CoreDim
from autovmap.errors import RankError

Dim: TypeAlias = Any
"""A size: an int, or a symbolic dim."""
Shape: TypeAlias = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf that can be mapped.

    `position` is where its block of batch dims begins, counted in core dims. `offset` is how
    many batch axes of the call lie to the right of the block. Batch dims that are no block are
    said one by one, by `placed`.

    >>> Leaf("x", (7, 5, 3), "float32", 1).axes
    (-2, -1, None)
    """

    path: str
    shape: Shape
    dtype: str
    rank: int
    position: int = 0
    key: bool = False
    offset: int = 0
    dims: tuple[CoreDim, ...] = ()
    """What is known of the core dims, if anything is."""
    fixed: bool = False
    """Whether it can't be squeezed (a Ref), and so is mapped along an axis of size 1 too."""
    placed: tuple[tuple[int | None, Dim], ...] | None = None
    """For each dim, once the plan's first steps are done: its batch axis (None: core), its size."""

    holder: str = ""
    """For messages: the type that holds it, if it lies deep inside of its argument."""

    @property
    def named(self) -> str:
        """Its path; of one deep inside of an argument, the argument first, and what holds it."""
        if not self.holder:
            return self.path
        return f"{root(self.path)} (at {self.path}, in a {self.holder})"

    @property
    def batch_ndim(self) -> int:
        """How many batch dims it has."""
        return len(self.shape if self.placed is None else self.placed) - self.rank

    @property
    def axes(self) -> tuple[int | None, ...]:
        """For each dim the batch axis of the call that it lies along, None for a core dim."""
        if self.placed is not None:
            return tuple(axis for axis, _ in self.placed)
        block = range(-self.batch_ndim - self.offset, -self.offset)
        return (*(None,) * self.position, *block, *(None,) * (self.rank - self.position))

    @property
    def sizes(self) -> Shape:
        """The size of each of these dims."""
        return self.shape if self.placed is None else tuple(size for _, size in self.placed)

    @property
    def batch(self) -> Shape:
        """Its batch shape."""
        if self.placed is not None:
            return tuple(size for axis, size in self.placed if axis is not None)
        return self.shape[self.position : len(self.shape) - self.rank + self.position]

    @property
    def core(self) -> Shape:
        """The shape of one example."""
        if self.placed is not None:
            return tuple(size for axis, size in self.placed if axis is None)
        return self.shape[: self.position] + self.shape[self.position + self.batch_ndim :]

    def size(self, axis: int) -> Dim | None:
        """Its size along a batch axis of the call (-1 is the last), or None where it has none."""
        if self.placed is not None:
            return next((size for own, size in self.placed if own == axis), None)
        ndim = len(self.shape) - self.rank
        index = ndim + self.offset + axis
        return self.shape[self.position + index] if 0 <= index < ndim else None

    def array_dim(self, axis: int) -> int:
        """The dim that lies along a batch axis which the leaf has."""
        if self.placed is not None:
            return self.axes.index(axis)
        return self.position + self.batch_ndim + self.offset + axis


def root(path: str) -> str:
    """The argument that a path begins at.

    >>> root("params['w'][0]"), root("self.w"), root("rest[0].b")
    ('params', 'self', 'rest')
    """
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def describe(leaf: Leaf) -> str:
    """A leaf's dtype and shape as JAX writes them.

    >>> describe(Leaf("x", (5, 3), "float32", 1))
    'float32[5,3]'
    """
    return array_text(leaf.dtype, leaf.shape)


def array_text(dtype: str, shape: Shape) -> str:
    """A dtype and a shape as JAX writes them together."""
    return f"{dtype}[{shape_text(shape)}]"


def shape_text(shape: Shape) -> str:
    """A shape's dims with commas between them."""
    return ",".join(str(dim) for dim in shape)


def account(leaf: Leaf) -> str:
    """A leaf in a line: path, dtype and shape, base rank, batch shape."""
    return (
        f"{leaf.path}: {describe(leaf)}, base rank {leaf.rank}, "
        f"batch shape {tuple_text(leaf.batch)}"
    )


def tuple_text(shape: Shape) -> str:
    """A shape as Python writes a tuple, symbolic dims by their names.

    >>> tuple_text((5,)), tuple_text((5, 3))
    ('(5,)', '(5, 3)')
    """
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def checked_leaf(leaf: Leaf, position: int, function: str, hint: str = "") -> Leaf:
    """The leaf with its block of batch dims at `position`, or an error if it can't sit there."""
    if leaf.batch_ndim < 0:
        dims = ", ".join(map(str, leaf.dims))
        named = (
            f": it does not have enough dimensions for all core dimensions ({dims})" if dims else ""
        )
        number = list_hint(leaf.path) if not leaf.shape else ""
        if leaf.dtype.startswith("key<"):
            raise RankError(
                f"{function}(): {leaf.named} is {describe(leaf)}, of rank {len(leaf.shape)}, below "
                f"its base rank {leaf.rank}{named}; a typed PRNG key is one element, and its rank "
                f'is "key"'
            )
        raise RankError(
            f"{function}(): {leaf.named} is {describe(leaf)}, of rank {len(leaf.shape)}, below its "
            f"base rank {leaf.rank}{named}; pass an array with at least {dims_text(leaf.rank)}, or "
            f"declare a lower base rank{number}{hint}"
        )
    start = position if position >= 0 else leaf.rank + 1 + position
    if not 0 <= start <= leaf.rank:
        raise RankError(
            f"{function}(): in_axes puts the batch dims of {leaf.path} at {position}, but it is "
            f"{describe(leaf)} of base rank {leaf.rank}; give a position from {-leaf.rank - 1} to "
            f"{leaf.rank}"
        )
    return replace(leaf, position=start)


def dims_text(count: int) -> str:
    """So many dims, in words.

    >>> dims_text(1), dims_text(2)
    ('1 dim', '2 dims')
    """
    return f"{count} dim{'s' * (count != 1)}"


def list_hint(path: str) -> str:
    """What to do about a number that stands in a list: to JAX a list is a pytree, no array.

    >>> list_hint("x[0]")
    '; if x is a list of numbers, pass one array instead: jnp.asarray(x)'
    """
    found = re.fullmatch(r"(.*)\[\d+\]", path)
    if found is None:
        return ""
    whole = re.sub(r"(\[\d+\])+$", "", found[1])
    return f"; if {whole} is a list of numbers, pass one array instead: jnp.asarray({whole})"


def looks_like_raw_key(leaf: Leaf) -> bool:
    """Whether it may be a raw PRNG key that was ranked as a number."""
    return (
        leaf.rank == 0
        and leaf.dtype == "uint32"
        and len(leaf.shape) > 0
        and bool(leaf.shape[-1] == 2 or leaf.shape[-1] == 4)
    )


def key_hint(leaf: Leaf) -> str:
    """What to do if a leaf is a raw PRNG key after all."""
    return (
        f"If {leaf.path} is a raw PRNG key (uint32[{leaf.shape[-1]}] for one key), its rank is "
        f'"key", not 0.'
    )
