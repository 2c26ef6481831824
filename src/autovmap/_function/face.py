"""What every face of an engine offers its user, written once.

A face holds its engine and the arguments that it puts in front of a call's. There are four: the
decorated function, a method with its object, and the compiled form of each.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from autovmap._frames import interface, outside_frames
from autovmap._function.definition import Definition
from autovmap._function.engine import Engine
from autovmap._function.methods import Compiled, Lifted, Methods
from autovmap.errors import SpecError

if TYPE_CHECKING:
    from autovmap._show.plan import Plan
    from autovmap._ways.bucket_program import BucketStats

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
S = TypeVar("S")
"""Parameters and result of a function; of a method without its object, and that object."""


class Face(Methods[Compiled, Lifted], Generic[P, R, Compiled, Lifted]):
    """What a user holds of an engine."""

    _engine: Engine
    _first: tuple[Any, ...] = ()
    """The arguments before those of a call: a method's object."""
    _steps: tuple[str, ...] = ()
    """What this face adds to a plan's steps, in words."""

    def _binds(self, engine: Definition) -> bool:
        return bool(self._first)

    # --- What it was told ---

    @property
    @interface
    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter, as they may be given to `auto_vmap` again.

        >>> from autovmap import auto_vmap
        >>> auto_vmap(0, {"a": 1})(lambda s, tree, flag: s).ranks
        {'s': 0, 'tree': {'a': 1}}

        Raises:
            SpecError: they stand in annotations that can't be read.
        """
        return self._engine.for_object(self._first).ranks()

    @property
    @interface
    def signature(self) -> str | None:
        """The declaration as a gufunc signature, or None where it can't be said as one.

        What was not given as a signature has dims without names, and no outputs are known of it.

        >>> from autovmap import auto_vmap
        >>> auto_vmap("(m, n), (n) -> (m)")(lambda a, x: a @ x).signature
        '(m,n),(n)->(m)'
        >>> auto_vmap(0, 2)(lambda s, m: s * m).signature
        '(),(a,b)->...'
        """
        return self._engine.for_object(self._first).signature_text()

    # --- Planning ---

    @interface
    def plan(self, /, *args: P.args, **kwargs: P.kwargs) -> "Plan":
        """What a call with these arguments would do; nothing is run, traced or allocated.

        >>> import jax, jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> plan = auto_vmap(1, 1)(jnp.dot).plan(
        ...     jax.ShapeDtypeStruct((5, 1, 3), "float32"), jnp.ones((4, 3))
        ... )
        >>> plan.batch_shape
        (5, 4)

        Args:
            args: as in a call; a `jax.ShapeDtypeStruct` may stand for an array.
            kwargs: likewise.

        Raises:
            AutoVmapError: what a call with these arguments would raise before it runs.
        """
        from autovmap._function.reading import plan_of

        engine, given = self._engine, (*self._first, *args)
        return plan_of(engine.for_call(given, kwargs), given, kwargs, self._steps)

    @interface
    def plan_with_outputs(self, /, *args: P.args, **kwargs: P.kwargs) -> "Plan":
        """The plan with the result's shapes, for which the function is traced, but not run.

        >>> import jax, jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> plan = auto_vmap(1, 1)(jnp.outer).plan_with_outputs(jnp.ones((5, 1, 3)), jnp.ones(4))
        >>> plan.outputs[0].shape
        (5, 1, 3, 4)

        Args:
            args: as in a call; a `jax.ShapeDtypeStruct` may stand for an array, in arguments
                without a rank too.
            kwargs: likewise.

        Raises:
            AutoVmapError: what a call with these arguments would raise.
        """
        from autovmap._function.reading import plan_with_outputs_of

        engine, given = self._engine, (*self._first, *args)
        return plan_with_outputs_of(engine.for_call(given, kwargs), given, kwargs, self._steps)

    # --- Of one way of running ---

    @interface
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
            SpecError: this is not a `f.chunk(...)`, or one with `.bucket()`.
        """
        engine, given = self._engine, (*self._first, *args)
        if engine.ways.chunk is None:
            raise SpecError(
                f"{engine.name}.tune(): only .chunk(...) has a size to decide; write "
                f'f.chunk("auto").tune(...)'
            )
        if engine.ways.bucket is not None:
            raise SpecError(
                f"{engine.name}.tune(): with .bucket() the size of the chunks is decided for each "
                f"padded batch, at its first call; call .tune without .bucket()"
            )
        engine = engine.for_call(given, kwargs)
        return engine.programs.decide(engine.bind(given, kwargs), given, kwargs).examples or 1

    @interface
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
            SpecError: this is not a `f.chunk(...)`, or it is one with a bucket or a mesh.
        """
        engine, given = self._engine, (*self._first, *args)
        if engine.ways.chunk is None or engine.ways.shard or engine.ways.bucket:
            raise SpecError(
                f"{engine.name}.iter(): only .chunk(...), without .bucket(...) and .shard(...), "
                f"gives its result in parts"
            )
        engine = engine.for_call(given, kwargs)
        return outside_frames(engine.programs.iterate(engine.bind(given, kwargs), given, kwargs))

    @interface
    def stats(self) -> "BucketStats":
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
            SpecError: this is not a `f.bucket()`.
        """
        engine = self._engine
        if engine.ways.bucket is None:
            raise SpecError(
                f"{engine.name}.stats(): only .bucket() counts its programs; keep f.bucket() "
                f"under a name, and ask that"
            )
        return engine.stats()
