"""The decorated object: bind, plan, apply."""

import functools
import inspect
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

import jax
import numpy as np

from autovmap._apply.core import check_result
from autovmap._apply.depend import refuse_dependent, shorten
from autovmap._apply.diagnose import diagnose, hint
from autovmap._apply.keys import fold_keys
from autovmap._apply.loop import run_loop
from autovmap._apply.naming import naming
from autovmap._apply.nest import Body, Direct, Nest, make_direct_nest, make_nest, run
from autovmap._apply.outputs import FRONT, Result
from autovmap._apply.parts import WHOLE, Parts, run_parts
from autovmap._bind import Binder, Call, Planned, direct_arguments, may_promote
from autovmap._bound import BoundAutoVmapped, bind, shown
from autovmap._cache import BoundedCache
from autovmap._callable import adopt, by_name, is_method, show_annotations, shown_name, takes_first
from autovmap._docstring import line_of, show_docstring
from autovmap._explain.conflict import draw_conflict
from autovmap._explain.plan import Plan
from autovmap._explain.steps import steps
from autovmap._explain.table import note
from autovmap._jit import Jitted, make_jitted, told_of
from autovmap._kept import BucketStats, Kept, current_mesh, sharded_axes
from autovmap._placing import placing
from autovmap._plan.plan import PlanData
from autovmap._showing import calling, outputs_of, result_shapes
from autovmap._spec.annotated import read_annotations
from autovmap._spec.extent import checked_sizes
from autovmap._spec.operands import as_signature
from autovmap._spec.options import refuse_unknown_options
from autovmap._spec.ranks import is_mapped, plain
from autovmap._spec.scope import scope_of
from autovmap._spec.spec import (
    POSITIONAL_ONLY,
    POSITIONAL_OR_KEYWORD,
    Declaration,
    Spec,
    read_spec,
)
from autovmap._spec.ways import PLAIN, read_bucket, read_chunk, read_shard, refuse_jit
from autovmap._tree import one_level
from autovmap.errors import AutoVmapError, BatchShapeError, SpecError

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
S = TypeVar("S")

ARRAYS = (jax.Array, np.ndarray)
VARIANTS = 64
"""How many of a function's variants (`f.batch(10)`, ...) are kept, each with its plans."""


