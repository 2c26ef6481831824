"""The ways to run a decorated function; a way never changes what a call means."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast

from autovmap._bind.binder import Call
from autovmap._cache import BoundedCache
from autovmap._function.meaning import Meaning
from autovmap._ways.jit import Jitted, make_jitted, told_of
from autovmap._ways.options import (
    Ways,
    read_bucket,
    read_chunk,
    read_shard,
    refuse_jit,
)
from autovmap._ways.program import BucketStats
from autovmap.errors import SpecError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Running(Meaning[P, R]):
    """A decorated function in a loop, compiled, in chunks, in buckets, over a mesh."""

    _ways: Ways
    _kept: Any
    _jitted: BoundedCache[Jitted[..., Any]]

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], run: bool = True) -> Call:
        raise NotImplementedError

    def loop(self) -> Self:
        """The same by a Python loop that calls the plain function on real examples.

        For `print`, `pdb` and checking: results and structure are those of the vmapped call, and
        an exception says at which example it was raised.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(x=0)
        ... def show(x):
        ...     print(float(x))
        ...     return -x
        >>> show.loop()(jnp.array([1.0, 2.0]))
        1.0
        2.0
        Array([-1., -2.], dtype=float32)

        Raises:
            SpecError: a batch axis is named, or another way of running was said before.
        """
        return self._another_way(looped=True)

    def _another_way(self, **said: Any) -> Self:
        """The same function, run in another way too; a way that is said again replaces itself."""
        ways = replace(self._ways, **said)
        return self._variant(("ways", ways), replace(self._declared, ways=ways))

    def jit(
        self,
        *,
        static_argnames: str | Sequence[str] | None = None,
        donate_argnames: str | Sequence[str] | None = None,
        partition: bool = False,
    ) -> Jitted[P, R]:
        """The same compiled: its call is `jax.jit`'s own, and planned while it traces.

        Ranked arguments are traced. An argument without a rank is static if its parameter's
        annotation or default says so (a bool, int, str, enum, type or callable). Made once for
        each set of options, and kept.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(x=1)
        ... def norm(x, ord: int = 2):
        ...     return jnp.linalg.norm(x, ord)
        >>> norm.jit()(jnp.ones((5, 4)), ord=1)
        Array([4., 4., 4., 4., 4.], dtype=float32)
        >>> norm.jit() is norm.jit()
        True

        Args:
            static_argnames: the static parameters, in place of those that are guessed.
            donate_argnames: parameters whose arrays may be overwritten, as `jax.jit` has them.
            partition: whether arguments without a rank that mix arrays and static data in one
                tree (an `equinox.nn.MLP`) are taken apart at each call, which costs some time.

        Raises:
            SpecError: a name is no parameter, or has a base rank and can't be static; or the
                function runs in a loop, in buckets or with progress. In a call: an unranked
                argument is neither made of arrays nor static.
        """
        refuse_jit(self._ways, self._spec.function)
        told = told_of(self, static_argnames, donate_argnames, partition)
        found = self._jitted.get(told)
        if found is None:
            found = self._jitted.keep(told, make_jitted(self, told))
        return cast("Jitted[P, R]", found)

    def chunk(
        self,
        size: int | Literal["auto"] | None = None,
        *,
        memory: int | str | None = None,
        remat: bool = False,
        progress: bool | Callable[[int, int], Any] = False,
    ) -> Self:
        """The same with at most `size` examples at once, counted over the whole batch shape.

        A scan in one kept compiled program; the last chunk overlaps the one before where sizes do
        not divide. In `chunk(1)` nothing is mapped, so `lax.cond` takes one branch.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(x=1)
        ... def total(x):
        ...     return x.sum()
        >>> total.chunk(1000)(jnp.ones((2500, 3))).shape
        (2500,)
        >>> total.chunk(1000).plan(jnp.ones((2500, 3))).steps
        ('chunk: 3 chunks of 834 examples (834 of batch axis -1), the last overlapping',)

        Args:
            size: the most examples at once, or "auto": as many as fit half of the free memory; on
                a CPU fewer if they stay in its caches and that is timed to be faster.
            memory: in place of `size`, the bytes that the program may need beside its arguments
                and results: an int, or a text such as "2GiB". Decided at the first call.
            remat: whether a chunk is computed again in the backward pass, to save memory.
            progress: True for a bar (tqdm), or a function that takes (done, total) in examples.

        Raises:
            SpecError: a size below 1, or none; in a call: only cutting a named axis would make it
                small enough.
        """
        chunk = read_chunk(size, memory, remat, progress, self._spec.function)
        return self._another_way(chunk=chunk)

    def tune(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Decide now how many examples `chunk(memory=...)` runs at once for such arguments.

        Programs are compiled for it, but nothing is run, except to time `chunk("auto")` on a CPU.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> pairs = auto_vmap(x=1)(lambda x: jnp.sort(x[:, None] * x).sum())
        >>> 1 <= pairs.chunk(memory="1MiB").tune(jnp.ones((5000, 64))) < 5000
        True

        Args:
            args: as in a call.
            kwargs: likewise.

        Returns:
            The most examples at once, on each device.

        Raises:
            SpecError: it is no `f.chunk(...)`, or one with `.bucket()`.
        """
        if self._ways.chunk is None:
            raise SpecError(f"{self._spec.function}.tune(): only .chunk(...) has a size to decide")
        if self._ways.bucket is not None:
            raise SpecError(
                f"{self._spec.function}.tune(): with .bucket() the size of the chunks is decided "
                f"for each padded batch, at its first call; call .tune without .bucket()"
            )
        call = self._bind(args, kwargs)
        return self._kept.decide(call, args, kwargs).examples or 1

    def iter(self, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[tuple[Any, R]]:
        """The result chunk by chunk, for results that are too big for the device.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> total = auto_vmap(x=1)(lambda x: x.sum())
        >>> for index, out in total.chunk(2).iter(jnp.ones((5, 3))):
        ...     print(index, out)
        (slice(0, 2, None),) [3. 3.]
        (slice(2, 4, None),) [3. 3.]
        (slice(4, 5, None),) [3.]

        Args:
            args: as in a call.
            kwargs: likewise.

        Yields:
            Where a chunk lies in the batch shape, as slices, and its part of the result.

        Raises:
            SpecError: it is no `f.chunk(...)` alone.
        """
        if self._ways.chunk is None or self._ways.shard or self._ways.bucket:
            raise SpecError(
                f"{self._spec.function}.iter(): only .chunk(...) alone gives its result in parts"
            )
        return self._kept.iterate(self._bind(args, kwargs), args, kwargs)

    def shard(self, spec: Any, mesh: Any = None) -> Self:
        """The same with batch axes over the axes of a mesh of devices.

        Where a mesh axis divides a batch axis, inputs and results are sharded and nothing is
        communicated. Where it does not, the result is replicated, by one all-gather for each
        output leaf.

        >>> import jax, jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> mesh = jax.sharding.Mesh(jax.devices()[:1], ("data",))
        >>> total = auto_vmap(x=1)(lambda x: x.sum())
        >>> total.shard("data", mesh=mesh)(jnp.ones((8, 3))).shape
        (8,)

        Args:
            spec: a `jax.sharding.PartitionSpec` over the batch shape; a string is for its first
                axis.
            mesh: the mesh; without it the one that is set at the call.

        Raises:
            SpecError: the mesh has no such axis, there is no mesh, or a batch axis is named.
        """
        return self._another_way(shard=read_shard(spec, mesh, self._spec.function))

    def bucket(
        self,
        sizes: Sequence[int] | Callable[[int], int] | None = None,
        *,
        promote: int | None = 8,
    ) -> Self:
        """The same compiled for padded batch sizes, so that ever-new sizes do not compile anew.

        Arguments are padded on the host by repeating an example, and results are cut there.

        >>> import numpy as np
        >>> from autovmap import auto_vmap
        >>> total = auto_vmap(x=1)(lambda x: x.sum()).bucket()
        >>> [total(np.ones((size, 3), np.float32)).shape for size in (5, 6, 7)]
        [(5,), (6,), (7,)]
        >>> total.stats().compilations
        1

        Args:
            sizes: the padded sizes, or a function from a size to the padded one; without it,
                powers of two.
            promote: how often a batch shape is seen before it gets an exact program; None: never.

        Raises:
            SpecError: a batch axis is named, outputs are not stretched, or an argument lies on
                several devices.
        """
        bucket = read_bucket(sizes, promote, self._spec.function)
        return self._another_way(bucket=bucket)

    def stats(self) -> BucketStats:
        """What the calls of an `f.bucket()` have come to.

        >>> import numpy as np
        >>> from autovmap import auto_vmap
        >>> total = auto_vmap(x=1)(lambda x: x.sum()).bucket()
        >>> for size in (5, 6, 7):
        ...     _ = total(np.ones((size, 3), np.float32))
        >>> total.stats()
        BucketStats(calls=3, compilations=1, hits=2, promotions=0)

        Returns:
            Numbers of calls and programs: see `BucketStats`.

        Raises:
            SpecError: it is no `f.bucket()`.
        """
        if self._ways.bucket is None:
            raise SpecError(f"{self._spec.function}.stats(): only .bucket() counts its programs")
        return self._kept.stats()
