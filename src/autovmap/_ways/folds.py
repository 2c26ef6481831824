"""The folds themselves: what is kept while examples are folded, and what comes of it.

Each fold keeps a state, some arrays without the folded dims. `part` makes one of a part of the
batch, `merge` one of two, `done` the output; `whole` is all of it at once, by `jnp`'s function.
"""

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._plan.outputs import block_start
from autovmap._spec.fold import Combine, Fold
from autovmap.errors import SpecError

State: TypeAlias = tuple[Any, ...]
Dims: TypeAlias = tuple[int, ...]
Names: TypeAlias = tuple[Hashable, ...]
"""Mesh axes."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """An output of a part of the batch: which of its dims are folded, which are batch dims."""

    array: Any
    dims: Dims
    batch: Dims
    mask: Any = None
    """Which examples count, in a shape that broadcasts to the array's; None: all."""


class Folding(Protocol):
    """What a fold does to outputs that are folded as one: one, or those that `combine` takes."""

    def whole(self, parts: Sequence[Part]) -> Sequence[Any]:
        """The outputs folded, all at once and each once."""
        ...

    def start(self, shapes: Sequence[Any]) -> State:
        """The state of no example, for outputs of these shapes and dtypes without folded dims."""
        ...

    def part(self, parts: Sequence[Part]) -> State:
        """The state of a part of the batch."""
        ...

    def merge(self, one: State, other: State) -> State:
        """The state of two parts, in their order."""
        ...

    def everywhere(self, state: State, names: Names) -> State:
        """The state of what all devices along some mesh axes have folded."""
        ...

    def done(self, state: State, shapes: Sequence[Any], count: Any, times: Any) -> Sequence[Any]:
        """The outputs: of `count` examples, each of which counts so many times."""
        ...


def result_dtype(name: str, dtype: Any) -> Any:
    """The dtype that `jnp`'s function gives to arrays of this one."""
    return jax.eval_shape(FUNCTIONS[name], jax.ShapeDtypeStruct((1,), dtype)).dtype


def wide(dtype: Any) -> Any:
    """The dtype to add up in: float32 for the floats of 16 bits and less, as `jnp` does."""
    small = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits <= 16
    return np.dtype(np.float32) if small else dtype