class AutoVmapped(Generic[P, R]):
    """A function that takes any broadcastable batch of examples; `auto_vmap` makes it.

    >>> from autovmap import auto_vmap
    >>> @auto_vmap(x=1)
    ... def total(x):
    ...     '''The sum of a vector.'''
    ...     return x.sum()
    >>> total
    <auto_vmap(x=1) of total>
    >>> total.ranks
    {'x': 1}
    >>> print(total.__doc__)
    The sum of a vector.
    <BLANKLINE>
    Batch dims broadcast; the base ranks are ``x=1``.
    """

    __wrapped__: Callable[P, R]
    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, R],
        declared: Declaration,
        signature: inspect.Signature | None,
        named_by: Any = None,
        skip_first: bool | None = None,
    ) -> None:
        """Use `auto_vmap`, which checks what it is given; without a signature it is `function`'s.

        `skip_first` says whether positional ranks leave out the first parameter, as they do in a
        class body; without it the function tells.
        """
        named_by = function if named_by is None else named_by
        signature = inspect.signature(function) if signature is None else signature
        adopt(self, named_by)
        self.__wrapped__ = function
        self._declared = declared
        self._signature = signature
        self._named_by = named_by
        self._read(is_method(function, signature) if skip_first is None else skip_first)

    def _read(self, skip_first: bool) -> None:
        """Read the declaration; a method's positional ranks leave out its first parameter."""
        self._skip_first = skip_first
        name = shown_name(self._named_by)
        self._told: Spec = read_spec(self._declared, self._signature, name, one_level, skip_first)
        self._groups, self._place = placing(self._told)
        self._variants: BoundedCache[AutoVmapped[..., Any]] = BoundedCache(VARIANTS)
        self._jitted: BoundedCache[Jitted[..., Any]] = BoundedCache(VARIANTS)
        self._plainly_run = self._told.plainly_run
        self._ways = self._told.ways
        self._compiled = self._ways.compiled
        show_annotations(self, self._told, self._signature, self._named_by)
        show_docstring(self, line_of(self._told), self._named_by)

    @functools.cached_property
    def _spec(self) -> Spec:
        """What the decorator was told, with the ranks that stand in annotations."""
        if not self._told.unread:
            return self._told
        spec = read_annotations(self._told, self._signature, scope_of(self._named_by), ARRAYS)
        show_annotations(self, self._told, self._signature, self._named_by)
        show_docstring(self, line_of(spec), self._named_by)
        return spec

    @functools.cached_property
    def _binder(self) -> Binder:
        first = next(iter(self._signature.parameters), "")
        return Binder(self._spec, self._signature, self._skip_first and first == "cls")

    @functools.cached_property
    def as_bound(self) -> dict[str, Any]:
        """What every bound form of this has in common."""
        return shown(self)

    @functools.cached_property
    def _kept(self) -> Kept:
        """The programs that a way of running keeps."""
        static = told_of(self, None, None, partition=True).static
        return Kept(self.run_traced, self._spec, static, self._groups, self._place)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function on every example of a batch at once."""
        known = self._binder.known(args, kwargs)
        if known is not None:
            planned, leaves = known
            nest = planned.direct
            if nest is None:
                nest = planned.direct = self._direct_nest(planned)
            if nest is not False:
                # In this frame: each on the way to the function costs; see `make_direct_nest`.
                plan = planned.plan
                given, leaves = direct_arguments(planned, args, leaves)
                caught = Result(plan.function, FRONT, None)
                direct = Direct(self.__wrapped__, given, kwargs, caught)
                try:
                    return caught.join(nest(direct, *[leaves[i] for i in plan.mapped]), plan)
                except Exception as error:
                    self._raise_explained(error, self._bind(args, kwargs))
        call = self._bind(args, kwargs)
        if self._compiled and not call.planned.plan.trivial:
            return self._kept.run(call, args, kwargs)
        return self._run_call(call)

    def run_traced(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: Parts | None = None,
        state: Any = (),
    ) -> Any:
        """What a compiled program does of a call, inside its trace.

        Ways that keep a program of their own run here what stands in it.
        """
        call = self._bind(args, kwargs)
        if parts is None and self._ways.compiled:
            parts = self._kept.decide(call, args, kwargs)
        return self._run_call(call, parts or WHOLE, state)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], run: bool = True) -> Call:
        """Bind and plan a call: see `Binder.bind`."""
        try:
            call = self._binder.bind(args, kwargs, run=run)
        except BatchShapeError as error:
            draw_conflict(error, self._spec.function)
            raise
        if call.planned.plan.promotion is not None:
            _rank_promotion(call.planned.plan.promotion)
        return call

    def _run_call(self, call: Call, parts: Parts = WHOLE, state: Any = ()) -> Any:
        planned = call.planned
        plan = planned.plan
        if planned.nest is None:
            planned.nest = make_nest(plan, self._groups)
        arrays = call.arrays()
        body = self._body(call)
        try:
            if self._plainly_run and plan.plain:
                return run(plan, planned.nest, body, arrays, self._groups, self._place)
            with naming(plan):
                keyed = fold_keys(plan, arrays)
                if self._plainly_run:
                    return run(plan, planned.nest, body, keyed, self._groups, self._place)
                return self._run_otherwise(plan, body, keyed, parts, state)
        except Exception as error:
            self._raise_explained(error, call)

    def _direct_nest(self, planned: Planned) -> Nest | Literal[False]:
        """The nest for calls that are nothing but layers over whole positional arguments."""
        plan = planned.plan
        front = self._groups is FRONT and self._place is None
        simple = self._plainly_run and plan.plain and not plan.trivial
        if planned.order is None or not front or not simple or self._checks_result:
            return False
        return make_direct_nest(plan, planned.order)

    @functools.cached_property
    def _checks_result(self) -> bool:
        """Whether a signature tells the core dims of each example's outputs."""
        return self._spec.signature is not None and not self._spec.lifted

    def _raise_explained(self, error: Exception, call: Call) -> NoReturn:
        """Raise an error that the function or JAX raised, with what is known of the call."""
        explained = self._explained(error, call, self._body(call), call.arrays())
        if explained is error:
            raise error
        raise explained from error

    def _run_otherwise(
        self,
        plan: PlanData,
        body: Body,
        arrays: Sequence[Any],
        parts: Parts = WHOLE,
        state: Any = (),
    ) -> Any:
        """Run a plan in a loop or in parts, or with outputs that are not stretched."""
        groups, place = self._groups, self._place
        if not self._spec.options.stretch_outputs:
            groups, place = shorten(plan, body, arrays, groups, place)
        if self._ways.looped:
            return run_loop(plan, body, arrays, groups, place)
        if self._ways.compiled:
            return run_parts(plan, parts, body, arrays, groups, place, state)
        return run(plan, make_nest(plan, groups), body, arrays, groups, place)

    def _explained(
        self, error: Exception, call: Call, body: Body, arrays: Sequence[Any]
    ) -> Exception:
        """An error of ours that names what JAX does not, or else the same one with a note."""
        plan = call.planned.plan
        found = diagnose(error, plan, arrays, lambda: self._binder.unranked(call))
        if found is None and isinstance(error, ValueError) and not isinstance(error, AutoVmapError):
            found = refuse_dependent(plan, body, arrays, self._groups, self._place)
        if found is not None:
            return found
        error.add_note(note(plan))
        if (more := hint(error)) is not None:
            error.add_note(more)
        return error

    def _body(self, call: Call) -> Body:
        """The plain function, of the leaves of the ranked arguments."""
        function = cast("Callable[..., Any]", self.__wrapped__)

        def body(rows: Sequence[Any]) -> Any:
            args, kwargs = call.arguments(rows)
            return function(*args, **kwargs)

        signature = self._spec.signature
        if signature is None or not self._checks_result:
            return body
        plan = call.planned.plan

        def checked(rows: Sequence[Any]) -> Any:
            result = body(rows)
            check_result(result, signature, plan)
            return result

        return checked

    def plan(self, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
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
        call = self._bind(args, kwargs, run=False)
        return Plan.of(call.planned.plan, calling(self._spec, call, self._steps(call)))

    def plan_with_outputs(self, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """The plan with the result's shapes, for which the function is traced, but not run.

        >>> import jax, jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> plan = auto_vmap(1, 1)(jnp.outer).plan_with_outputs(jnp.ones((5, 1, 3)), jnp.ones(4))
        >>> plan.outputs[0].shape
        (5, 1, 3, 4)
        """
        call = self._bind(args, kwargs, run=False)
        result = result_shapes(self._run_shapes, call)
        outputs = outputs_of(call.planned.plan, self._spec, result, self._groups, self._place)
        return Plan.of(call.planned.plan, calling(self._spec, call, self._steps(call)), outputs)

    def _steps(self, call: Call) -> tuple[str, ...]:
        """What the way of running adds to a plan, in words."""
        if self._ways == PLAIN:
            return ()
        size = self._kept.known_size(call.planned.plan) if self._ways.compiled else None
        mesh = None
        if self._ways.shard is not None:
            mesh = dict(current_mesh(self._ways.shard.mesh, self._spec.function).shape)
        return steps(call.planned.plan, self._ways, size, sharded_axes(call), mesh)

    def _run_shapes(self, call: Call, arrays: Sequence[Any]) -> Any:
        """What a call does, on tracers of its shapes."""
        plan, body = call.planned.plan, self._body(call)
        with naming(plan):
            return self._run_otherwise(plan, body, fold_keys(plan, arrays))

    def _variant(
        self, key: Hashable, declared: Declaration, function: Any = None
    ) -> "AutoVmapped[P, Any]":
        """The same under another declaration, or another function under the same; made once."""
        found = self._variants.get(key)
        if found is None:
            found = self.declared_as(declared, function)
            self._variants.put(key, found)
        return found

    def declared_as(self, declared: Declaration, function: Any = None) -> "AutoVmapped[P, Any]":
        """The same under another declaration, or another function; made anew."""
        function = self.__wrapped__ if function is None else function
        parts = (self._signature, self._named_by, self._skip_first)
        return type(self)(function, declared, *parts)

    def batch(self, *shape: int) -> "AutoVmapped[P, R]":
        """Prepend batch axes to those that the arguments bring: so many calls of each example.

        For draws, declare what one key means: `randomness="different"`.

        >>> import jax
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(rng="key", scale=0, randomness="different")
        ... def draw(rng, scale):
        ...     return scale * jax.random.normal(rng)
        >>> draw.batch(1000)(jax.random.key(0), jax.numpy.ones(3)).shape
        (1000, 3)

        Args:
            shape: sizes of the new batch axes, leftmost first, as `sample_shape` has them.
        """
        sizes = checked_sizes(shape, self._spec.function)
        extent = self._declared.extent
        extent = replace(extent, prepended=sizes + extent.prepended)
        return self._variant(("batch", sizes), replace(self._declared, extent=extent))

    def outer(self, *groups: str | tuple[str, ...]) -> "AutoVmapped[P, R]":
        """Combine every example of one group of arguments with every one of the others.

        As `np.ufunc.outer`: each group has batch axes of its own, left to right; within a group
        batch shapes broadcast as always. Nothing is copied.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(y=1, a=0, b=0)
        ... def cost(y, a, b):
        ...     return a * y.sum() + b
        >>> cost.outer("y", ("a", "b"))(jnp.ones((7, 3)), jnp.ones((4, 1)), jnp.ones(5)).shape
        (7, 4, 5)

        Args:
            groups: names of parameters, or tuples of them; without any, each ranked parameter is
                a group, in the order of the signature.
        """
        for group in groups:
            if not isinstance(cast("object", group), (str, tuple, list)):
                raise SpecError(
                    f"{self._spec.function}.outer(): got {group!r} of type {type(group).__name__}; "
                    f"a group is a parameter's name or a tuple of names"
                )
        named = tuple((group,) if isinstance(group, str) else tuple(group) for group in groups)
        named = named or tuple((name,) for name in self.ranks)
        extent = replace(self._declared.extent, groups=named)
        return self._variant(("outer", named), replace(self._declared, extent=extent))

    def replace(self, **options: Any) -> "AutoVmapped[P, R]":
        """The same function and ranks under other options than the author's.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> double = auto_vmap(x=1)(lambda x: 2 * x)
        >>> double.replace(out_axes=-1)(jnp.ones((5, 3))).shape
        (3, 5)
        """
        refuse_unknown_options(options, self._spec.function)
        merged = {**(self._declared.options or {}), **options}
        key = ("replace", *((name, repr(options[name]), options[name]) for name in sorted(options)))
        return self._variant(key, replace(self._declared, options=merged))

    def lift(self, transform: Callable[[Any], Any]) -> "AutoVmapped[P, Any]":
        """The transformed plain function under the same ranks: per-example gradients, and so on.

        >>> import jax, jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(x=1)
        ... def norm2(x):
        ...     return x @ x
        >>> norm2.lift(jax.grad)(jnp.ones((5, 3))).shape
        (5, 3)

        Args:
            transform: takes the plain function and returns one of the same parameters, as
                `jax.grad`, `jax.checkpoint` or `functools.partial(jax.jacfwd, argnums=1)` do.
        """
        return self._variant(
            ("lift", transform),
            replace(self._declared, lifted=True),
            transform(cast("Any", self.__wrapped__)),
        )

    def loop(self) -> "AutoVmapped[P, R]":
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
        """
        return self._another_way(looped=True)

    def _another_way(self, **said: Any) -> "AutoVmapped[P, R]":
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
            SpecError: a name is no parameter, or has a base rank and can't be static.
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
    ) -> "AutoVmapped[P, R]":
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
            size: the most examples at once, or "auto": as many as fit the device's free memory,
                on a CPU its caches.
            memory: in place of `size`, the bytes that the program may need beside its arguments
                and results: an int, or a text such as "2GiB". Decided at the first call.
            remat: whether a chunk is computed again in the backward pass, to save memory.
            progress: True for a bar (tqdm), or a function that takes (done, total) in examples.

        Raises:
            SpecError: a size below 1, or a call that only cutting a named axis would make small
                enough.
        """
        chunk = read_chunk(size, memory, remat, progress, self._spec.function)
        return self._another_way(chunk=chunk)

    def tune(self, /, *args: P.args, **kwargs: P.kwargs) -> int:
        """Decide now how many examples `chunk(memory=...)` runs at once for such arguments.

        Programs are compiled for it, but nothing is run.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> pairs = auto_vmap(x=1)(lambda x: jnp.tanh(x[:, None] * x).sum())
        >>> 1 <= pairs.chunk(memory="1MiB").tune(jnp.ones((5000, 64))) < 5000
        True

        Args:
            args: as in a call.
            kwargs: likewise.

        Returns:
            The most examples at once, on each device.
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

        Yields:
            Where a chunk lies in the batch shape, as slices, and its part of the result.
        """
        if self._ways.chunk is None or self._ways.shard or self._ways.bucket:
            raise SpecError(
                f"{self._spec.function}.iter(): only .chunk(...) alone gives its result in parts"
            )
        return self._kept.iterate(self._bind(args, kwargs), args, kwargs)

    def shard(self, spec: Any, mesh: Any = None) -> "AutoVmapped[P, R]":
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
    ) -> "AutoVmapped[P, R]":
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
        """What the calls of an `f.bucket()` have come to; see `BucketStats`."""
        if self._ways.bucket is None:
            raise SpecError(f"{self._spec.function}.stats(): only .bucket() counts its programs")
        return self._kept.stats()

    @property
    def signature(self) -> str | None:
        """The declaration as a gufunc signature, or None where it can't be said as one.

        What was not given as a signature has dims without names, and no outputs are known of it.

        >>> from autovmap import auto_vmap
        >>> auto_vmap("(m, n), (n) -> (m)")(lambda a, x: a @ x).signature
        '(m,n),(n)->(m)'
        >>> auto_vmap(0, 2)(lambda s, m: s * m).signature
        '(),(a,b)->...'
        """
        if self._spec.signature is not None:
            text = str(self._spec.signature)
            return text.partition("->")[0] + "->..." if self._spec.lifted else text
        parameters = self._spec.parameters[self._skip_first :]
        positional = [p for p in parameters if p.kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD)]
        return as_signature([(p.name, p.rank) for p in positional], list(self.ranks))

    @property
    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter, as they may be given to `auto_vmap` again."""
        return {p.name: plain(p.rank) for p in self._spec.parameters if is_mapped(p.rank)}

    # A type checker tells class methods and static methods by their first parameter.
    @overload
    def __get__(
        self: "AutoVmapped[Concatenate[type[S], Q], R]", instance: S | None, owner: type[S]
    ) -> "BoundAutoVmapped[Q, R]": ...
    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(
        self: "AutoVmapped[Concatenate[S, Q], R]", instance: S, owner: Any
    ) -> "BoundAutoVmapped[Q, R]": ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Self: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """The bound form on an instance, as a function gives a method."""
        return self if instance is None else bind(self, instance)

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn that this is a method after all, whatever its first parameter is called."""
        qualname = getattr(self.__wrapped__, "__qualname__", "")
        stands_here = qualname == f"{owner.__qualname__}.{name}"
        if stands_here and not self._skip_first and takes_first(self._signature):
            vars(self).pop("_spec", None)
            vars(self).pop("_binder", None)
            vars(self).pop("_kept", None)
            self._read(skip_first=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AutoVmapped):
            return NotImplemented
        return self.__wrapped__ == other.__wrapped__ and self._told == other._told

    def __hash__(self) -> int:
        return hash((self.__wrapped__, self._told))

    def __repr__(self) -> str:
        told = self._told
        ranks = [f"{p.name}={plain(p.rank)!r}" for p in told.parameters if is_mapped(p.rank)]
        if told.signature is not None:
            named = {**(self._declared.named or {}), **(self._declared.ranks or {})}
            shown = [f"{name}={rank!r}" for name, rank in self.ranks.items() if name in named]
            ranks = [repr(str(told.signature)), *shown]
        if told.unread:
            ranks.insert(0, "...")
        return f"<auto_vmap({', '.join(ranks)}) of {told.function}>"

    def __reduce__(self) -> Any:
        """By reference where its name leads back to it, as functions are pickled.

        What was made of such a one (`f.chunk(10)`) is that one under another declaration.
        """
        found = by_name(self)
        if found is self:
            return self.__qualname__
        origin = _origin(found)
        if origin is not None and origin.__wrapped__ is self.__wrapped__:
            return _redeclared, (found, None if origin is self else self._declared)
        own = inspect.signature(self.__wrapped__) == self._signature  # may hold what won't pickle
        parts = (None if own else self._signature, self._named_by, self._skip_first)
        return AutoVmapped, (self.__wrapped__, self._declared, *parts)


