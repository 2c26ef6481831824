"""The bound form: a decorated method with its object, or a decorated callable module."""

import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar, cast

import jax

from autovmap._function.identity import BoundTransform
from autovmap._show.plan import Plan
from autovmap._ways.jit import BoundJitted, refuse_mixed
from autovmap._ways.program import BucketStats

Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)


@jax.tree_util.register_pytree_with_keys_class
class BoundAutoVmapped(Generic[Q, R]):
    """A decorated function with its first argument bound: a method, or a callable module.

    It is a JAX pytree with the bound object as its child, so it can be passed to `jax.jit` and
    differentiated through, and models of one structure share one compiled program.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> class Line:
    ...     @auto_vmap(x=0)
    ...     def at(self, x):
    ...         return 2 * x
    >>> Line().at(jnp.arange(3.0))
    Array([0., 2., 4.], dtype=float32)
    >>> Line().at.plan(jnp.arange(3.0)).batch_shape
    (3,)
    """

    def __init__(self, function: Any, instance: Any) -> None:
        """Made by attribute access on an instance, and by `auto_vmap` of a callable module."""
        self.__name__: str
        self.__qualname__: str
        self._function: Any
        self._instance: Any
        self.__dict__ = {**shown(function), "_instance": instance}

    def __call__(self, /, *args: Q.args, **kwargs: Q.kwargs) -> R:
        """Call the function with the bound object before the other arguments."""
        return self._function(self._instance, *args, **kwargs)

    def plan(self, /, *args: Q.args, **kwargs: Q.kwargs) -> Plan:
        """What a call with these arguments would do: see `AutoVmapped.plan`."""
        return self._function.plan(self._instance, *args, **kwargs)

    def plan_with_outputs(self, /, *args: Q.args, **kwargs: Q.kwargs) -> Plan:
        """The plan with the result's shapes: see `AutoVmapped.plan_with_outputs`."""
        return self._function.plan_with_outputs(self._instance, *args, **kwargs)

    def batch(self, *shape: int) -> "BoundAutoVmapped[Q, R]":
        """Prepend batch axes: see `AutoVmapped.batch`."""
        return BoundAutoVmapped(self._function.batch(*shape), self._instance)

    def outer(self, *groups: str | tuple[str, ...]) -> "BoundAutoVmapped[Q, R]":
        """Groups of arguments side by side: see `AutoVmapped.outer`."""
        return BoundAutoVmapped(self._function.outer(*groups), self._instance)

    def replace(self, **options: Any) -> "BoundAutoVmapped[Q, R]":
        """Other options: see `AutoVmapped.replace`."""
        return BoundAutoVmapped(self._function.replace(**options), self._instance)

    def lift(self, transform: Callable[[Any], Any]) -> "BoundAutoVmapped[Q, Any]":
        """The transformed plain method: see `AutoVmapped.lift`; it is transformed as bound."""
        return BoundAutoVmapped(self._function.lift(BoundTransform(transform)), self._instance)

    def reduce(self, folds: Any, *, axes: Any = None) -> "BoundAutoVmapped[Q, R]":
        """Fold the results over the batch: see `AutoVmapped.reduce`."""
        return BoundAutoVmapped(self._function.reduce(folds, axes=axes), self._instance)

    def loop(self) -> "BoundAutoVmapped[Q, R]":
        """A Python loop over real examples: see `AutoVmapped.loop`."""
        return BoundAutoVmapped(self._function.loop(), self._instance)

    def jit(
        self,
        *,
        static_argnames: str | Sequence[str] | None = None,
        donate_argnames: str | Sequence[str] | None = None,
        partition: bool = False,
    ) -> BoundJitted[Q, R]:
        """The same compiled, a view of its class's one program: see `AutoVmapped.jit`.

        The object is traced if it is a pytree, static if it is frozen or has a hash and equality
        of its own, and refused otherwise.
        """
        if not partition:
            refuse_mixed(self._instance, f"{self._function._spec.function}.jit(): the object")
        jitted = self._function.jit(
            static_argnames=static_argnames, donate_argnames=donate_argnames, partition=partition
        )
        return BoundJitted(jitted, self._instance)

    def chunk(
        self,
        size: int | Literal["auto"] | None = None,
        *,
        memory: int | str | None = None,
        remat: bool = False,
        progress: bool | Callable[[int, int], Any] = False,
    ) -> "BoundAutoVmapped[Q, R]":
        """At most so many examples at once: see `AutoVmapped.chunk`."""
        chunked = self._function.chunk(size, memory=memory, remat=remat, progress=progress)
        return BoundAutoVmapped(chunked, self._instance)

    def tune(self, /, *args: Q.args, **kwargs: Q.kwargs) -> int:
        """Decide the size of the chunks now: see `AutoVmapped.tune`."""
        return self._function.tune(self._instance, *args, **kwargs)

    def iter(self, /, *args: Q.args, **kwargs: Q.kwargs) -> Iterator[tuple[Any, R]]:
        """The result chunk by chunk: see `AutoVmapped.iter`."""
        return self._function.iter(self._instance, *args, **kwargs)

    def shard(self, spec: Any, mesh: Any = None) -> "BoundAutoVmapped[Q, R]":
        """Batch axes over mesh axes: see `AutoVmapped.shard`."""
        return BoundAutoVmapped(self._function.shard(spec, mesh), self._instance)

    def bucket(
        self,
        sizes: Sequence[int] | Callable[[int], int] | None = None,
        *,
        promote: int | None = 8,
    ) -> "BoundAutoVmapped[Q, R]":
        """Padded batch sizes: see `AutoVmapped.bucket`."""
        return BoundAutoVmapped(self._function.bucket(sizes, promote=promote), self._instance)

    def stats(self) -> BucketStats:
        """What the calls of an `f.bucket()` have come to: see `AutoVmapped.stats`."""
        return self._function.stats()

    @property
    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter, the bound one's too if it is ranked."""
        return self._function.ranks

    @property
    def signature(self) -> str | None:
        """The declaration as a gufunc signature: see `AutoVmapped.signature`."""
        return self._function.signature

    @property
    def __func__(self) -> Any:
        return self._function

    @property
    def __self__(self) -> Any:
        return self._instance

    @property
    def __isabstractmethod__(self) -> bool:  # asked of a class method when a subclass is made
        return getattr(self._function, "__isabstractmethod__", False)

    @property
    def __signature__(self) -> inspect.Signature:
        shown = getattr(self._function, "__signature__", self._function._signature)
        signature = cast("inspect.Signature", shown)
        parameters = list(signature.parameters.values())
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        return signature.replace(parameters=parameters)

    @property
    def __wrapped__(self) -> Callable[Q, R]:
        return types.MethodType(self._function.__wrapped__, self._instance)

    def __get__(self, instance: Any, owner: Any = None) -> Self:
        """Bound already, as a method stays what it is in another class's body."""
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundAutoVmapped):
            return NotImplemented
        return self._function == other._function and self._instance is other._instance

    def __hash__(self) -> int:
        return hash((self._function, id(self._instance)))

    def __repr__(self) -> str:
        return f"<bound {self._function!r} with {self._instance!r}>"

    def __reduce__(self) -> Any:
        """By the attribute that it is of its object, as methods are pickled, if it is one."""
        if getattr(self._instance, self.__name__, None) == self:
            return getattr, (self._instance, self.__name__)
        return BoundAutoVmapped, (self._function, self._instance)

    def tree_flatten_with_keys(self) -> Any:
        """The bound object is the child."""
        return ((jax.tree_util.GetAttrKey("__self__"), self._instance),), self._function

    @classmethod
    def tree_unflatten(cls, function: Any, children: Sequence[Any]) -> Self:
        """Whatever JAX puts in the bound object's place."""
        return cls(function, *children)


def shown(function: Any) -> dict[str, Any]:
    """What every bound form of a function has: the function, and what a reader sees of it."""
    names = ("__name__", "__qualname__", "__module__", "__doc__")
    return {"_function": function, **{name: getattr(function, name) for name in names}}


def bind(function: Any, instance: Any) -> BoundAutoVmapped[..., Any]:
    """The bound form, quickly: an attribute access makes one each time."""
    bound = object.__new__(BoundAutoVmapped)
    bound.__dict__ = {**function.as_bound, "_instance": instance}
    return bound
