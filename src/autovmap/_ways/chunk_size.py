"""How many examples a chunk has, where the caller gave no number: what fits, what is quickest."""

import math
import os
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import jax

from autovmap._bind.binder import Call
from autovmap._bind.kinds import Kind, is_traced, kind_of
from autovmap._cache import BoundedCache
from autovmap._frames import warn
from autovmap._plan.layers import is_mapped_along
from autovmap._plan.plan import CallPlan
from autovmap._spec.spec import Spec
from autovmap._ways.chunk import plan_chunks, refuse_symbolic
from autovmap._ways.fit import BETWEEN, Sized, candidates, diverges, fitting, quickest
from autovmap._ways.options import Chunk
from autovmap._ways.parts import Parts
from autovmap._ways.split import Partition, Split
from autovmap.errors import SpecError

SIZES = 1024
"""For how many plans a chunk's size is kept."""
UNKNOWN_SIZE = 1024
"""How many examples at once where nothing tells what a program needs."""
UNKNOWN_MEMORY = 2**30
"""Bytes for `chunk("auto")` where nothing tells what memory is free."""
SHARE = 0.5
"""The part of the free memory that `chunk("auto")` lets a program's temporaries take."""
CACHES = (2**22, 2**25)
"""Bytes of temporary memory that stay in a CPU's caches: those of a core, those of a chip."""
SAMPLE = 2**28
"""Bytes of temporary memory of the part of a batch that sizes are timed on."""
ROUNDS = 3
MOST_ROUNDS, SHORT = 1000, 0.3
"""Short calls are timed in so many rounds at most, for so many seconds about."""
LONG = 1.0
"""Seconds after which a size is not timed again."""
BUDGET = 3.0
"""Seconds that timing sizes of diverging examples may take, about, beside compiling."""
DEAR = 5.0
"""Seconds of compiling after which only one at a time and all at once are tried."""
TELLING = 1.0
"""Seconds of timing from which on a line says what is going on."""


