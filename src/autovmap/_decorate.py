"""`auto_vmap`: from what a user wrote, and a callable of any kind, to the decorated object."""

import functools
import inspect
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, overload

import jax

from autovmap._bind.kinds import shown
from autovmap._frames import interface
from autovmap._function.bound import BoundAutoVmapped
from autovmap._function.decorated import AutoVmapped
from autovmap._function.decorator import AutoVmappedClassMethod, AutoVmappedStaticMethod, Decorator
from autovmap._function.engine import Engine
from autovmap._function.identity import shown_name
from autovmap._function.known import declaration_key, find, keep
from autovmap._lines import value_text
from autovmap._spec.declaration import Declaration, is_signature
from autovmap._spec.options import DEFAULTS
from autovmap._ways.options import PLAIN
from autovmap.errors import SpecError

P = ParamSpec("P")
R = TypeVar("R")


Kind: TypeAlias = tuple[type[AutoVmapped[..., Any]], type[Engine]]
"""What a user gets, and what it runs on."""

_UNSET: Any = type("Unset", (), {"__repr__": lambda self: "unset"})()


@overload
def auto_vmap(  # pyright: ignore[reportOverlappingOverload]
    function: "staticmethod[P, R]", /
) -> AutoVmappedStaticMethod[P, R]: ...
@overload
def auto_vmap(function: "classmethod[Any, P, R]", /) -> AutoVmappedClassMethod[P, R]: ...
@overload
def auto_vmap(function: Callable[P, R], /) -> AutoVmapped[P, R]: ...
@overload
def auto_vmap(
    *by_position: Any,
    ranks: Mapping[str, Any] | None = None,
    in_axes: Any = ...,
    out_axes: Any = ...,
    axis_name: Any = ...,
    spmd_axis_name: Any = ...,
    randomness: Literal["same", "different", "error"] | None = ...,
    strict: bool = ...,
    stretch_outputs: bool = ...,
    **by_name: Any,
) -> Decorator: ...
@interface
def auto_vmap(
    *by_position: Any,
    ranks: Mapping[str, Any] | None = None,
    in_axes: Any = _UNSET,
    out_axes: Any = _UNSET,
    axis_name: Any = _UNSET,
    spmd_axis_name: Any = _UNSET,
    randomness: Literal["same", "different", "error"] | None = _UNSET,
    strict: bool = _UNSET,
    stretch_outputs: bool = _UNSET,
    **by_name: Any,
) -> Any:
    """Let a function that is written for one example take any broadcastable batch of them.

    The dims of an argument beyond its base rank are batch dims. Batch shapes broadcast as NumPy's
    do: aligned on the right, sizes of 1 and missing dims stretch. The function is wrapped in one
    `jax.vmap` for each batch axis, the leftmost outermost; an argument is mapped only where it
    has a dim other than 1, so nothing is copied and work that depends on one argument alone is
    done once for each of that argument's own examples.

    >>> import jax.numpy as jnp
    >>> @auto_vmap(s=0, v=1, m=2)
    ... def foo(s, v, m):
    ...     return v @ m @ v + s * v.size
    >>> foo(2.0, jnp.ones(3), jnp.ones((3, 3)))
    Array(15., dtype=float32)
    >>> foo(2.0, jnp.ones((7, 1, 3)), jnp.ones((7, 5, 3, 3))).shape
    (7, 5)

    A base rank is an int, None (not mapped, as a parameter that is not named), `"key"` (a PRNG
    key, typed or raw), or a pytree prefix of the argument with these at its leaves. A dict ranks
    a mapping by key, and a dataclass, NamedTuple or module by field:

    >>> @auto_vmap(state={"position": 1, "mass": 0})
    ... def momentum(state, scale=1.0):
    ...     return scale * state["mass"] * state["position"]
    >>> momentum({"mass": jnp.ones(4), "position": jnp.ones((5, 1, 3))}).shape
    (5, 4, 3)

    Without any rank, or after a leading `...`, ranks are read from the annotations, at the first
    call: jaxtyping's, and NumPy's shape-typed arrays.

    >>> import numpy as np
    >>> @auto_vmap
    ... def norm(x: np.ndarray[tuple[int], np.dtype[np.float64]], scale: float = 1.0):
    ...     return scale * jnp.sqrt(x @ x)
    >>> norm(np.ones((5, 4))).shape
    (5,)

    Options that are not given are `in_axes=0`, `out_axes=0`, `axis_name=None`,
    `spmd_axis_name=None`, `randomness=None`, `strict=False` and `stretch_outputs=True`.

    Args:
        by_position: base ranks in the order of the parameters; in a class body `self` is left out.
            A leading `...` reads those of the others from the annotations. Alone, the function.
        ranks: base ranks by name, for parameters that are named like an option.
        in_axes: where the block of batch dims sits in an argument: `k` for after `k` core dims,
            `-k` for before the last `k - 1`. An int, a dict by parameter name, or a tuple by
            position; each entry may be a pytree prefix.
        out_axes: the same for the result: an int or a pytree prefix of it.
        axis_name: names of the last batch axes, for collectives and messages: one, or a tuple.
        spmd_axis_name: as in `jax.vmap`, for the last batch axes.
        randomness: what one key means to many examples: "same" draw for all, a "different" one
            for each (the example's index is folded in), or an "error". None is "same", but
            `f.batch(...)` of one key is refused, as equal draws can't be meant there.
        strict: whether batch shapes must be equal or absent, so that nothing stretches.
        stretch_outputs: whether an output is broadcast along axes that it does not depend on; if
            not, it has size 1 there.
        by_name: base ranks by parameter name.

    Returns:
        A decorator, on which the methods of the decorated function may be said already, as in
        `@auto_vmap(x=1).jit()`. The decorated function keeps its name, signature, docstring and
        types. Every array of its result has the batch shape in front: see `AutoVmapped`.

    Raises:
        SpecError: the declaration is malformed or does not fit the function; raised when
            decorating. In a call: an argument does not have the structure or type it asks for.
        RankError: in a call, an array has fewer dims than its base rank.
        BatchShapeError: in a call, batch shapes do not broadcast.
        CoreSizeError: in a call, a core dim has another size than a signature or annotation says.
    """
    given = {
        "in_axes": in_axes,
        "out_axes": out_axes,
        "axis_name": axis_name,
        "spmd_axis_name": spmd_axis_name,
        "randomness": randomness,
        "strict": strict,
        "stretch_outputs": stretch_outputs,
    }
    assert given.keys() == DEFAULTS.keys()
    named = by_name | {name: value for name, value in given.items() if value is not _UNSET}
    _refuse_rank_first(by_position)
    if _is_bare(by_position, named, ranks):
        return decorated(by_position[0], Declaration(annotated=True))
    _refuse_function_among_ranks(by_position, named, ranks)
    annotated = not by_position and not by_name and not ranks
    if by_position and by_position[0] is Ellipsis:
        by_position, annotated = by_position[1:], True
    declared = Declaration(by_position, named, ranks, annotated=annotated)

    return Decorator(lambda function: decorated(function, declared))


