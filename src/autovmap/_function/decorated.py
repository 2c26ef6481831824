"""The decorated function: the engine's first face, which holds all that is made of it."""

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Self, cast, overload

from autovmap._cache import BoundedCache
from autovmap._frames import leave_out_frames
from autovmap._function.bound import BoundAutoVmapped, attributes_of, bind
from autovmap._function.compiled import Jitted, count_compiled, make_jitted
from autovmap._function.definition import Variant
from autovmap._function.engine import Engine
from autovmap._function.face import Face, P, Q, R, S
from autovmap._function.identity import (
    adopt,
    by_name,
    line_of,
    show_annotations,
    show_docstring,
    takes_first,
)
from autovmap._function.methods import Change, JitRequest
from autovmap._spec.declaration import Declaration
from autovmap._spec.ranks import is_mapped, plain
from autovmap._spec.spec import Spec
from autovmap._ways.options import Ways, refuse_jit
from autovmap.errors import SpecError

if TYPE_CHECKING:
    from autovmap._ways.jit import JitOptions


VARIANTS = 64
"""How many of a function's variants (`f.batch(10)`, ...) are kept, each with its plans."""


class AutoVmapped(Face[P, R, "Jitted[P, R]", "AutoVmapped[P, Any]"]):
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

    def __init__(self, engine: Engine) -> None:
        """Use `auto_vmap`, which checks what it is given."""
        adopt(self, engine.named_by)
        self.__wrapped__ = cast("Callable[P, R]", engine.function)
        self._take(engine)

    def _take(self, engine: Engine) -> None:
        self._engine = engine
        self._variants: BoundedCache[AutoVmapped[..., Any]] = BoundedCache(VARIANTS)
        self._jitted: BoundedCache[Jitted[..., Any]] = BoundedCache(VARIANTS)
        self._requested: BoundedCache[Jitted[..., Any]] = BoundedCache(VARIANTS)
        """The same by what was asked."""
        self._show(engine.outline)
        if engine.outline.unread:
            engine.when_read = _weakly(self)
        vars(self).pop("_as_bound", None)

    @functools.cached_property
    def _as_bound(self) -> dict[str, Any]:
        """What every bound form of this has in common."""
        # Made late: it refers back to this, which then is no rubbish at once.
        return attributes_of(self)

    def _show(self, spec: Spec) -> None:
        """Show annotations and a docstring that are true of the calls."""
        engine = self._engine
        show_annotations(self, engine.outline, engine.signature, engine.named_by)
        show_docstring(self, self._line(spec), engine.named_by)

    def _line(self, spec: Spec) -> str | None:
        """What the docstring says of the batch."""
        return line_of(spec)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function on every example of a batch at once."""
        try:
            engine = self._engine
            if engine.object_ranks is not None:
                engine = engine.for_call(args, kwargs)
            found = engine.shortcut.find(args, kwargs)
            if found is not None:
                nest, direct, mapped, plan = found
                try:
                    return direct.result.join(nest(direct, *mapped), plan)
                except Exception as error:
                    engine.explain(error, engine.bind(args, kwargs))
            return engine.call(args, kwargs)
        except Exception as error:
            leave_out_frames(error)
            raise

    def _again(self, change: Change) -> Self:
        variant = change(self._engine)
        found = self._variants.get(variant.key)
        if found is None:
            found = type(self)(self._engine.variant(variant))
            self._variants.put(variant.key, found)
        return cast("Self", found)

    def _compiled(self, request: JitRequest) -> "Jitted[P, R]":
        engine = self._engine
        found = self._requested.get(request)
        if found is not None:
            return cast("Jitted[P, R]", found)
        refuse_jit(engine.ways, engine.name)
        options = engine.jit_options(
            static=request.static_argnames,
            donated=request.donate_argnames,
            partition=request.partition,
        )
        found = self._compiled_as(options)
        self._requested.put(request, found)
        return cast("Jitted[P, R]", found)

    def _compiled_as(self, options: "JitOptions") -> "Jitted[..., Any]":
        """The compiled form under these options, made once."""
        found = self._jitted.get(options)
        if found is None:
            count_compiled(self._engine.function, self._engine.name)
            found = self._jitted.keep(options, make_jitted(self, self._engine, options))
        return found

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
        return self if instance is None else bind(self._as_bound, instance)

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn that this is a method after all, whatever its first parameter is called."""
        engine = self._engine
        qualname = getattr(engine.function, "__qualname__", "")
        stands_here = qualname == f"{owner.__qualname__}.{name}"
        if stands_here and not engine.skip_first and takes_first(engine.signature):
            if engine.declared.lifted:
                first = next(iter(engine.signature.parameters))
                raise SpecError(
                    f"{engine.name}: .lift(...) on the decorator takes the first parameter of a "
                    f"method to be its object if it is called self; here it is {first!r}: rename "
                    f"it, or lift the method where it is called, obj.{name}.lift(...)"
                )
            self._take(engine.as_method())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AutoVmapped):
            return NotImplemented
        return self._engine == other._engine

    def __hash__(self) -> int:
        return hash(self._engine)

    def __repr__(self) -> str:
        return f"<auto_vmap({self._said()}) of {self._engine.name}>{self._chain()}"

    def _said(self) -> str:
        """What the decorator was told."""
        spec, declared = self._engine.outline, self._engine.declared
        ranks = [f"{p.name}={plain(p.rank)!r}" for p in spec.parameters if is_mapped(p.rank)]
        if spec.signature is not None:
            named = {**(declared.named or {}), **(declared.ranks or {})}
            by_name = [f"{name}={rank!r}" for name, rank in self.ranks.items() if name in named]
            ranks = [repr(str(spec.signature)), *by_name]
        if spec.unread:
            ranks.insert(0, "...")
        return ", ".join(ranks)

    def _chain(self) -> str:
        """What callers said since it was decorated, as methods."""
        from autovmap._ways.words import chain_text

        declared = self._engine.declared
        extent, options = declared.extent, declared.options
        return chain_text(extent, options, declared.lifted, self._engine.ways, declared.reduce)

    def __reduce__(self) -> Any:
        """By reference where its name leads back to it, as functions are pickled.

        What was made of such a one (`f.chunk(10)`) is that one under another declaration.
        """
        engine = self._engine
        found = by_name(self)
        if found is self:
            return self.__qualname__
        origin = _origin(found)
        if origin is not None and origin.__wrapped__ is self.__wrapped__:
            said = None if origin is self else (engine.declared, engine.ways)
            return _declared_again, (found, said)
        own = inspect.signature(engine.function) == engine.signature  # may hold what won't pickle
        parts = (None if own else engine.signature, engine.named_by, engine.skip_first)
        kind = (type(self), type(engine))
        return _made_again, (*kind, engine.function, engine.declared, engine.ways, *parts)