def lowest(dtype: Any) -> Any:
    """What is below every value of a dtype."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return np.asarray(complex(-np.inf, -np.inf), dtype)
    if jnp.issubdtype(dtype, jnp.inexact):
        return np.asarray(-np.inf).astype(dtype)
    return np.asarray(False if jnp.issubdtype(dtype, jnp.bool_) else jnp.iinfo(dtype).min, dtype)


def highest(dtype: Any) -> Any:
    """What is above every value of a dtype."""
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return np.asarray(complex(np.inf, np.inf), dtype)
    if jnp.issubdtype(dtype, jnp.inexact):
        return np.asarray(np.inf).astype(dtype)
    return np.asarray(True if jnp.issubdtype(dtype, jnp.bool_) else jnp.iinfo(dtype).max, dtype)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": jnp.sum,
    "mean": jnp.mean,
    "max": jnp.max,
    "min": jnp.min,
    "prod": jnp.prod,
    "any": jnp.any,
    "all": jnp.all,
    "logsumexp": jax.nn.logsumexp,
}


ADDED_UP = ("sum", "mean", "prod")
"""The folds that round at each step, and so are kept in a wide dtype."""


class Monoid:
    """A fold of one array with one array as its state: all named ones but logsumexp."""

    def __init__(self, name: str, merge: Callable[[Any, Any], Any], identity: Any) -> None:
        self.name = name
        self._merge = merge
        self._identity = identity
        """The value that changes nothing, or a function from a dtype to it."""

    def _state_dtype(self, dtype: Any) -> Any:
        found = result_dtype(self.name, dtype)
        return wide(found) if self.name in ADDED_UP else found

    def _neutral(self, dtype: Any) -> Any:
        found = self._identity(dtype) if callable(self._identity) else self._identity
        return np.asarray(found).astype(dtype)

    def whole(self, parts: Sequence[Part]) -> Sequence[Any]:
        return [FUNCTIONS[self.name](parts[0].array, axis=parts[0].dims)]

    def start(self, shapes: Sequence[Any]) -> State:
        dtype = self._state_dtype(shapes[0].dtype)
        return (lax.full(shapes[0].shape, self._neutral(dtype), dtype),)

    def part(self, parts: Sequence[Part]) -> State:
        dims, mask = parts[0].dims, parts[0].mask
        array = jnp.asarray(parts[0].array)
        dtype = self._state_dtype(array.dtype)
        if self.name in ("any", "all"):
            array = array.astype(bool)
        if mask is not None:
            array = jnp.where(mask, array, self._neutral(array.dtype))
        if self.name in ADDED_UP:
            function = jnp.prod if self.name == "prod" else jnp.sum
            return (function(array, axis=dims, dtype=dtype),)
        return (FUNCTIONS[self.name](array, axis=dims),)

    def merge(self, one: State, other: State) -> State:
        return (self._merge(one[0], other[0]),)

    def everywhere(self, state: State, names: Names) -> State:
        (array,) = state
        reduce = ALL_REDUCE.get(self.name)
        if reduce is None or (jnp.iscomplexobj(array) and reduce is not lax.psum):
            parts = lax.all_gather(array, names)  # there is no such collective
            return self.part([Part(parts, (0,), (0,))])
        if array.dtype == jnp.bool_:
            return (reduce(array.astype(jnp.int32), names).astype(jnp.bool_),)
        return (reduce(array, names),)

    def done(self, state: State, shapes: Sequence[Any], count: Any, times: Any) -> Sequence[Any]:
        (array,) = state
        dtype = result_dtype(self.name, shapes[0].dtype)
        if isinstance(times, int) and times == 0:
            return [self._of_none(array.shape, shapes[0].dtype)]
        if self.name == "mean":
            array = lax.div(array, lax.full(array.shape, jnp.asarray(count).astype(array.dtype)))
        elif self.name == "sum" and not _is_one(times):
            array = array * jnp.asarray(times).astype(array.dtype)
        elif self.name == "prod" and not _is_one(times):
            array = lax.integer_pow(array, times) if isinstance(times, int) else array**times
        return [lax.convert_element_type(array, dtype)]

    def _of_none(self, shape: tuple[Any, ...], dtype: Any) -> Any:
        return FUNCTIONS[self.name](jnp.zeros((0, *shape), dtype), axis=0)


class LogSumExp:
    """`jax.nn.logsumexp`, with the largest value so far and the sum relative to it as its state."""

    def whole(self, parts: Sequence[Part]) -> Sequence[Any]:
        return [jax.nn.logsumexp(parts[0].array, axis=parts[0].dims)]

    def start(self, shapes: Sequence[Any]) -> State:
        dtype = wide(result_dtype("logsumexp", shapes[0].dtype))
        real = np.zeros((), dtype).real.dtype
        shape = shapes[0].shape
        return lax.full(shape, np.asarray(-np.inf, real)), lax.full(shape, np.zeros((), dtype))

    def part(self, parts: Sequence[Part]) -> State:
        dims, mask = parts[0].dims, parts[0].mask
        array = jnp.asarray(parts[0].array)
        array = array.astype(wide(result_dtype("logsumexp", array.dtype)))
        if mask is not None:
            array = jnp.where(mask, array, -np.inf)
        most = lax.stop_gradient(jnp.max(array.real, axis=dims, initial=-np.inf))
        scaled = lax.exp(array - lax.expand_dims(_finite(most), dims).astype(array.dtype))
        return most, jnp.sum(scaled, axis=dims)

    def merge(self, one: State, other: State) -> State:
        most = lax.max(one[0], other[0])
        at = _finite(most)
        sums = [s * lax.exp(m - at).astype(s.dtype) for m, s in (one, other)]
        return most, sums[0] + sums[1]

    def everywhere(self, state: State, names: Names) -> State:
        most = lax.pmax(lax.stop_gradient(state[0]), names)
        scale = lax.exp(state[0] - _finite(most)).astype(state[1].dtype)
        return most, lax.psum(state[1] * scale, names)

    def done(self, state: State, shapes: Sequence[Any], count: Any, times: Any) -> Sequence[Any]:
        most, total = state
        dtype = result_dtype("logsumexp", shapes[0].dtype)
        if isinstance(times, int) and times == 0:
            return [jax.nn.logsumexp(jnp.zeros((0, *total.shape), dtype), axis=0)]
        total = total if jnp.issubdtype(dtype, jnp.complexfloating) else lax.abs(total)
        array = lax.log(total) + _finite(most).astype(total.dtype)
        if not _is_one(times):
            array = array + jnp.log(jnp.asarray(times).astype(most.dtype)).astype(array.dtype)
        return [lax.convert_element_type(array, dtype)]


def _finite(most: Any) -> Any:
    """Where nothing is finite, nothing is to be subtracted."""
    return jnp.where(jnp.isfinite(most), most, 0)


def _is_one(times: Any) -> bool:
    return isinstance(times, int) and times == 1


class Combining:
    """A fold of the caller's own, of neighbours pair by pair, so that the order is kept.

    Args:
        own: what combines two values, each of one example's shape.
        position: where the block of batch dims sits in each array: see `Group`.
        kept: how many batch dims are left of it.
        function: the function's name, for messages.
    """

    def __init__(self, own: Combine, position: int, kept: int, function: str) -> None:
        self._own = own
        self._position = position
        self._kept = kept
        self._function = function
        self._identity, self._structure = jax.tree.flatten(own.identity)
        self._alone = jax.tree_util.treedef_is_leaf(self._structure)

    def whole(self, parts: Sequence[Part]) -> Sequence[Any]:
        return self.part(parts)

    def start(self, shapes: Sequence[Any]) -> State:
        kept = self._kept
        starts = [block_start(self._position, len(x.shape), kept) for x in shapes]
        return tuple(
            _at(self._neutral(i, x.shape[:at] + x.shape[at + kept :], x), x.shape, at, kept)
            for i, (x, at) in enumerate(zip(shapes, starts, strict=True))
        )

    def part(self, parts: Sequence[Part]) -> State:
        fronts = [jnp.moveaxis(_strong(p.array), p.batch, range(len(p.batch))) for p in parts]
        block, first = len(parts[0].batch), parts[0].batch[:1]
        folded = [d - first[0] for d in parts[0].dims]
        for i, part in enumerate(parts):
            if part.mask is not None:
                mask = jnp.broadcast_to(part.mask, jnp.shape(part.array))
                mask = jnp.moveaxis(mask, part.batch, range(block))
                core = fronts[i].shape[block:]
                fronts[i] = jnp.where(mask, fronts[i], self._neutral(i, core, fronts[i]))
        for dim in sorted(folded, reverse=True):
            fronts = self._along(fronts, dim, block)
            block -= 1
        ends = [p.batch[0] if p.batch else 0 for p in parts]
        return tuple(
            jnp.moveaxis(x, range(block), range(at, at + block))
            for x, at in zip(fronts, ends, strict=True)
        )

    def merge(self, one: State, other: State) -> State:
        kept = self._kept
        starts = [block_start(self._position, x.ndim, kept) for x in one]
        to_front = [
            [jnp.moveaxis(x, range(at, at + kept), range(kept)) for x, at in zip(s, starts)]  # noqa: B905
            for s in (one, other)
        ]
        out = self._combined(to_front[0], to_front[1], kept)
        return tuple(
            jnp.moveaxis(x, range(kept), range(at, at + kept))
            for x, at in zip(out, starts, strict=True)
        )

    def everywhere(self, state: State, names: Names) -> State:
        # The devices' states, in their order, are one batch dim more, in front of each block.
        kept = self._kept
        parts: list[Part] = []
        for array in state:
            at = block_start(self._position, array.ndim, kept)
            gathered = lax.all_gather(array, names, axis=at)
            parts.append(Part(gathered, (at,), tuple(range(at, at + kept + 1))))
        return self.part(parts)

    def done(self, state: State, shapes: Sequence[Any], count: Any, times: Any) -> Sequence[Any]:
        if not isinstance(times, int):
            return self._counted(state, shapes, times)
        found = self.start(shapes) if times == 0 else None
        while times:
            if times % 2:
                found = state if found is None else self.merge(found, state)
            times //= 2
            state = self.merge(state, state) if times else state
        return found or state

    def one_by_one(self, parts: Sequence[Part]) -> Sequence[Any]:
        """The outputs folded by calls with one real example after the other.

        All batch dims are in front.
        """
        block = len(parts[0].batch)
        shape = jnp.shape(parts[0].array)[:block]
        dims = parts[0].dims
        kept = [size for dim, size in enumerate(shape) if dim not in dims]
        found: dict[tuple[int, ...], list[Any]] = {}
        for index in itertools.product(*map(range, shape)):
            at = tuple(i for dim, i in enumerate(index) if dim not in dims)
            example = [_strong(part.array[index]) for part in parts]
            found[at] = self._example(found[at], example) if at in found else example
        if not found:
            return self.part(parts)
        columns = zip(*found.values(), strict=True)
        return [jnp.stack(x).reshape((*kept, *jnp.shape(x[0]))) for x in columns]

    def _counted(self, state: State, shapes: Sequence[Any], times: Any) -> State:
        """So many times, where only the running program knows how many."""

        def step(carry: Any) -> Any:
            times, found, power = carry
            more = self.merge(found, power)
            found = tuple(jnp.where(times % 2, a, b) for a, b in zip(more, found, strict=True))
            return times // 2, found, self.merge(power, power)

        carry = (jnp.asarray(times), self.start(shapes), state)
        return lax.while_loop(lambda carry: carry[0] > 0, step, carry)[1]

    def _along(self, arrays: Sequence[Any], dim: int, block: int) -> list[Any]:
        """The arrays folded along one batch dim."""
        size = arrays[0].shape[dim]
        if not isinstance(size, int):
            raise SpecError(
                f"{self._function}.reduce(): batch size {size} is symbolic, and how examples are "
                f"combined pair by pair depends on it; fix the size, or take one of the folds "
                f"that have a name"
            )
        if size == 0:
            return [
                _at(self._neutral(i, x.shape[block:], x), x.shape[:dim] + x.shape[dim + 1 :], 0, 0)
                for i, x in enumerate(arrays)
            ]
        arrays = list(arrays)
        while size > 1:
            even = size - size % 2
            pairs = [[lax.slice_in_dim(x, first, even, 2, dim) for x in arrays] for first in (0, 1)]
            rest = [lax.slice_in_dim(x, even, size, 1, dim) for x in arrays]
            arrays = self._combined(*pairs, block)
            if size % 2:
                both = zip(arrays, rest, strict=True)
                arrays = [lax.concatenate([x, y], dim) for x, y in both]
            size = -(-size // 2)
        return [lax.squeeze(x, (dim,)) for x in arrays]

    def _combined(self, one: Sequence[Any], other: Sequence[Any], batch: int) -> list[Any]:
        """Two values each, of as many batch dims in front."""
        combine = self._example
        for _ in range(batch):
            combine = jax.vmap(combine)
        return combine(list(one), list(other))

    def _example(self, one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
        if self._alone:
            out = [self._own.combine(a, b) for a, b in zip(one, other, strict=True)]
        else:
            trees = [jax.tree.unflatten(self._structure, list(x)) for x in (one, other)]
            out, structure = jax.tree.flatten(self._own.combine(*trees))
            if structure != self._structure:
                raise SpecError(
                    f"{self._function}.reduce(): {self._own!r} gives {structure} from two of "
                    f"{self._structure}; what combines two values gives one of their kind"
                )
        for value, like in zip(out, one, strict=True):
            if jnp.shape(value) != jnp.shape(like):
                raise SpecError(
                    f"{self._function}.reduce(): {self._own!r} gives an array of shape "
                    f"{jnp.shape(value)} from two of shape {jnp.shape(like)}; what combines two "
                    f"values gives one of their shape"
                )
        return [_strong(x, y.dtype) for x, y in zip(out, one, strict=True)]

    def _neutral(self, i: int, core: Sequence[Any], like: Any) -> Any:
        value = self._identity[0 if self._alone else i]
        return jnp.broadcast_to(jnp.asarray(value).astype(like.dtype), tuple(core))


def _strong(value: Any, dtype: Any = None) -> Any:
    """A value as an array without a weak type, as `jnp`'s reductions give it."""
    array = jnp.asarray(value)
    return lax.convert_element_type(array, array.dtype if dtype is None else dtype)


