"""The methods that make another one of what `auto_vmap` makes, each written once.

They stand on the decorated function, a method with its object, the compiled form of each (see
`face`), and on the decorator before it has its function (see `decorator`). Each of these defines
how it is made again for another engine and how it is compiled. A new method that returns a
function goes here, and appears on all of them; one that returns something else goes to `face`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar, cast

from autovmap._frames import interface
from autovmap._function.definition import Definition, Variant
from autovmap._function.misuse import explained_call
from autovmap._ways.options import read_bucket, read_chunk, read_shard

Compiled = TypeVar("Compiled", covariant=True)
"""What `.jit()` gives."""
Lifted = TypeVar("Lifted", covariant=True)
"""What `.lift(...)` gives: the same, of a function whose result no type tells."""

Change: TypeAlias = Callable[[Definition], Variant]
"""What a method makes of an engine."""


@dataclass(frozen=True, slots=True)
class JitRequest:
    """What a caller asks of `.jit()`."""

    static_argnames: str | Sequence[str] | None = None
    donate_argnames: str | Sequence[str] | None = None
    partition: bool = False


NO_REQUEST = JitRequest()


class Methods(Generic[Compiled, Lifted]):
    """What can be made of a decorated function."""

    def _again(self, change: Change) -> Self:
        """The same for a changed engine."""
        raise NotImplementedError

    def _compiled(self, request: JitRequest) -> Compiled:
        """The compiled form."""
        raise NotImplementedError

    def _binds(self, engine: Definition) -> bool:
        """Whether a transformation gets a method as bound to its object."""
        raise NotImplementedError

    # --- What a call means ---

    @interface
    @explained_call("f.batch(100)(...)")
    def batch(self, *shape: int) -> Self:
        """Prepend batch axes to those of the arguments: so many calls for each example.

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

        Raises:
            SpecError: a size is not a non-negative int.
        """
        return self._again(lambda engine: engine.with_batch(shape))

    @interface
    @explained_call("f.outer('x', 'y')(...)")
    def outer(self, *groups: str | tuple[str, ...]) -> Self:
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

        Raises:
            SpecError: a group names something that is not a ranked parameter, or a parameter is in
                two groups.
            BatchShapeError: in a call, an argument with batch dims is in no group.
        """
        return self._again(lambda engine: engine.with_groups(groups))

    @interface
    @explained_call("f.reduce('mean')(...)")
    def reduce(self, folds: Any, *, axes: Any = None) -> Self:
        """Fold the results over the batch: one result for all examples.

        As `jnp`'s function of that name over the batched result, dtypes included. In chunks only
        the fold is kept; over a mesh one all-reduce for each output finishes it, of most folds.

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(w=None, x=1, y=0)
        ... def loss(w, x, y):
        ...     return (w @ x - y) ** 2
        >>> x, y = jnp.ones((1000, 3)), jnp.arange(1000.0)
        >>> print(loss.reduce("mean")(jnp.zeros(3), x[:5], y[:5]))
        6.0
        >>> print(loss.lift(jax.grad).reduce("mean")(jnp.zeros(3), x[:5], y[:5]))
        [-4. -4. -4.]

        Args:
            folds: "sum", "mean", "max", "min", "prod", "any", "all" or "logsumexp"; a pair
                (combine, identity) for any associative fold; or a prefix of the result made of
                these, None for an output that is not folded. Where the identity is a
                tree, `combine` takes and returns such trees.
            axes: the batch axes to fold, as indices into the batch shape or as names; all of
                them without it.

        Raises:
            SpecError: there is no such fold, or the result is folded already.
            BatchShapeError: in a call, the batch shape has no such axis, or it is empty and the
                fold has no identity.
        """
        return self._again(lambda engine: engine.with_reduce(folds, axes))

    @interface
    def replace(self, **options: Any) -> Self:
        """The same function and ranks under other options than the author's.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> double = auto_vmap(x=1)(lambda x: 2 * x)
        >>> double.replace(out_axes=-1)(jnp.ones((5, 3))).shape
        (3, 5)

        Args:
            options: options of `auto_vmap` by name; those that are not given stay.

        Raises:
            SpecError: there is no such option, or it does not take that value.
        """
        return self._again(lambda engine: engine.with_options(options))

    @interface
    @explained_call("f.lift(jax.grad)(...)")
    def lift(self, transform: Callable[..., Any], /, **options: Any) -> Lifted:
        """The transformed plain function under the same ranks: per-example gradients, and so on.

        >>> import jax, jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> @auto_vmap(x=1)
        ... def norm2(x):
        ...     return x @ x
        >>> norm2.lift(jax.grad)(jnp.ones((5, 3))).shape
        (5, 3)
        >>> norm2.lift(jax.value_and_grad, argnums=(0,))(jnp.ones((5, 3)))[0].shape
        (5,)

        Args:
            transform: takes the plain function and returns one of the same parameters, as
                `jax.grad` and `jax.checkpoint` do. Of a method it gets the bound form.
            options: the transformation's own, as `argnums`, which count as in the bound form.

        Raises:
            SpecError: `transform` does not take a function, or does not return one.
        """
        changed = self._again(
            lambda engine: engine.with_lift(transform, options, self._binds(engine))
        )
        return cast("Lifted", changed)

    # --- How a call is run ---

    @interface
    @explained_call("f.loop()(...)")
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
            SpecError: a batch axis is named, or another way of running is chosen already.
        """
        return self._again(lambda engine: engine.with_ways(looped=True))

    @interface
    @explained_call("f.jit()(...)")
    def jit(
        self,
        *,
        static_argnames: str | Sequence[str] | None = None,
        donate_argnames: str | Sequence[str] | None = None,
        partition: bool = False,
    ) -> Compiled:
        """The same compiled: its call is `jax.jit`'s, and planned while it traces.

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
                tree (an `equinox.nn.MLP`) are split at each call, which costs some time.

        Raises:
            SpecError: a name is not a parameter, or has a base rank and so can't be static; or the
                function runs in a loop, in buckets or with progress. In a call: an unranked
                argument is neither made of arrays nor static.
        """
        return self._compiled(JitRequest(static_argnames, donate_argnames, partition))

    @interface
    @explained_call("f.chunk(1024)(...)")
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
        ('chunk: 3 chunks of 840 examples (840 of batch axis -1), the last overlapping',)

        Args:
            size: the most examples at once, or "auto": as many as fit half of the free memory; on
                a CPU fewer if they stay in its caches and that is timed to be faster.
            memory: in place of `size`, the bytes that the program may need beside its arguments
                and results: an int, or a text such as "2GiB". Decided at the first call.
            remat: whether a chunk is computed again in the backward pass, to save memory.
            progress: True for a bar (tqdm), or a function that takes (done, total) in examples.

        Raises:
            SpecError: the size is below 1 or missing; in a call: only splitting a named axis would
                make the chunks small enough.
        """
        asked = (size, memory, remat, progress)
        return self._again(lambda engine: engine.with_ways(chunk=read_chunk(*asked, engine.name)))

    @interface
    @explained_call("f.shard('data')(...)")
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
        return self._again(
            lambda engine: engine.with_ways(shard=read_shard(spec, mesh, engine.name))
        )

    @interface
    @explained_call("f.bucket()(...)")
    def bucket(
        self,
        sizes: Sequence[int] | Callable[[int], int] | None = None,
        *,
        promote: int | None = 8,
        block: int | None = None,
    ) -> Self:
        """The same compiled for padded batch sizes, so that new sizes do not compile each time.

        Arguments are padded on the host by repeating an example, and results are cut there.

        >>> import numpy as np
        >>> from autovmap import auto_vmap
        >>> total = auto_vmap(x=1)(lambda x: x.sum()).bucket()
        >>> [total(np.ones((size, 3), np.float32)).shape for size in (5, 6, 7)]
        [(5,), (6,), (7,)]
        >>> total.stats().compilations
        1

        With a block there is one program for all sizes and all numbers of batch axes:

        >>> total = auto_vmap(x=1)(lambda x: x.sum()).bucket(block=64)
        >>> [total(np.ones((*batch, 3), np.float32)).shape for batch in [(5,), (100,), (9, 9)]]
        [(5,), (100,), (9, 9)]
        >>> total.stats().compilations
        1

        Args:
            sizes: the padded sizes, or a function from a size to the padded one; without it,
                powers of two.
            promote: how often a batch shape is seen before it gets an exact program; None: never.
            block: in place of `sizes`, how many examples go through the one program at a time;
                the last block is filled up.

        Raises:
            SpecError: a batch axis is named, outputs are not stretched, or an argument lies on
                several devices.
        """
        asked = (sizes, promote, block)
        return self._again(lambda engine: engine.with_ways(bucket=read_bucket(*asked, engine.name)))
