"""A fold of the caller's own, by a function of two values."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from autovmap._bind.kinds import is_key
from autovmap._plan.leaf import tuple_text
from autovmap._plan.outputs import block_start
from autovmap._spec.fold import Combine
from autovmap._ways.fold_devices import of_all
from autovmap._ways.fold_parts import Folding, Names, Part, State
from autovmap.errors import SpecError


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

    def in_chunks(self, shapes: Sequence[Any]) -> Folding:
        return self

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
        for i, front in enumerate(fronts):
            self._fits(i, front.shape[block:])
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
            rows = jnp.moveaxis(of_all(array, names), 0, at)
            parts.append(Part(rows, (at,), tuple(range(at, at + kept + 1))))
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
                f"combined pair by pair depends on it; fix the size, or use one of the folds that "
                f"have a name"
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
                    f"{self._function}.reduce(): {self._own!r} makes {structure} out of two of "
                    f"{self._structure}; a function that combines two values must return one of "
                    f"the same structure"
                )
        for value, like in zip(out, one, strict=True):
            if jnp.shape(value) != jnp.shape(like):
                raise SpecError(
                    f"{self._function}.reduce(): {self._own!r} gives an array of shape "
                    f"{jnp.shape(value)} from two of shape {jnp.shape(like)}; a function that "
                    f"combines two values must return one of the same shape"
                )
        return [_strong(x, y.dtype) for x, y in zip(out, one, strict=True)]

    def _neutral(self, i: int, core: Sequence[Any], like: Any) -> Any:
        self._fits(i, core)
        value = jnp.asarray(self._identity[0 if self._alone else i])
        if is_key(value) != is_key(like):
            raise SpecError(
                f"{self._function}.reduce(): the identity of {self._own.name} has dtype "
                f"{value.dtype}, but the output has {like.dtype}; keys are combined with keys"
            )
        value = value if is_key(value) else value.astype(like.dtype)
        return jnp.broadcast_to(value, tuple(core))

    def _fits(self, i: int, core: Sequence[Any]) -> None:
        """Refuse an identity that is not of an example's shape, also where it is not needed."""
        shape = jnp.shape(self._identity[0 if self._alone else i])
        behind = tuple(core)[max(len(core) - len(shape), 0) :]
        fits = len(shape) <= len(core) and all(
            size in (1, whole) for size, whole in zip(shape, behind, strict=True)
        )
        if not fits:
            raise SpecError(
                f"{self._function}.reduce(): the identity of {self._own.name} has shape {shape}, "
                f"but one example's output has shape {tuple_text(tuple(core))}; give a number, or "
                f"an array of that shape"
            )


def _strong(value: Any, dtype: Any = None) -> Any:
    """A value as an array without a weak type, as `jnp`'s reductions give it."""
    array = jnp.asarray(value)
    return lax.convert_element_type(array, array.dtype if dtype is None else dtype)


def _at(value: Any, shape: Sequence[Any], at: int, kept: int) -> Any:
    """A value of one example for every example, whose batch dims begin at `at`."""
    if kept:
        value = lax.expand_dims(value, range(at, at + kept))
    return jnp.broadcast_to(value, tuple(shape))
