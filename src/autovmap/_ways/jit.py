"""`f.jit()`: a small object whose call is `jax.jit`'s own, so that a call costs no more."""

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of, shown
from autovmap._cache import BoundedCache
from autovmap._function.identity import BoundTransform, by_name, keep_abstract
from autovmap._run.carried import carried
from autovmap._show.plan import Plan
from autovmap._spec.annotations.scope import scope_of
from autovmap._spec.ranks import is_mapped
from autovmap._spec.spec import KEYWORD_ONLY, POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, Spec
from autovmap._ways.split import Partition
from autovmap._ways.statics import given_names, refuse_changing, static_names
from autovmap.errors import SpecError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

EIGHTH = 8
"""With so many different values of a static number, there is a warning."""
TYPES = 256
"""For how many classes it is remembered whether their objects are traced."""
METHODS = ("lower", "trace", "eval_shape")
STEP = "jit: compiled once for each structure, shapes, dtypes and static values"


@dataclass(frozen=True, slots=True)
class Told:
    """What a program was told when it was made."""

    name: str
    parameters: tuple[str, ...]
    static: tuple[str, ...]
    donated: tuple[str, ...] = ()
    partition: bool = False
    given: tuple[tuple[str, Any], ...] = ()
    """The options as the caller gave them."""

    def options(self) -> dict[str, Any]:
        """What `.jit()` is called with to get the same of another function."""
        return dict(self.given)


