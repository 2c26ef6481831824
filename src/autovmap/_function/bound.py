"""The bound form: a decorated method with its object, or a decorated callable module."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast

import jax

from autovmap._frames import leave_out_frames
from autovmap._function.compiled import BoundJitted, Jitted, bound_jitted
from autovmap._function.face import Face, Q, R
from autovmap._function.methods import Change, JitRequest


@jax.tree_util.register_pytree_with_keys_class
class BoundAutoVmapped(Face[Q, R, "BoundJitted[Q, R]", "BoundAutoVmapped[Q, Any]"]):
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

    __name__: str
    __qualname__: str

    def __init__(self, function: Any, instance: Any) -> None:
        """Made by attribute access on an instance, and by `auto_vmap` of a callable module."""
        self._function: Any
        self.__dict__ = {**function._as_bound, "_first": (instance,)}

    def __call__(self, /, *args: Q.args, **kwargs: Q.kwargs) -> R:
        """Call the function with the bound object before the other arguments."""
        try:
            return self._function(*self._first, *args, **kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise

    def _again(self, change: Change) -> Self:
        return type(self)(self._function._again(change), self.__self__)

    def _compiled(self, request: JitRequest) -> "BoundJitted[Q, R]":
        """A view of the class's one program.

        The object is traced if it is a pytree, static if it is frozen or has a hash and equality
        of its own, and refused otherwise.
        """
        if not request.partition:
            from autovmap._ways.jit import refuse_mixed

            refuse_mixed(self.__self__, f"{self._engine.name}.jit(): the object")
        jitted = cast("Jitted[..., R]", self._function._compiled(request))
        return bound_jitted(jitted, self.__self__)

    @property
    def __func__(self) -> Any:
        return self._function

    @property
    def __self__(self) -> Any:
        return self._first[0]

    @property
    def __isabstractmethod__(self) -> bool:  # asked of a class method when a subclass is made
        return getattr(self._function, "__isabstractmethod__", False)

    @property
    def __signature__(self) -> inspect.Signature:
        shown = getattr(self._function, "__signature__", self._engine.signature)
        signature = cast("inspect.Signature", shown)
        parameters = list(signature.parameters.values())
        if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        return signature.replace(parameters=parameters)

    @property
    def __wrapped__(self) -> Callable[Q, R]:
        return types.MethodType(self._engine.function, self.__self__)

    def __get__(self, instance: Any, owner: Any = None) -> Self:
        """Bound already, as a method stays what it is in another class's body."""
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundAutoVmapped):
            return NotImplemented
        return self._function == other._function and self.__self__ is other.__self__

    def __hash__(self) -> int:
        return hash((self._function, id(self.__self__)))

    def __repr__(self) -> str:
        return f"<bound {self._function!r} with {self.__self__!r}>"

    def __reduce__(self) -> Any:
        """By the attribute that it is of its object, as methods are pickled, if it is one."""
        if getattr(self.__self__, self.__name__, None) == self:
            return getattr, (self.__self__, self.__name__)
        return BoundAutoVmapped, (self._function, self.__self__)

    def tree_flatten_with_keys(self) -> Any:
        """The bound object is the child."""
        return ((jax.tree_util.GetAttrKey("__self__"), self.__self__),), self._function

    @classmethod
    def tree_unflatten(cls, function: Any, children: Sequence[Any]) -> Self:
        """Whatever JAX puts in the bound object's place."""
        return cls(function, *children)


def attributes_of(function: Any) -> dict[str, Any]:
    """What every bound form of a function has: the function, and what a reader sees of it."""
    names = ("_engine", "__name__", "__qualname__", "__module__", "__doc__")
    return {"_function": function, **{name: getattr(function, name) for name in names}}


def bind(shared: Mapping[str, Any], instance: Any) -> BoundAutoVmapped[..., Any]:
    """The bound form, quickly, from what all bound forms share: an attribute access makes one."""
    bound: BoundAutoVmapped[..., Any] = object.__new__(BoundAutoVmapped)
    bound.__dict__ = {**shared, "_first": (instance,)}
    return bound
