"""What `auto_vmap(...)` returns: the decorator, on which callers' methods may be said already.

`@auto_vmap(x=1).jit()` is `auto_vmap(x=1)` with what is then called on the decorated function. What
is said is kept until there is a function: names of parameters are checked then.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, cast, overload

from autovmap._frames import interface
from autovmap._function.bound import BoundAutoVmapped
from autovmap._function.compiled import BoundJitted, Jitted, bound_jitted
from autovmap._function.decorated import AutoVmapped
from autovmap._function.definition import Definition
from autovmap._function.face import P, R, S
from autovmap._function.methods import NO_REQUEST, Change, Compiled, JitRequest, Lifted, Methods

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


class JittedStaticMethod(StaticMethod[P, R]):
    """What `auto_vmap(...).jit()` makes of a `staticmethod`: one of a compiled function."""

    def __get__(self, instance: Any, owner: Any = None) -> Jitted[P, R]:
        """The compiled function itself."""
        return cast("Jitted[P, R]", self.__func__)


class JittedClassMethod(ClassMethod[Any, P, R]):
    """What `auto_vmap(...).jit()` makes of a `classmethod`: one of a compiled function."""

    def __get__(self, instance: Any, owner: Any = None) -> BoundJitted[P, R]:
        """The compiled function with the class bound."""
        function = cast("Jitted[..., R]", self.__func__)
        return bound_jitted(function, type(instance) if owner is None else owner)


class Chain(Methods[Compiled, Lifted]):
    """A decorator, and what is to be called on the function that it will decorate."""

    def __init__(
        self,
        make: Callable[[Any], Any],
        changes: tuple[Change, ...] = (),
        request: JitRequest | None = None,
    ) -> None:
        """`make` decorates a function without what is asked."""
        self._make = make
        self._changes = changes
        self._request = request

    def _again(self, change: Change) -> Self:
        return type(self)(self._make, (*self._changes, change), self._request)

    def _compiled(self, request: JitRequest) -> Compiled:
        if self._request is not None and request == NO_REQUEST:
            request = self._request
        return cast("Compiled", JitDecorator(self._make, self._changes, request))

    def _binds(self, engine: Definition) -> bool:
        return engine.skip_first

    def _decorate(self, function: Any) -> Any:
        made = self._make(function)
        if isinstance(made, AutoVmappedStaticMethod):
            kind = AutoVmappedStaticMethod if self._request is None else JittedStaticMethod
            return kind(self._asked_of(made.__func__))
        if isinstance(made, AutoVmappedClassMethod):
            kind = AutoVmappedClassMethod if self._request is None else JittedClassMethod
            return kind(self._asked_of(made.__func__))
        return self._asked_of(made)

    def _asked_of(self, face: Any) -> Any:
        """What is asked, of a decorated function."""
        for change in self._changes:
            face = face._again(change)
        return face if self._request is None else face._compiled(self._request)


class Decorator(Chain["JitDecorator", "LiftedDecorator"]):
    """What `auto_vmap(...)` returns.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> @auto_vmap(x=1).jit()
    ... def total(x):
    ...     return x.sum()
    >>> total
    <auto_vmap(x=1) of total>.jit()
    >>> total(jnp.ones((5, 3))).shape
    (5,)
    """

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: "staticmethod[P, R]", /
    ) -> AutoVmappedStaticMethod[P, R]: ...
    @overload
    def __call__(self, function: "classmethod[Any, P, R]", /) -> AutoVmappedClassMethod[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> AutoVmapped[P, R]: ...
    @interface
    def __call__(self, function: Any, /) -> Any:
        """Decorate a function."""
        return self._decorate(function)


class JitDecorator(Chain["JitDecorator", "LiftedJitDecorator"]):
    """What `auto_vmap(...).jit()` returns."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: "staticmethod[P, R]", /
    ) -> JittedStaticMethod[P, R]: ...
    @overload
    def __call__(self, function: "classmethod[Any, P, R]", /) -> JittedClassMethod[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Jitted[P, R]: ...
    @interface
    def __call__(self, function: Any, /) -> Any:
        """Decorate a function."""
        return self._decorate(function)


if TYPE_CHECKING:  # when it runs, these are the two above

    class LiftedDecorator(Chain["LiftedJitDecorator", "LiftedDecorator"]):
        """What `auto_vmap(...).lift(...)` returns: results are of any type."""

        @overload
        def __call__(  # pyright: ignore[reportOverlappingOverload]
            self, function: "staticmethod[P, Any]", /
        ) -> AutoVmappedStaticMethod[P, Any]: ...
        @overload
        def __call__(
            self, function: "classmethod[Any, P, Any]", /
        ) -> AutoVmappedClassMethod[P, Any]: ...
        @overload
        def __call__(self, function: Callable[P, Any], /) -> AutoVmapped[P, Any]: ...
        def __call__(self, function: Any, /) -> Any: ...

    class LiftedJitDecorator(Chain["LiftedJitDecorator", "LiftedJitDecorator"]):
        """What `auto_vmap(...).lift(...).jit()` returns: results are of any type."""

        @overload
        def __call__(  # pyright: ignore[reportOverlappingOverload]
            self, function: "staticmethod[P, Any]", /
        ) -> JittedStaticMethod[P, Any]: ...
        @overload
        def __call__(
            self, function: "classmethod[Any, P, Any]", /
        ) -> JittedClassMethod[P, Any]: ...
        @overload
        def __call__(self, function: Callable[P, Any], /) -> Jitted[P, Any]: ...
        def __call__(self, function: Any, /) -> Any: ...