def _is_bare(by_position: tuple[Any, ...], named: Mapping[str, Any], ranks: Any) -> bool:
    """Whether it is `@auto_vmap` alone: what is given is the function itself."""
    if len(by_position) != 1 or named or ranks is not None:
        return False
    only = by_position[0]
    return callable(only) or isinstance(only, (staticmethod, classmethod))


def _refuse_rank_first(by_position: tuple[Any, ...]) -> None:
    """A rank from the object, as the first by position, would be taken for the function."""
    first = by_position[0] if by_position else None
    if type(first) is not types.FunctionType or first.__name__ != "<lambda>":
        return
    if first.__code__.co_varnames[: first.__code__.co_argcount] == ("self",):
        raise SpecError(
            "auto_vmap(lambda self: ...): a function in the first place is taken for the one to "
            "decorate; for a rank that the object of a method knows, name the parameter, as in "
            "@auto_vmap(x=lambda self: self.ndim)"
        )


AS_VMAP = {"in_axes", "out_axes", "axis_name", "spmd_axis_name"}
"""The options that `jax.vmap` has as well."""


def _needed(function: Any) -> list[str]:
    """The names of a callable's parameters without a default, as far as they are known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is p.empty]


def _refuse_function_among_ranks(
    by_position: tuple[Any, ...], named: Mapping[str, Any], ranks: Any
) -> None:
    """A function in front of its ranks, as `jax.vmap` is called, would be taken for a rank."""
    if not by_position:
        return
    first = by_position[0]
    if not isinstance(first, (staticmethod, classmethod)) and (
        not callable(first) or _is_node(first)
    ):
        return
    said = [value_text(rank) for rank in by_position[1:]]
    said += [f"{name}={value_text(value)}" for name, value in named.items()]
    said += [] if ranks is None else [f"ranks={value_text(ranks)}"]
    name, rest = shown_name(first), ", ".join(said)
    if len(by_position) == 1 and not ranks and named.keys() <= AS_VMAP:
        declared = ", ".join(f"{parameter}=1" for parameter in _needed(first))
        raise SpecError(
            f"auto_vmap({name}, {rest}): base ranks are missing; write "
            f"auto_vmap({declared or '...'})({name}) if all are vectors, else each argument's own "
            f"number of dims for one example; or use autovmap.compat.jax.vmap, which is called "
            f"like jax.vmap"
        )
    signature = named.get("signature")
    meant = repr(signature) if len(named) == 1 and is_signature(signature) else rest
    raise SpecError(
        f"auto_vmap({name}, {rest}): the ranks come first, then the function; write "
        f"auto_vmap({meant})({name})"
    )


@interface
def infer_ranks(function: Callable[..., Any]) -> dict[str, Any]:
    """The base ranks that a function's annotations say, as `f.ranks` gives them.

    >>> import numpy as np
    >>> Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
    >>> Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]
    >>> def apply(matrix: Matrix, vector: Vector, steps: int = 1):
    ...     return matrix @ vector
    >>> infer_ranks(apply)
    {'matrix': 2, 'vector': 1}

    Args:
        function: a plain function, or a decorated one, whose ranks are what it was told.

    Raises:
        SpecError: no parameter is annotated, an annotation does not resolve, or it leaves the
            number of dims open.
    """
    known = isinstance(function, (AutoVmapped, BoundAutoVmapped))
    decorated_function: Any = function if known else auto_vmap(function)
    return decorated_function.ranks


def decorated(
    function: Any,
    declared: Declaration,
    face: type[AutoVmapped[..., Any]] = AutoVmapped,
    engine: type[Engine] = Engine,
) -> Any:
    """The decorated object, of this kind, for a callable of any kind."""
    return _decorated(function, declared, (face, engine))


def _decorated(function: Any, declared: Declaration, kind: Kind) -> Any:
    if isinstance(function, staticmethod):
        return AutoVmappedStaticMethod(_checked(_inner(function), declared, kind, skip_first=False))
    if isinstance(function, classmethod):
        return AutoVmappedClassMethod(_checked(_inner(function), declared, kind, skip_first=True))
    if inspect.ismethod(function) and _is_fixed(function.__self__):
        method = _checked(function.__func__, declared, kind, skip_first=True)
        return BoundAutoVmapped(method, function.__self__)
    if callable(function) and _is_node(function) and not isinstance(function, type):
        return _of_module(function, declared, kind)
    return _checked(function, declared, kind)


def _is_fixed(instance: Any) -> bool:
    """Whether a method's object is traced or constant, so that programs serve all its methods."""
    if _is_node(instance):
        return True
    if isinstance(instance, type):
        return False
    from autovmap._ways.constant import is_constant

    return is_constant(instance)


