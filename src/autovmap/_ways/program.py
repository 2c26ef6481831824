"""The compiled programs that `f.chunk`, `f.shard` and `f.bucket` keep; what is decided first."""

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import jax

from autovmap._bind.binder import Call
from autovmap._bind.kinds import Kind, is_traced, kind_of
from autovmap._bind.leaves import facts
from autovmap._cache import BoundedCache
from autovmap._plan.layers import is_mapped_along
from autovmap._run.grouping import Grouping
from autovmap._spec.spec import Spec
from autovmap._ways.explicit import entries
from autovmap._ways.options import Ways
from autovmap._ways.parts import Parts
from autovmap._ways.split import SEEN, Partition, Split, settings
from autovmap.errors import SpecError

if TYPE_CHECKING:
    from autovmap._ways.bucket_program import Buckets, BucketStats
    from autovmap._ways.chunk_size import Sizing
    from autovmap._ways.fit import Sized

HOST = (Kind.NUMPY, Kind.INT, Kind.NUMBER)
_concrete: set[type] = set()
"""Types of arrays that are no tracers: whether one is told by a type is asked once."""


class Function(Protocol):
    """What is asked of the engine whose calls are run."""

    @property
    def ways(self) -> Ways:
        """How the calls are run."""
        ...

    @property
    def grouping(self) -> Grouping:
        """Where outputs go."""
        ...

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Bind and plan a call."""
        ...

    def run(self, call: Call) -> Any:
        """Run a call as it is."""
        ...

    def run_traced(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: Parts | None,
        state: Any,
        like: Call | None,
    ) -> Any:
        """Run a call in the trace of a program: one that was bound outside, or like it."""
        ...


class Programs:
    """The programs of one function under one set of ways of running."""

    _buckets: "Buckets | None" = None
    _sizing: "Sizing | None" = None
    """Where how many examples run at once is found out, under JAX's settings of the day."""

    def __init__(
        self,
        function: Function,
        spec: Spec,
        static: Sequence[str],
        run_block: Callable[..., Any] | None = None,
    ) -> None:
        """`static` are the parameters that are; `run_block` runs a block of a batch, if any."""
        self._function = function
        self._spec = spec
        self.ways = function.ways
        """How the calls are run."""
        self._grouping = function.grouping
        self._thread = threading.local()
        self._jobs: BoundedCache[Callable[[Split], Any]] = BoundedCache(SEEN)
        """How the calls of one structure, shapes, dtypes and places are run."""
        self._parts: BoundedCache[Parts] = BoundedCache(SEEN)

        def traced(args: Any, kwargs: Any, parts: Parts | None, state: Any) -> Any:
            self._thread.traces = self._traced() + 1
            return function.run_traced(args, kwargs, parts, state, self._call())

        def traced_block(*call: Any) -> Any:
            self._thread.traces = self._traced() + 1
            assert run_block is not None
            return run_block(*call)

        self.partition = Partition(traced, self._spec, static)
        # What only some of the ways use is imported for them alone.
        bucket, chunk = self.ways.bucket, self.ways.chunk
        if bucket is not None:
            from autovmap._ways.bucket_program import Buckets

            blocks = Partition(traced_block, spec, static)
            kept = (self._grouping, self.partition, blocks, self._traced)
            self._buckets = Buckets(spec, bucket, *kept)
        if chunk is not None and not isinstance(chunk.size, int):
            from autovmap._ways.chunk_size import Sizing

            self._sizing = Sizing(spec, self.partition, chunk)
        self._mesh_around = self.ways.shard is not None and self.ways.shard.mesh is None

    def _call(self) -> Call | None:
        """The call that this thread runs for the first time: see `run`."""
        return getattr(self._thread, "call", None)

    def _traced(self) -> int:
        """How many programs were traced in this thread."""
        return getattr(self._thread, "traces", 0)

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a call by its kept program: one like a call before is not bound again."""
        split = key = job = None
        try:
            split = self.partition.split(args, kwargs)
            key = self._job_key(split)
            job = None if key is None else self._jobs.find(key)
        except Exception:  # raised again below, after what is wrong with the call itself
            pass
        if job is not None and split is not None:
            return job(split)
        call = self._function.bind(args, kwargs)
        if call.planned.plan.trivial:
            return self._function.run(call)
        before = self._call()
        self._thread.call = call  # for the traces of its programs: there it is not bound again
        try:
            return self._first(call, split or self.partition.split(args, kwargs), key)
        finally:
            self._thread.call = before

    def _job_key(self, split: Split) -> Hashable:
        """All that what is decided of a call depends on; None where it is not to be kept."""
        key: list[Any] = [split.static]
        for leaf in split.arrays:
            cls = type(leaf)
            kind = kind_of(cls)
            if kind is Kind.ARRAY:
                if cls not in _concrete:  # up to JAX 0.6 a tracer is of this kind too
                    if is_traced(leaf):
                        return None
                    _concrete.add(cls)
                aval = leaf.aval  # its slots are quicker than the array's own properties
                lies = leaf.sharding if leaf.committed else None
                key += (aval.shape, aval.dtype, aval.weak_type, lies)
            elif kind in HOST:
                key += (kind, *facts(leaf))
            else:  # a tracer, or what is looked at in each call
                return None
        if self._sizing is not None:
            key.append(settings())
        if self._mesh_around:
            key.append(jax.sharding.get_abstract_mesh())
        return tuple(key)

    def _first(self, call: Call, split: Split, key: Hashable) -> Any:
        """Run a call that was not seen before, and keep how calls like it are run."""
        job: Callable[[Split], Any]
        if self._buckets is not None:
            job, lasting = self._buckets.job(call, split)
        else:
            parts = self._decided(call, lambda: split)
            chunk = self.ways.chunk
            if chunk is not None and chunk.progress and not any(map(is_traced, split.arrays)):
                from autovmap._ways.host_loop import reported

                plan = call.planned.plan
                return reported(self._spec, self.partition, plan, split, parts, chunk.progress)
            one = self._parts.keep(parts, parts)  # that which JAX keeps, and knows by identity
            program = self.partition.program
            job = lambda split: program(split.static, one, split.arrays, (), ())  # noqa: E731
            lasting = self._sizing is None or self._sizing.is_final(parts, split)
        # JAX's setting on rank promotion is asked for at each call.
        if lasting and key is not None and call.planned.plan.promotion is None:
            self._jobs.put(key, job)
        return job(split)

    def iterate(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[tuple[slice, ...], Any]]:
        """The result of each chunk, with its place in the batch shape."""
        from autovmap._ways.host_loop import iterated

        split = self.partition.split(args, kwargs)
        parts = self._decided(call, lambda: split)
        groups_of = self._grouping.of
        return iterated(self._spec, self.partition, call.planned.plan, split, parts, groups_of)

    def stats(self) -> "BucketStats":
        """A copy of the counts so far."""
        assert self._buckets is not None
        return self._buckets.stats()

    def decide(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Parts:
        """What is decided of a call before its program is looked up."""
        return self._decided(call, lambda: self.partition.split(args, kwargs))

    def _decided(self, call: Call, split: Callable[[], Split]) -> Parts:
        """The same; the arguments are taken apart only where a size depends on them."""
        parts, chunk = self._placed(call), self.ways.chunk
        if chunk is None:
            return parts
        if self._sizing is None:
            assert isinstance(chunk.size, int)
            return replace(parts, examples=chunk.size)
        inner = call.planned.plan if parts.shards is None else parts.shards.inner
        return replace(parts, examples=self._sizing.decide(call, inner, parts, split()))

    def _placed(self, call: Call) -> Parts:
        """What is decided of a call but for how many examples run at once."""
        remat = self.ways.chunk is not None and self.ways.chunk.remat
        if self.ways.shard is None:
            return Parts(remat=remat, sharded=sharded_axes(call))

        from autovmap._ways.shard import plan_shards

        mesh = current_mesh(self.ways.shard.mesh, self._spec.function)
        shards = plan_shards(call.planned.plan, self.ways.shard, dict(mesh.shape))
        return Parts(remat=remat, shards=shards, mesh=mesh)

    def known_size(
        self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> "Sized | None":
        """How many examples run at once, if that is decided."""
        from autovmap._ways.fit import Sized

        if self._sizing is not None:
            return self._sizing.known(self._placed(call), self.partition.split(args, kwargs))
        chunk = self.ways.chunk
        return None if chunk is None or not isinstance(chunk.size, int) else Sized(chunk.size)


def sharded_axes(call: Call) -> tuple[int, ...]:
    """The batch axes along which an argument lies on several devices."""
    plan = call.planned.plan
    found: set[int] = set()
    for place, leaf in zip(call.planned.places, plan.leaves, strict=True):
        array = call.leaves[place]
        spec = getattr(getattr(array, "sharding", None), "spec", ())
        if is_traced(array):  # it lies on no device, but on an Explicit mesh its type tells
            spec = entries(array)
        if not any(spec):
            continue
        for axis in range(-len(plan.batch_shape), 0):
            if is_mapped_along(leaf, axis):
                dim = leaf.array_dim(axis)
                if dim < len(spec) and spec[dim] is not None:
                    found.add(axis)
    return tuple(sorted(found))


def current_mesh(given: Any, function: str) -> Any:
    """The mesh that was given, or else the one that is set.

    Raises:
        SpecError: there is none.
    """
    mesh = given
    if mesh is None:
        mesh = jax.sharding.get_abstract_mesh()
    if mesh is None or not mesh.shape:
        raise SpecError(
            f"{function}.shard(): there is no mesh; give one, as in .shard(..., mesh=...), or set "
            f"one around the call (jax.set_mesh, in older JAX jax.sharding.use_mesh)"
        )
    return mesh