def _at(value: Any, shape: Sequence[Any], at: int, kept: int) -> Any:
    """A value of one example for every example, whose batch dims begin at `at`."""
    if kept:
        value = lax.expand_dims(value, range(at, at + kept))
    return jnp.broadcast_to(value, tuple(shape))


ALL_REDUCE: dict[str, Callable[..., Any]] = {
    "sum": lax.psum,
    "mean": lax.psum,
    "max": lax.pmax,
    "any": lax.pmax,
    "min": lax.pmin,
    "all": lax.pmin,
}
"""The collective that finishes a fold over devices, where there is one."""

NAMED: dict[str, Folding] = {
    "sum": Monoid("sum", lax.add, 0),
    "mean": Monoid("mean", lax.add, 0),
    "max": Monoid("max", lax.max, lowest),
    "min": Monoid("min", lax.min, highest),
    "prod": Monoid("prod", lax.mul, 1),
    "any": Monoid("any", lax.bitwise_or, False),
    "all": Monoid("all", lax.bitwise_and, True),
    "logsumexp": LogSumExp(),
}


def folding(fold: Fold, position: int, kept: int, function: str) -> Folding:
    """What does a fold."""
    if isinstance(fold, Combine):
        return Combining(fold, position, kept, function)
    return NAMED[fold]


def leaves_at_once(fold: Fold) -> int:
    """How many outputs are folded as one value."""
    return len(jax.tree.leaves(fold.identity)) if isinstance(fold, Combine) else 1