def _is_node(value: Any) -> bool:
    """Whether JAX takes a value for a pytree with something in it to trace."""
    return not jax.tree_util.all_leaves([value])


def _of_module(module: Any, declared: Declaration, kind: Kind) -> BoundAutoVmapped[..., Any]:
    """A callable pytree, as the bound form of its class's `__call__`, so that it stays a pytree."""
    call = type(module).__call__
    signature = _signature(module)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    if "self" in signature.parameters:
        itself = itself.replace(name="self_")
    signature = signature.replace(parameters=[itself, *signature.parameters.values()])
    named_by = module if hasattr(module, "__name__") else call
    face, engine = kind
    return BoundAutoVmapped(face(engine(call, declared, PLAIN, signature, named_by)), module)


def _inner(method: Any) -> Any:
    """The function in a class method or static method."""
    return method.__func__


def _checked(
    function: Any,
    declared: Declaration,
    kind: Kind,
    skip_first: bool | None = None,
) -> Any:
    face, engine = kind
    key = declaration_key(declared, skip_first, function)
    found = find(function, key, face)
    if found is not None:
        return found
    if not callable(function):
        said_by = "auto_vmap" if kind[0] is AutoVmapped else "named_vmap"
        where = "in front of a function"
        if isinstance(function, property):
            where = "below @property, in front of the function itself"
        raise SpecError(
            f"{said_by}(...) decorates a callable, but got {shown(function)} of type "
            f"{type(function).__name__}; put it {where}"
        )
    _refuse_later(function)
    signature = _signature(function)
    try:
        made = face(engine(function, declared, PLAIN, signature, None, skip_first))
    except SpecError as error:
        error.reword(error.message + _whose(function, error.message))
        raise
    keep(function, key, made)
    return made


def _whose(function: Any, said: str) -> str:
    """Where else a parameter may be that a class or a partial does not have."""
    found = re.search(r"has no parameter '(\w+)'", said)
    if found is None:
        return ""
    if isinstance(function, type):
        return f". {function.__name__} is a class: to map one of its methods, decorate the method"
    if isinstance(function, functools.partial):
        bound = inspect.signature(function.func).bind_partial(*function.args)
        if found[1] in bound.arguments:
            return f". functools.partial has given {found[1]} its value"
    return ""


LATER = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR
"""The flags of code that does not run when it is called."""


def _refuse_later(function: Any) -> None:
    """Refuse a function whose body does not run when it is called."""
    plain = type(function) is types.FunctionType and not function.__dict__
    if plain and not function.__code__.co_flags & LATER:
        return  # in its `__dict__` it may be marked as one all the same
    call = inspect.getattr_static(type(function), "__call__", None)
    for refused, what in (
        (inspect.iscoroutinefunction, "an async function"),
        (inspect.isasyncgenfunction, "an async generator function"),
        (inspect.isgeneratorfunction, "a generator function"),
    ):
        if refused(function) or refused(call):
            raise SpecError(
                f"{shown_name(function)}() is {what}, whose body does not run when it is called; "
                f"decorate a plain function that returns its values"
            )


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        name = getattr(function, "__name__", repr(function))
        raise SpecError(
            f"{name} has no signature that Python can read, so there are no parameters to rank; "
            f"wrap it in a function of your own, as in lambda x: {name}(x)"
        ) from error