class Sizing:
    """The sizes of the chunks of one function."""

    def __init__(self, spec: Spec, partition: Partition, asked: Chunk) -> None:
        self._spec = spec
        self._partition = partition
        self._asked = asked
        self._sizes: BoundedCache[Sized] = BoundedCache(SIZES)

    def known(self, parts: Parts, split: Split) -> Sized | None:
        """What was decided for such a call, by a call or `.tune`."""
        return self._sizes.get((split.key(), parts))

    def is_final(self, parts: Parts, split: Split) -> bool:
        """Whether a later call of one program has nothing to add to how many run at once."""
        known = self.known(replace(parts, examples=None), split)
        return known is not None and known.final

    def decide(self, call: Call, plan: CallPlan, parts: Parts, split: Split) -> int:
        """How many examples run at once: worked out once for all calls of one program.

        Args:
            call: the call.
            plan: its plan, or that of one device's part.
            parts: what else was decided of it.
            split: its arguments.
        """
        key = (split.key(), parts)
        found = self._sizes.get(key)
        if found is not None and (found.final or not self._timeable(call, parts)):
            return found.examples
        refuse_symbolic(plan, "chunk")
        total = math.prod(int(layer.size) for layer in plan.layers)
        sized = self._sized(call, total, parts, split) if total else Sized(1)
        self._sizes.put(key, sized)
        return sized.examples

    def _sized(self, call: Call, total: int, parts: Parts, split: Split) -> Sized:
        needs = self._needs(parts, split)
        fits = fitting(total, needs, self._bound())
        if fits is None:
            warn(
                f"{self._spec.function}.chunk(): this backend does not report how much memory a "
                f"program needs, so {UNKNOWN_SIZE} examples run at once; give a number: "
                f".chunk({UNKNOWN_SIZE})"
            )
            return Sized(UNKNOWN_SIZE)
        if self._asked.memory is not None or fits == 1:
            return Sized(fits)
        diverging = self._diverges(parts, split)
        in_caches = (needs(fits) or 0) <= CACHES[-1] or jax.default_backend() != "cpu"
        if in_caches and not diverging:
            return Sized(fits)
        if not self._timeable(call, parts):
            return Sized(fits, final=False)
        if self._has_effects(parts, split):
            return Sized(fits)
        if diverging:
            return self._quickest_apart(call, total, fits, parts)
        return self._quickest(call, total, fits, parts, needs)

    def _needs(self, parts: Parts, split: Split) -> Callable[[int], int | None]:
        """The temporaries, in bytes, of the program for so many examples at once."""
        structs = split.structs()
        known: dict[int, int | None] = {}

        def needs(examples: int) -> int | None:
            if examples not in known:
                more = replace(parts, examples=examples)
                lowered = self._partition.program.lower(split.static, more, structs, (), ())
                known[examples] = _temporaries(lowered.compile())
            return known[examples]

        return needs

    def _bound(self) -> int:
        if self._asked.memory is not None:
            return self._asked.memory
        stats = jax.local_devices()[0].memory_stats()
        if stats and "bytes_limit" in stats:
            return int(SHARE * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
        return int(SHARE * _host_memory())

    def _timeable(self, call: Call, parts: Parts) -> bool:
        """Whether sizes can be timed: real arrays, on one device."""
        return (
            parts.shards is None
            and not parts.sharded
            and not any(
                is_traced(x) or kind_of(type(x)) is Kind.STRUCT
                for x in jax.tree.leaves((call.args, call.kwargs))
            )
        )

    def _has_effects(self, parts: Parts, split: Split) -> bool:
        """Whether the function does more than compute, so that it must not run once more."""
        return bool(self._jaxpr(parts, split).effects)

    def _jaxpr(self, parts: Parts, split: Split) -> Any:
        return self._partition.program.trace(split.static, parts, split.arrays, (), ()).jaxpr

    def _diverges(self, parts: Parts, split: Split) -> bool:
        """Whether examples at once may wait for each other: see `diverges`."""
        try:
            alone = self._jaxpr(replace(parts, examples=1), split)
        except SpecError:  # a named axis keeps its examples together
            return False
        return diverges(alone, self._jaxpr(replace(parts, examples=None), split))

    def _quickest_apart(self, call: Call, total: int, fits: int, parts: Parts) -> Sized:
        """Time one example at a time, all at once, and sizes between, on the call's arguments.

        All at once is timed first, on the whole batch if it fits, as the call would run it: what
        that takes tells whether the others are timed on a part of the batch, and how many are.
        """
        started = time.perf_counter()
        args, kwargs, sample = _part(call, fits)
        first = self._seconds(args, kwargs, parts, sample)
        again = self._seconds(args, kwargs, parts, sample)
        sizes = candidates(1, sample, first - again < DEAR)
        share = BUDGET / (again * len(sizes) * ROUNDS)
        if share < 1 and sample > BETWEEN[-1]:
            args, kwargs, sample = _part(call, max(BETWEEN[-1], int(sample * share)))
            sizes = candidates(1, sample, first - again < DEAR)
        if time.perf_counter() - started > TELLING or again * len(sizes) > TELLING:
            shown = ", ".join(map(str, reversed(sizes)))
            print(
                f'{self._spec.function}.chunk("auto"): timing {shown} examples at once, '
                f"as examples may take different branches or numbers of steps; this is done once",
                file=sys.stderr,
            )
        timed = self._timed(args, kwargs, parts, sizes)
        best = quickest(timed)
        chosen = fits if best == sample else best
        return Sized(chosen, tuple(sorted(timed.items())), sample, diverging=True)

    def _seconds(self, args: Any, kwargs: Any, parts: Parts, examples: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(self._partition.run(args, kwargs, replace(parts, examples=examples)))
        return time.perf_counter() - start

    def _timed(
        self, args: Any, kwargs: Any, parts: Parts, sizes: Collection[int]
    ) -> dict[int, float]:
        """The least seconds that each size took in turn: of a few rounds, of many if short."""
        for size in sizes:
            self._seconds(args, kwargs, parts, size)  # compiled, and its memory touched
        timed = {size: self._seconds(args, kwargs, parts, size) for size in sizes}
        # Short calls are disturbed by all that goes on beside them, and cost little to repeat.
        rounds = max(ROUNDS, min(MOST_ROUNDS, int(SHORT / max(sum(timed.values()), 1e-9))))
        for _ in range(1, rounds):
            for size in sizes:
                if timed[size] < LONG:
                    timed[size] = min(timed[size], self._seconds(args, kwargs, parts, size))
        return timed

    def _quickest(
        self, call: Call, total: int, fits: int, parts: Parts, needs: Callable[[int], int | None]
    ) -> Sized:
        """Time what stays in the caches and what fits memory, on a part of the batch."""
        sample = min(total, fits, max(1, int(fits * SAMPLE / max(needs(fits) or 1, 1))))
        args, kwargs, sample = _part(call, sample)
        sizes = {fitting(sample, needs, bound) or 1 for bound in CACHES} | {sample}

        timed = self._timed(args, kwargs, parts, sizes)
        best = quickest(timed)
        return Sized(fits if best == sample else best, tuple(sorted(timed.items())), sample)


def _part(call: Call, examples: int) -> tuple[tuple[Any, ...], dict[str, Any], int]:
    """The arguments of the first examples of a call, at most so many, and how many they are."""
    plan = call.planned.plan
    chunks = plan_chunks(plan, examples)
    rows = [call.leaves[place] for place in call.planned.places]
    for split in chunks.splits:
        for i, leaf in enumerate(plan.leaves):
            if is_mapped_along(leaf, split.axis):
                index = [slice(None)] * rows[i].ndim
                index[leaf.array_dim(split.axis)] = slice(split.step)
                rows[i] = rows[i][tuple(index)]
    args, kwargs = call.arguments(rows)
    return tuple(args), kwargs, chunks.examples


def _host_memory() -> int:
    """The bytes of memory that the host has free, where it tells."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return UNKNOWN_MEMORY


def _temporaries(compiled: Any) -> int | None:
    """The bytes that a compiled program needs beside arguments and results."""
    try:
        return int(compiled.memory_analysis().temp_size_in_bytes)
    except Exception:  # what a backend without the analysis raises is its own business
        return None