def _origin(found: Any) -> AutoVmapped[..., Any] | None:
    """The decorated function in what stands under a name: itself, compiled, or a class's."""
    if isinstance(found, Jitted):
        found = found.__wrapped__
    elif isinstance(found, BoundAutoVmapped):
        found = found.__func__
    return found if isinstance(found, AutoVmapped) else None


def _redeclared(found: Any, declared: Declaration | None) -> AutoVmapped[..., Any]:
    """The decorated function under another declaration, when it is unpickled."""
    origin = cast("AutoVmapped[..., Any]", _origin(found))
    return origin if declared is None else origin.declared_as(declared)


def _rank_promotion(message: str) -> None:
    """Follow `jax_numpy_rank_promotion`, as `jax.numpy` does in broadcasting."""
    setting = may_promote()
    if setting == "raise":
        raise BatchShapeError(message)
    if setting == "warn":
        warnings.warn(message, stacklevel=4)


if TYPE_CHECKING:
    from builtins import classmethod as ClassMethod
    from builtins import staticmethod as StaticMethod
else:  # Python's own take no type arguments

    class StaticMethod(staticmethod, Generic[P, R]):
        """`staticmethod` with type arguments."""

    class ClassMethod(classmethod, Generic[S, P, R]):
        """`classmethod` with type arguments."""


class AutoVmappedStaticMethod(StaticMethod[P, R]):
    """What `auto_vmap` makes of a `staticmethod`: one of a decorated function."""

    def __get__(self, instance: Any, owner: Any = None) -> AutoVmapped[P, R]:
        """The decorated function itself."""
        return cast("AutoVmapped[P, R]", self.__func__)


class AutoVmappedClassMethod(ClassMethod[Any, P, R]):
    """What `auto_vmap` makes of a `classmethod`: one of a decorated function.

    Python's own binds by `MethodType` (from 3.13 on), which hands `.plan` and its like no class.
    """

    def __get__(self, instance: Any, owner: Any = None) -> BoundAutoVmapped[P, R]:
        """The decorated function with the class bound."""
        function = cast("AutoVmapped[..., R]", self.__func__)
        return BoundAutoVmapped(function, type(instance) if owner is None else owner)
