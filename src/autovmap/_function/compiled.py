"""The compiled forms: small objects whose call is `jax.jit`'s, or a frame around it."""

import functools
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Self, cast, overload

import jax

from autovmap._bind.leaves import refuse_no_node
from autovmap._cache import BoundedCache
from autovmap._frames import warn
from autovmap._function.engine import Engine
from autovmap._function.face import Face, P, Q, R, S
from autovmap._function.identity import by_name, keep_abstract
from autovmap._function.methods import NO_REQUEST, Change, JitRequest

if TYPE_CHECKING:
    from autovmap._ways.jit import JitOptions


STEP = "jit: compiled once for each structure, shapes, dtypes and static values"
EIGHTH = 8
"""With so many functions of one code compiled, there is a warning."""
CODES = 1024
"""For how many codes that is counted."""
TYPES = 256
"""For how many classes it is remembered whether their objects are traced."""


class Jitted(Face[P, R, "Jitted[P, R]", "Jitted[P, Any]"]):
    """A compiled function that takes any broadcastable batch; `f.jit()` makes it.

    Each one is of a class of its own, whose `__call__` is the `jax.jit` of the plan.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> total = auto_vmap(x=1)(lambda x: x.sum()).jit()
    >>> total(jnp.ones((5, 3))).shape
    (5,)
    >>> total.jit() is total
    True
    """

    __wrapped__: Callable[P, R]
    __name__: str
    __qualname__: str
    lower: Any
    trace: Any
    eval_shape: Any
    clear_cache: Any
    _steps = (STEP,)

    if TYPE_CHECKING:

        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
            """Call the compiled program."""
            ...

    def __init__(self, function: Any, engine: Engine, options: "JitOptions") -> None:
        """Use `f.jit()`."""
        functools.update_wrapper(cast("Any", self), function, updated=())
        keep_abstract(self, function)
        self.__wrapped__ = function
        self._function: Any = function
        self._engine = engine
        self._options = options
        self._programs: BoundedCache[Jitted[..., Any]] = BoundedCache(TYPES)

    @property
    def static_argnames(self) -> tuple[str, ...]:
        """The parameters whose values are compiled in.

        >>> from autovmap import auto_vmap
        >>> @auto_vmap(x=1)
        ... def power(x, n: int, scale=1.0):
        ...     return scale * x**n
        >>> power.jit().static_argnames
        ('n',)
        """
        return self._options.static

    def _again(self, change: Change) -> Self:
        return self._function._again(change).jit(**self._options.options())

    def _compiled(self, request: JitRequest) -> "Jitted[P, R]":
        """Itself; with options, the function compiled under these instead."""
        return self if request == NO_REQUEST else self._function._compiled(request)

    # As of `AutoVmapped`, for type checkers.
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], R], instance: Any, owner: S
    ) -> "BoundJitted[Q, R]": ...
    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], R], instance: S, owner: Any
    ) -> "BoundJitted[Q, R]": ...
    @overload
    def __get__(self, instance: object, owner: Any) -> Self: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """The bound view on an instance: the same programs, with the object as first argument."""
        if instance is None:
            return self
        return BoundJitted(self, self._program_for(instance), instance)

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn that this is a method: see `AutoVmapped.__set_name__`."""
        self._function.__set_name__(owner, name)
        if self._function._engine is not self._engine:
            setattr(owner, name, self._function.jit(**self._options.options()))

    def _program_for(self, instance: Any) -> "Jitted[..., Any]":
        """The compiled form for an object as first argument: traced if a pytree, else static.

        Raises:
            SpecError: it is neither a pytree nor constant; see `refuse_changing`.
        """
        cls = type(instance)
        found = self._programs.get(cls)
        if found is None:
            found = self
            options = self._options
            if not options.partition and jax.tree_util.all_leaves([instance]):
                first = options.parameters[0]
                if not isinstance(instance, type):
                    from autovmap._ways.statics import refuse_changing

                    rank = self._engine.spec.parameters[0].rank
                    refuse_no_node(instance, rank, f"{options.name}(): {first}")
                    refuse_changing(instance, f"{options.name}.jit(): {first}", fixed=True)
                static = replace(options, static=(*options.static, first))
                found = make_jitted(self._function, self._engine, static)
            self._programs.put(cls, found)
        return found

    def __repr__(self) -> str:
        return f"{self._function!r}.jit()"

    def __reduce__(self) -> Any:
        """By reference, as functions are pickled; or as the function and the options."""
        if by_name(self) is self:
            return self.__qualname__
        return _made_again, (self._function, self._options.options())


class Compiled:
    """How many functions of one code were compiled, and which of them live."""

    def __init__(self) -> None:
        self.count = 0
        self.alive: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
        """By identity: bound methods are made anew each time, and equal."""


_compiled: BoundedCache[Compiled] = BoundedCache(CODES)


def count_compiled(function: Any, name: str) -> None:
    """Warn when the same code is compiled for the eighth time, each time in a new function."""
    code = getattr(function, "__code__", None)
    if code is None:
        return
    seen = _compiled.keep(code, Compiled())
    if seen.alive.get(id(function)) is function:
        return
    seen.alive[id(function)] = function
    seen.count += 1
    if seen.count == EIGHTH:
        warn(
            f"{name}.jit(): the same code is being compiled for the eighth time, because its "
            f"function is defined again each time; declare it once, outside, and pass what it "
            f"closes over as arguments"
        )


def make_jitted(function: Any, engine: Engine, options: "JitOptions") -> Jitted[..., Any]:
    """Compile a decorated function; nothing is traced before the first call."""
    from autovmap._ways.jit import make_program

    static = options
    if engine.class_first and options.parameters[0] not in options.static:
        # Python 3.13's classmethod hands the class itself to what it stands above.
        static = replace(options, static=(*options.static, options.parameters[0]))
    cls = type("Jitted", (Jitted,), {"__doc__": Jitted.__doc__, "__module__": __name__})

    known = weakref.ref(cls)  # as what is compiled keeps `settle`, and the class what is compiled

    def settle(call: Callable[..., Any]) -> None:
        if (found := known()) is not None:
            cast("Any", found).__call__ = staticmethod(call)

    program = make_program(
        engine.run_traced, engine.spec, engine.signature, function, static, engine.bind, settle
    )
    settle(program.call)
    for name in ("lower", "trace", "eval_shape", "clear_cache"):
        setattr(cls, name, staticmethod(getattr(program, name)))
    return cls(function, engine, options)


def _made_again(function: Any, options: dict[str, Any]) -> Any:
    return function.jit(**options)


if TYPE_CHECKING:

    class Partial(functools.partial[Any], Generic[P, R]):
        """`functools.partial` with the types of the other parameters."""

        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...

else:

    class Partial(functools.partial, Generic[P, R]):
        """`functools.partial`, which binds at C speed, with type arguments."""


class BoundJitted(Partial[P, R], Face[P, R, "BoundJitted[P, R]", "BoundJitted[P, Any]"]):
    """A compiled method with its object: `obj.f.jit()`, a view of the class's one program.

    >>> import jax
    >>> from typing import NamedTuple
    >>> from autovmap import auto_vmap
    >>> class Line(NamedTuple):
    ...     slope: float
    ...     @auto_vmap(x=0)
    ...     def at(self, x):
    ...         return self.slope * x
    >>> Line(2.0).at.jit()(jax.numpy.arange(3.0))
    Array([0., 2., 4.], dtype=float32)
    """

    _jitted: Any  # checkers would take it for a descriptor of this class
    _steps = (STEP,)

    def __new__(cls, jitted: Jitted[..., Any], program: Any, instance: Any) -> Self:
        self = super().__new__(cls, program, instance)
        self._jitted = jitted
        self._engine = jitted._engine
        self._first = (instance,)
        return self

    def _again(self, change: Change) -> Self:
        return bound_jitted(self._jitted._again(change), self.__self__)

    def _compiled(self, request: JitRequest) -> "BoundJitted[P, R]":
        """Itself; with options, the method compiled under these instead."""
        if request == NO_REQUEST:
            return self
        return bound_jitted(self._jitted._compiled(request), self.__self__)

    @property
    def static_argnames(self) -> tuple[str, ...]:
        """The parameters whose values are compiled in."""
        return self._jitted.static_argnames

    @property
    def __wrapped__(self) -> Any:
        instance = self.__self__
        return self._jitted.__wrapped__.__get__(instance, type(instance))

    @property
    def __name__(self) -> str:
        return self._jitted.__name__

    @property
    def __self__(self) -> Any:
        return self._first[0]

    @property
    def __isabstractmethod__(self) -> bool:
        return getattr(self._jitted, "__isabstractmethod__", False)

    @property
    def _program(self) -> Any:
        return self.func

    def lower(self, /, *args: Any, **kwargs: Any) -> Any:
        """As of `jax.jit`'s objects, with the object bound."""
        return self._program.lower(*self._first, *args, **kwargs)

    def trace(self, /, *args: Any, **kwargs: Any) -> Any:
        """As of `jax.jit`'s objects, with the object bound."""
        return self._program.trace(*self._first, *args, **kwargs)

    def eval_shape(self, /, *args: Any, **kwargs: Any) -> Any:
        """As of `jax.jit`'s objects, with the object bound."""
        return self._program.eval_shape(*self._first, *args, **kwargs)

    def clear_cache(self) -> None:
        """As of `jax.jit`'s objects: of the class's program, for all its objects."""
        self._program.clear_cache()

    def __repr__(self) -> str:
        return f"<bound {self._jitted!r} with {self.__self__!r}>"

    def __reduce__(self) -> Any:
        return bound_jitted, (self._jitted, self.__self__)


def bound_jitted(jitted: Jitted[..., Any], instance: Any) -> Any:
    """A compiled function with its first argument bound."""
    return jitted.__get__(instance, type(instance))
