"""The decorated object: bind, plan, apply."""

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
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

from autovmap._bind.binder import Binder, Call, Planned, direct_arguments, may_promote
from autovmap._bind.trees import one_level
from autovmap._cache import BoundedCache
from autovmap._function.bound import BoundAutoVmapped, bind, shown
from autovmap._function.chain import chain_text
from autovmap._function.docstring import line_of, show_docstring
from autovmap._function.identity import (
    adopt,
    by_name,
    is_method,
    show_annotations,
    shown_name,
    takes_first,
)
from autovmap._function.meaning import VARIANTS
from autovmap._function.running import Running
from autovmap._plan.plan import PlanData
from autovmap._run.axis_names import naming
from autovmap._run.core import check_result
from autovmap._run.depend import refuse_dependent, shorten
from autovmap._run.failures import diagnose, hint
from autovmap._run.keydata import fold_keys
from autovmap._run.nest import Body, Direct, Nest, make_direct_nest, make_nest, run
from autovmap._run.placing import placing
from autovmap._run.result import FRONT, Result
from autovmap._show.conflict import draw_conflict
from autovmap._show.facts import calling, outputs_of, result_shapes
from autovmap._show.plan import Plan
from autovmap._show.table import note
from autovmap._spec.annotations.lazy import read_annotations
from autovmap._spec.annotations.scope import scope_of
from autovmap._spec.operands import as_signature
from autovmap._spec.ranks import is_mapped, plain
from autovmap._spec.spec import (
    POSITIONAL_ONLY,
    POSITIONAL_OR_KEYWORD,
    Declaration,
    Spec,
    read_spec,
)
from autovmap._ways.jit import Jitted, told_of
from autovmap._ways.loop_run import run_loop
from autovmap._ways.options import PLAIN
from autovmap._ways.parts import WHOLE, Parts, run_parts, run_reduced
from autovmap._ways.program import Kept, current_mesh, sharded_axes
from autovmap._ways.words import steps
from autovmap.errors import AutoVmapError, BatchShapeError, SpecError

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
S = TypeVar("S")

ARRAYS = (jax.Array, np.ndarray)


class AutoVmapped(Running[P, R]):
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
            return self._run_kept(call, args, kwargs)
        return self._run_call(call)

    def _run_kept(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a call by a kept program; a deleted array is found out here, before any trace."""
        try:
            return self._kept.run(call, args, kwargs)
        except RuntimeError as error:
            unranked = lambda: self._binder.unranked(call)  # noqa: E731
            found = diagnose(error, call.planned.plan, call.arrays(), unranked)
            if found is None:
                raise
            raise found from error

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
        if self._spec.reduce is not None:
            return run_reduced(plan, self._spec, body, arrays, groups, place, parts, state)
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
        unranked = functools.partial(self._binder.unranked, call)
        found = diagnose(error, plan, arrays, unranked)
        if found is None and isinstance(error, ValueError) and not isinstance(error, AutoVmapError):
            found = refuse_dependent(plan, body, arrays, self._groups, self._place)
        if found is not None:
            return found
        error.add_note(note(plan))
        if self._ways.bucket is not None:
            error.add_note("under .bucket(), which pads batch sizes")
        if (more := hint(error, unranked)) is not None:
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

        Args:
            args: as in a call; a `jax.ShapeDtypeStruct` may stand for an array, in arguments
                without a rank too.
            kwargs: likewise.

        Raises:
            AutoVmapError: what a call with these arguments would raise.
        """
        call = self._bind(args, kwargs, run=False)
        result = result_shapes(self._run_shapes, call)
        outputs = outputs_of(call.planned.plan, self._spec, result, self._groups, self._place)
        return Plan.of(call.planned.plan, calling(self._spec, call, self._steps(call)), outputs)

    def _steps(self, call: Call) -> tuple[str, ...]:
        """What the way of running adds to a plan, in words."""
        if self._ways == PLAIN:
            return ()
        sized = self._kept.known_size(call.planned.plan) if self._ways.compiled else None
        mesh = None
        if self._ways.shard is not None:
            mesh = dict(current_mesh(self._ways.shard.mesh, self._spec.function).shape)
        return steps(call.planned.plan, self._ways, sized, sharded_axes(call), mesh)

    def _run_shapes(self, call: Call, arrays: Sequence[Any]) -> Any:
        """What a call does, on tracers of its shapes."""
        plan, body = call.planned.plan, self._body(call)
        try:
            with naming(plan):
                return self._run_otherwise(plan, body, fold_keys(plan, arrays))
        except Exception as error:
            self._raise_explained(error, call)

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

        Raises:
            SpecError: `transform` takes no function, or returns none.
        """
        if not callable(transform):
            raise SpecError(
                f"{self._spec.function}.lift(): got {transform!r} of type "
                f"{type(transform).__name__}; give a transformation of functions, as jax.grad is"
            )
        lifted = transform(cast("Any", self.__wrapped__))
        if not callable(lifted):
            raise SpecError(
                f"{self._spec.function}.lift(): {transform!r} returned {lifted!r} of type "
                f"{type(lifted).__name__}; it has to return a function of the same parameters"
            )
        declared = replace(self._declared, lifted=True)
        return self._variant(("lift", transform), declared, lifted)

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
        """The base ranks by parameter, as they may be given to `auto_vmap` again.

        >>> from autovmap import auto_vmap
        >>> auto_vmap(0, {"a": 1})(lambda s, tree, flag: s).ranks
        {'s': 0, 'tree': {'a': 1}}

        Raises:
            SpecError: they stand in annotations that can't be read.
        """
        return {p.name: plain(p.rank) for p in self._spec.parameters if is_mapped(p.rank)}

    # A type checker tells class methods and static methods by their first parameter. `self` is
    # called a Callable: from AutoVmapped[Concatenate[...], R] mypy and pyrefly infer no S.
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], R], instance: Any, owner: S
    ) -> "BoundAutoVmapped[Q, R]": ...
    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], R], instance: S, owner: Any
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
            for name in ("_spec", "_binder", "_kept", "_checks_result", "as_bound"):
                vars(self).pop(name, None)
            self._read(skip_first=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AutoVmapped):
            return NotImplemented
        return self.__wrapped__ == other.__wrapped__ and self._told == other._told

    def __hash__(self) -> int:
        try:
            return hash((self.__wrapped__, self._told))
        except TypeError:  # a callable object that has no hash; equal ones are told the same
            return hash(self._told)

    def __repr__(self) -> str:
        told = self._told
        ranks = [f"{p.name}={plain(p.rank)!r}" for p in told.parameters if is_mapped(p.rank)]
        if told.signature is not None:
            named = {**(self._declared.named or {}), **(self._declared.ranks or {})}
            shown = [f"{name}={rank!r}" for name, rank in self.ranks.items() if name in named]
            ranks = [repr(str(told.signature)), *shown]
        if told.unread:
            ranks.insert(0, "...")
        return f"<auto_vmap({', '.join(ranks)}) of {told.function}>{self._chain()}"

    def _chain(self) -> str:
        """What callers said since it was decorated, as methods."""
        declared = self._declared
        return chain_text(
            declared.extent, declared.options, declared.lifted, declared.ways, declared.reduce
        )

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