def _weakly(face: AutoVmapped[..., Any]) -> Callable[[Spec], None]:
    """`face._show`, without a reference from the engine back to its face."""
    reference = weakref.ref(face)

    def show(spec: Spec) -> None:
        found = reference()
        if found is not None:
            found._show(spec)  # pyright: ignore[reportPrivateUsage]

    return show


def _made_again(
    face: type[AutoVmapped[..., Any]], engine: type[Engine], *parts: Any
) -> AutoVmapped[..., Any]:
    """A decorated function of this class, when it is unpickled."""
    return face(engine(*parts))


def _origin(found: Any) -> AutoVmapped[..., Any] | None:
    """The decorated function in what stands under a name: itself, compiled, or a class's."""
    if isinstance(found, Jitted):
        found = found.__wrapped__
    elif isinstance(found, BoundAutoVmapped):
        found = found.__func__
    return found if isinstance(found, AutoVmapped) else None


def _declared_again(found: Any, said: tuple[Declaration, Ways] | None) -> AutoVmapped[..., Any]:
    """The decorated function under another declaration, when it is unpickled."""
    origin = cast("AutoVmapped[..., Any]", _origin(found))
    if said is None:
        return origin
    engine = origin._engine  # pyright: ignore[reportPrivateUsage]
    return type(origin)(engine.variant(Variant(None, *said)))