class Jitted(Generic[P, R]):
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
    lower: Any
    trace: Any
    eval_shape: Any
    clear_cache: Any

    if TYPE_CHECKING:

        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
            """Call the compiled program."""
            ...

    def __init__(self, function: Any, told: "Told") -> None:
        """Use `f.jit()`."""
        functools.update_wrapper(cast("Any", self), function, updated=())
        keep_abstract(self, function)
        self.__wrapped__ = function
        self._told = told
        self._ways: BoundedCache[Any] = BoundedCache(TYPES)

    def plan(self, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """What a call would do: see `AutoVmapped.plan`."""
        return with_step(self._function.plan(*args, **kwargs), STEP)

    def plan_with_outputs(self, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """The plan with the result's shapes: see `AutoVmapped.plan_with_outputs`."""
        return with_step(self._function.plan_with_outputs(*args, **kwargs), STEP)

    @property
    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter."""
        return self._function.ranks

    @property
    def signature(self) -> str | None:
        """The declaration as a gufunc signature: see `AutoVmapped.signature`."""
        return self._function.signature

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
        return self._told.static

    @property
    def _function(self) -> Any:
        return self.__wrapped__

    def jit(self, **options: Any) -> "Jitted[P, R]":
        """Itself; with options, the function compiled under these instead."""
        return self._function.jit(**options) if options else self

    def batch(self, *shape: int) -> "Jitted[P, R]":
        """Prepend batch axes: see `AutoVmapped.batch`."""
        return self._again(self._function.batch(*shape))

    def outer(self, *groups: str | tuple[str, ...]) -> "Jitted[P, R]":
        """Groups of arguments side by side: see `AutoVmapped.outer`."""
        return self._again(self._function.outer(*groups))

    def replace(self, **options: Any) -> "Jitted[P, R]":
        """Other options: see `AutoVmapped.replace`."""
        return self._again(self._function.replace(**options))

    def lift(self, transform: Callable[[Any], Any]) -> "Jitted[P, Any]":
        """The transformed plain function: see `AutoVmapped.lift`."""
        return self._again(self._function.lift(transform))

    def reduce(self, folds: Any, *, axes: Any = None) -> "Jitted[P, R]":
        """Fold the results over the batch: see `AutoVmapped.reduce`."""
        return self._again(self._function.reduce(folds, axes=axes))

    def chunk(self, *args: Any, **kwargs: Any) -> "Jitted[P, R]":
        """At most so many examples at once: see `AutoVmapped.chunk`."""
        return self._again(self._function.chunk(*args, **kwargs))

    def shard(self, *args: Any, **kwargs: Any) -> "Jitted[P, R]":
        """Batch axes over mesh axes: see `AutoVmapped.shard`."""
        return self._again(self._function.shard(*args, **kwargs))

    def loop(self) -> Any:
        """Refused: what is compiled runs on no real example."""
        return self._function.loop().jit()

    def bucket(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: buckets keep compiled programs of their own."""
        return self._function.bucket(*args, **kwargs).jit()

    def _again(self, function: Any) -> "Jitted[P, Any]":
        return function.jit(**self._told.options())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The bound view on an instance: the same programs, with the object as first argument."""
        return self if instance is None else BoundJitted(self, instance)

    def program_for(self, instance: Any) -> Any:
        """The callable for an object as first argument: traced if a pytree, static if constant.

        Raises:
            SpecError: it is neither; see `changes`.
        """
        cls = type(instance)
        found = self._ways.get(cls)
        if found is None:
            if self._told.partition or not jax.tree_util.all_leaves([instance]):
                found = self
            else:
                first = next(iter(self._told.parameters))
                if not isinstance(instance, type):
                    refuse_changing(instance, f"{self._told.name}.jit(): {first}")
                static = (*self._told.static, first)
                told = replace(self._told, static=static)
                found = make_jitted(self._function, told)
            self._ways.put(cls, found)
        return found

    def __repr__(self) -> str:
        return f"{self._function!r}.jit()"

    def __reduce__(self) -> Any:
        """By reference, as functions are pickled; or as the function and the options."""
        if by_name(self) is self:
            return self.__qualname__
        return _made_again, (self._function, self._told.options())

    __name__: str
    __qualname__: str


def _made_again(function: Any, options: dict[str, Any]) -> Any:
    return function.jit(**options)


if TYPE_CHECKING:

    class Partial(functools.partial[Any], Generic[P, R]):
        """`functools.partial` with the types of the other parameters."""

        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R: ...

else:

    class Partial(functools.partial, Generic[P, R]):
        """`functools.partial`, which binds at C speed, with type arguments."""


class BoundJitted(Partial[P, R]):
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

    jitted: Jitted[..., Any]

    def __new__(cls, jitted: Jitted[..., Any], instance: Any) -> "BoundJitted[..., Any]":
        self = super().__new__(cls, jitted.program_for(instance), instance)
        self.jitted = jitted
        return self

    @property
    def __wrapped__(self) -> Any:
        instance = self.args[0]
        return self.jitted.__wrapped__.__get__(instance, type(instance))

    @property
    def __name__(self) -> str:
        return self.jitted.__name__

    @property
    def __self__(self) -> Any:
        return self.args[0]

    @property
    def __isabstractmethod__(self) -> bool:
        return getattr(self.jitted, "__isabstractmethod__", False)

    @property
    def _program(self) -> Any:
        return self.func

    def plan(self, /, *args: Any, **kwargs: Any) -> Plan:
        """What a call would do: see `AutoVmapped.plan`."""
        return self.jitted.plan(self.args[0], *args, **kwargs)

    def plan_with_outputs(self, /, *args: Any, **kwargs: Any) -> Plan:
        """The plan with the result's shapes: see `AutoVmapped.plan_with_outputs`."""
        return self.jitted.plan_with_outputs(self.args[0], *args, **kwargs)

    @property
    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter, the bound one's too if it is ranked."""
        return self.jitted.ranks

    @property
    def signature(self) -> str | None:
        """The declaration as a gufunc signature: see `AutoVmapped.signature`."""
        return self.jitted.signature

    @property
    def static_argnames(self) -> tuple[str, ...]:
        """The parameters whose values are compiled in."""
        return self.jitted.static_argnames

    def lower(self, /, *args: Any, **kwargs: Any) -> Any:
        """As of `jax.jit`'s objects, with the object bound."""
        return self._program.lower(self.args[0], *args, **kwargs)

    def trace(self, /, *args: Any, **kwargs: Any) -> Any:
        """As of `jax.jit`'s objects, with the object bound."""
        return self._program.trace(self.args[0], *args, **kwargs)

    def eval_shape(self, /, *args: Any, **kwargs: Any) -> Any:
        """As of `jax.jit`'s objects, with the object bound."""
        return self._program.eval_shape(self.args[0], *args, **kwargs)

    def clear_cache(self) -> None:
        """As of `jax.jit`'s objects: of the class's program, for all its objects."""
        self._program.clear_cache()

    def jit(self, **options: Any) -> "BoundJitted[..., Any]":
        """Itself; with options, the method compiled under these instead."""
        return BoundJitted(self.jitted.jit(**options), self.args[0]) if options else self

    def batch(self, *shape: int) -> "BoundJitted[..., Any]":
        """Prepend batch axes: see `AutoVmapped.batch`."""
        return BoundJitted(self.jitted.batch(*shape), self.args[0])

    def outer(self, *groups: str | tuple[str, ...]) -> "BoundJitted[..., Any]":
        """Groups of arguments side by side: see `AutoVmapped.outer`."""
        return BoundJitted(self.jitted.outer(*groups), self.args[0])

    def replace(self, **options: Any) -> "BoundJitted[..., Any]":
        """Other options: see `AutoVmapped.replace`."""
        return BoundJitted(self.jitted.replace(**options), self.args[0])

    def lift(self, transform: Callable[[Any], Any]) -> "BoundJitted[..., Any]":
        """The transformed plain method: see `AutoVmapped.lift`; it is transformed as bound."""
        return BoundJitted(self.jitted.lift(BoundTransform(transform)), self.args[0])

    def reduce(self, folds: Any, *, axes: Any = None) -> "BoundJitted[..., Any]":
        """Fold the results over the batch: see `AutoVmapped.reduce`."""
        return BoundJitted(self.jitted.reduce(folds, axes=axes), self.args[0])

    def chunk(self, *args: Any, **kwargs: Any) -> "BoundJitted[..., Any]":
        """At most so many examples at once: see `AutoVmapped.chunk`."""
        return BoundJitted(self.jitted.chunk(*args, **kwargs), self.args[0])

    def shard(self, *args: Any, **kwargs: Any) -> "BoundJitted[..., Any]":
        """Batch axes over mesh axes: see `AutoVmapped.shard`."""
        return BoundJitted(self.jitted.shard(*args, **kwargs), self.args[0])

    def loop(self) -> Any:
        """Refused: what is compiled runs on no real example."""
        return self.jitted.loop()

    def bucket(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: buckets keep compiled programs of their own."""
        return self.jitted.bucket(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<bound {self.jitted!r} with {self.args[0]!r}>"

    def __reduce__(self) -> Any:
        return BoundJitted, (self.jitted, self.args[0])


def told_of(function: Any, static: Any, donated: Any, partition: bool) -> Told:
    """Check the options of `function.jit()`.

    Raises:
        SpecError: a name is no parameter, or has a base rank and can't be static.
    """
    spec: Spec = function._spec
    names = tuple(p.name for p in spec.parameters)
    ranked = [p.name for p in spec.parameters if is_mapped(p.rank)]
    skipped = names[0] if function._skip_first and names else ""
    if static is None:
        scope = scope_of(function._named_by)
        found = static_names(
            spec, function._signature, scope, lambda x: jax.tree_util.all_leaves([x]), skipped
        )
    else:
        found = given_names(static, "static_argnames", spec.function, names, ranked)
    donate = given_names(donated or (), "donate_argnames", spec.function, names)
    both = set(found) & set(donate)
    if both or (partition and donate):
        why = f"{both.pop()!r} is static" if both else "partition=True takes arguments apart"
        raise SpecError(
            f"{spec.function}.jit(): donate_argnames={donated!r}, but {why}, so no whole argument "
            f"can be donated; leave one of them out"
        )
    given = {"static_argnames": static, "donate_argnames": donated, "partition": partition}
    kept = tuple((name, value) for name, value in given.items() if value)
    return Told(spec.function, names, found, donate, partition, kept)


def make_jitted(function: Any, told: Told) -> Jitted[..., Any]:
    """Compile a decorated function; nothing is traced before the first call."""
    entry = _entry(function, told)
    if told.partition:

        def run(args: tuple[Any, ...], kwargs: dict[str, Any], *_: Any) -> Any:
            return entry(*args, **kwargs)

        partition = Partition(run, function._spec, told.static)
        program = partition.program

        def taken_apart(method: str) -> Any:
            def split(*args: Any, **kwargs: Any) -> Any:
                return getattr(program, method)(*partition.split(args, kwargs), (), ())

            return staticmethod(split)

        def call(*args: Any, **kwargs: Any) -> Any:
            return partition(args, kwargs)

        members = {name: taken_apart(name) for name in METHODS}
        members["__call__"] = staticmethod(call)
    else:
        program = cast("Any", jax.jit)(
            entry,
            **_places(function._signature, "static", told.static),
            **_places(function._signature, "donate", told.donated),
        )
        members = {name: staticmethod(getattr(program, name)) for name in METHODS}
        members["__call__"] = staticmethod(program)
    members["clear_cache"] = staticmethod(program.clear_cache)
    cls = type("Jitted", (Jitted,), {**members, "__doc__": Jitted.__doc__, "__module__": __name__})
    return cls(function, told)


def _entry(function: Any, told: Told) -> Callable[..., Any]:
    """What is compiled; called once for each trace."""
    signature = cast("inspect.Signature", function._signature)
    seen: dict[str, set[Any]] = {name: set() for name in told.static}

    def entry(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in seen and isinstance(value, (int, float)) and not isinstance(value, bool):
                _count(seen[name], value, name, told.name)
        return carried(function.run_traced(args, kwargs), told.name)

    functools.update_wrapper(entry, function, updated=())
    named = cast("Any", entry)
    del named.__wrapped__
    named.__signature__ = signature
    return named


def _count(seen: set[Any], value: float, name: str, function: str) -> None:
    """Warn when a static number takes its eighth value."""
    if value in seen or len(seen) >= EIGHTH:
        return
    seen.add(value)
    if len(seen) == EIGHTH:
        warnings.warn(
            f"{function}.jit(): the static argument {name!r} takes its eighth value, {value!r}, "
            f"and each is compiled anew; rank it 0 ({name}=0) to trace it, or name what shall be "
            f"static in .jit(static_argnames=...)",
            stacklevel=3,
        )


def _places(signature: inspect.Signature, what: str, names: Sequence[str]) -> dict[str, Any]:
    """Parameters by number and by name, as `jax.jit` wants them."""
    if not names:
        return {}
    parameters = list(signature.parameters.values())
    by_position = (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD)
    by_name = (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY)
    named = [p for p in parameters if p.name in names]
    return {
        f"{what}_argnums": tuple(
            i for i, p in enumerate(parameters) if p.name in names and p.kind in by_position
        ),
        f"{what}_argnames": tuple(p.name for p in named if p.kind in by_name),
    }


def refuse_mixed(instance: Any, where: str) -> None:
    """Refuse a pytree as a method's object if it holds what JAX can't trace.

    Raises:
        SpecError: with the leaf's path.
    """
    flat, _ = tree_flatten_with_path(instance)
    for keys, leaf in flat:
        if keys and kind_of(type(leaf)) is Kind.OTHER and not isinstance(leaf, jax.Array):
            raise SpecError(
                f"{where}{keystr(keys)} is {shown(leaf)} of type {type(leaf).__name__}, which is "
                f"no array, beside what is traced; take such objects apart at each call: "
                f".jit(partition=True)"
            )


def with_step(plan: Plan, step: str) -> Plan:
    """A plan with what a way of running adds, in words."""
    calling = replace(plan.calling, steps=(*plan.calling.steps, step))
    return replace(plan, calling=calling)
