"""The folds that have a name: what is kept while examples are folded, and what comes of it.

Each fold keeps a state, some arrays without the folded dims. `part` makes one of a part of the
batch, `merge` one of two, `done` the output; `whole` is all of it at once, by `jnp`'s function.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from autovmap._spec.fold import Combine, Fold
from autovmap._ways.fold_devices import greatest, is_small, least, of_all
from autovmap._ways.fold_own import Combining
from autovmap._ways.fold_parts import Folding, Names, Part, State


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


EXACT = 1 << 16
"""The bytes of a sum up to which what rounding loses is kept beside it, chunk by chunk.

Of a large one, as the gradients of a model are, this would be as much memory again.
"""


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

    def in_chunks(self, shapes: Sequence[Any]) -> Folding:
        dtype = self._state_dtype(shapes[0].dtype)
        size: Any = math.prod(shapes[0].shape)  # which a symbolic dim may make no int
        floats = self.name in ("sum", "mean") and jnp.issubdtype(dtype, jnp.inexact)
        if not floats or not isinstance(size, int) or size * dtype.itemsize > EXACT:
            return self
        return Added(self.name, self._merge, self._identity)

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
            # What is true is for jnp to say: of a complex number it reads the real part alone.
            array = FUNCTIONS[self.name](lax.expand_dims(array, (0,)), axis=0)
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
            return self.part([Part(of_all(array, names), (0,), (0,))])
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


class Added(Monoid):
    """A sum or mean of floats in chunks: its state is the sum, and what rounding has lost of it.

    So many small chunks add up as well as `jnp.sum` adds, which adds pairs and not one by one.
    """

    def start(self, shapes: Sequence[Any]) -> State:
        return self._with_loss(super().start(shapes)[0])

    def part(self, parts: Sequence[Part]) -> State:
        return self._with_loss(super().part(parts)[0])

    def merge(self, one: State, other: State) -> State:
        a, b = map(lax.stop_gradient, (one[0], other[0]))
        added = (a + b) - a
        lost = (a - ((a + b) - added)) + (b - added)
        lost = jnp.where(jnp.isfinite(lost), lost, 0)  # inf - inf, where the sum is inf
        return one[0] + other[0], one[1] + other[1] + lost

    def everywhere(self, state: State, names: Names) -> State:
        return self._with_loss(super().everywhere((state[0] + state[1],), names)[0])

    def done(self, state: State, shapes: Sequence[Any], count: Any, times: Any) -> Sequence[Any]:
        return super().done((state[0] + state[1],), shapes, count, times)

    def _with_loss(self, array: Any) -> State:
        return array, lax.full_like(array, 0)


class LogSumExp:
    """`jax.nn.logsumexp`, with the largest value so far and the sum relative to it as its state."""

    def in_chunks(self, shapes: Sequence[Any]) -> Folding:
        return self

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
        sums = [_relative(m, total, most) for m, total in (one, other)]
        return most, sums[0] + sums[1]

    def everywhere(self, state: State, names: Names) -> State:
        both = jnp.stack([state[0].astype(state[1].dtype), state[1]])
        if not is_small(both, names):
            most = lax.pmax(lax.stop_gradient(state[0]), names)
            return most, lax.psum(_relative(state[0], state[1], most), names)
        rows = of_all(both, names)
        each = lax.stop_gradient(rows[:, 0].real)
        most = jnp.max(each, axis=0)
        return most, jnp.sum(_relative(each, rows[:, 1], most), axis=0)

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


def _relative(most: Any, total: Any, to: Any) -> Any:
    """A sum relative to a largest value, relative to another one, which is no smaller."""
    scale = jnp.where(most == to, 1, lax.exp(most - to))  # inf - inf is nan
    if jnp.iscomplexobj(total):  # in a product of complex numbers inf * 0 would be nan
        return lax.complex(total.real * scale, total.imag * scale)
    return total * scale


def _finite(most: Any) -> Any:
    """Where nothing is finite, nothing is to be subtracted."""
    return jnp.where(jnp.isfinite(most), most, 0)


def _is_one(times: Any) -> bool:
    return isinstance(times, int) and times == 1


ALL_REDUCE: dict[str, Callable[..., Any]] = {
    "sum": lax.psum,
    "mean": lax.psum,
    "max": greatest,
    "any": lax.pmax,
    "min": least,
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
