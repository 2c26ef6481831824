"""The caller's say in what a call means: each method gives a decorated function again."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from autovmap._bind.trees import one_level
from autovmap._cache import BoundedCache
from autovmap._spec.extent import checked_sizes
from autovmap._spec.fold import read_reduce
from autovmap._spec.options import refuse_unknown_options
from autovmap._spec.spec import Declaration
from autovmap.errors import SpecError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

VARIANTS = 64
"""How many of a function's variants (`f.batch(10)`, ...) are kept, each with its plans."""


class Meaning(Generic[P, R]):
    """What a decorated function is under other batch axes, groups and options."""

    __wrapped__: Any
    _declared: Declaration
    _signature: Any
    _named_by: Any
    _skip_first: bool
    _variants: BoundedCache[Any]
    _spec: Any

    @property
    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter."""
        raise NotImplementedError

    def _variant(self, key: Hashable, declared: Declaration, function: Any = None) -> Self:
        """The same under another declaration, or another function under the same; made once."""
        found = self._variants.get(key)
        if found is None:
            found = self.declared_as(declared, function)
            self._variants.put(key, found)
        return found

    def declared_as(self, declared: Declaration, function: Any = None) -> Self:
        """The same under another declaration, or another function; made anew."""
        function = self.__wrapped__ if function is None else function
        parts = (self._signature, self._named_by, self._skip_first)
        return cast("Any", type(self))(function, declared, *parts)

    def batch(self, *shape: int) -> Self:
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

        Raises:
            SpecError: a size is no non-negative int.
        """
        sizes = checked_sizes(shape, self._spec.function)
        extent = self._declared.extent
        extent = replace(extent, prepended=sizes + extent.prepended)
        return self._variant(("batch", sizes), replace(self._declared, extent=extent))

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
            SpecError: a group names what is no ranked parameter, or one stands in two groups.
            BatchShapeError: in a call, an argument with batch dims stands in no group.
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

    def reduce(self, folds: Any, *, axes: Any = None) -> Self:
        """Fold the results over the batch, which is never held: one result for all examples.

        As `jnp`'s function of that name over the batched result, dtypes included. In chunks only
        the fold is kept, and over a mesh one all-reduce for each output finishes it.

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
                these, None for an output that is not folded. Where the identity is a tree, what
                combines takes and gives such trees.
            axes: the batch axes to fold, as indices into the batch shape or as names; all of
                them without it.

        Raises:
            SpecError: there is no such fold, or the function is folded already.
            BatchShapeError: in a call, the batch shape has no such axis, or it is empty and the
                fold has no identity.
        """
        if self._declared.reduce is not None:
            raise SpecError(
                f"{self._spec.function}.reduce(): it is folded already, by "
                f".reduce({self._declared.reduce}); say all folds in one call, as a prefix of the "
                f"result"
            )
        reduce = read_reduce(folds, axes, self._spec.function, one_level)
        return self._variant(("reduce", reduce), replace(self._declared, reduce=reduce))

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
            SpecError: there is no such option, or it has not such a value.
        """
        refuse_unknown_options(options, self._spec.function)
        merged = {**(self._declared.options or {}), **options}
        key = ("replace", *((name, repr(options[name]), options[name]) for name in sorted(options)))
        return self._variant(key, replace(self._declared, options=merged))
