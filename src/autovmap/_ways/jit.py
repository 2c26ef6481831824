"""What `f.jit()` compiles: a `jax.jit` of the plan, which is made while it traces."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import jax
from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, kind_of
from autovmap._bind.style import check_arguments
from autovmap._frames import interface, leave_out_frames
from autovmap._run.result import carried
from autovmap._spec.ranks import ByName, is_mapped
from autovmap._spec.spec import (
    KEYWORD_ONLY,
    POSITIONAL_ONLY,
    POSITIONAL_OR_KEYWORD,
    VAR_KEYWORD,
    VAR_POSITIONAL,
    Spec,
)
from autovmap._ways.distinct import substituting, values_of
from autovmap._ways.jit_call import Noticed, explaining, explaining_method
from autovmap._ways.split import Partition
from autovmap._ways.statics import count_value, given_names, is_number, refuse_changing
from autovmap._ways.untraceable import Misuse, untraceable
from autovmap.errors import SpecError


@dataclass(frozen=True, slots=True)
class JitOptions:
    """Which parameters of a function are static and which donated, and what the caller said."""

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


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled function: the callables of a `jax.jit`, or those around one."""

    call: Callable[..., Any]
    lower: Callable[..., Any]
    trace: Callable[..., Any]
    eval_shape: Callable[..., Any]
    clear_cache: Callable[[], None]


def jit_options(
    spec: Spec,
    guess: Callable[[], tuple[str, ...]],
    static: Any = None,
    donated: Any = None,
    partition: bool = False,
) -> JitOptions:
    """Check the options of `f.jit()`.

    Args:
        spec: the function's.
        guess: what is static if the caller does not say it.
        static: the parameters to be static, or None.
        donated: those whose arrays may be overwritten, or None.
        partition: whether arguments are taken apart at each call.

    Raises:
        SpecError: a name is not a parameter, or has a base rank and so can't be static.
    """
    names = tuple(p.name for p in spec.parameters)
    ranked = {p.name for p in spec.parameters if is_mapped(p.rank)}
    for p in spec.parameters:
        if p.kind is VAR_KEYWORD and isinstance(p.rank, ByName):
            ranked.update(str(name) for name, _ in p.rank.children)
    found = guess() if static is None else given_names(static, "static_argnames", spec, ranked)
    donate = given_names(donated or (), "donate_argnames", spec)
    # Which values `*args` and `**kwargs` have is known at a call alone, so it is taken apart there.
    variadic = {p.name for p in spec.parameters if p.kind in (VAR_POSITIONAL, VAR_KEYWORD)}
    partition = partition or not variadic.isdisjoint(found)
    both = set(found) & set(donate)
    if both or (partition and donate):
        why = f"{both.pop()!r} is static" if both else "partition=True splits arguments"
        raise SpecError(
            f"{spec.function}.jit(): donate_argnames={donated!r}, but {why}, so no whole argument "
            f"can be donated; leave one of them out"
        )
    given = {"static_argnames": static, "donate_argnames": donated, "partition": partition}
    kept = tuple((name, _hashable(value)) for name, value in given.items() if value)
    return JitOptions(spec.function, names, found, donate, partition, kept)


def _hashable(value: Any) -> Any:
    """An option that can be part of a key: names as a tuple."""
    return value if isinstance(value, (str, bool)) else tuple(value)


def make_program(
    run: Callable[..., Any],
    spec: Spec,
    signature: inspect.Signature,
    named_by: Any,
    options: JitOptions,
    bind: Callable[[tuple[Any, ...], dict[str, Any]], Any],
    settle: Callable[[Callable[..., Any]], None],
) -> Program:
    """Compile a function; nothing is traced before the first call.

    Args:
        run: takes the arguments and the keyword arguments of a call, inside the trace.
        spec: the function's.
        signature: the function's.
        named_by: what has the name and the docstring for the program.
        options: what is static, and what is donated.
        bind: binds a call that is not compiled, and says what does not do in it.
        settle: gets what is to be called from now on, once that is known.
    """
    if options.partition:  # which counts static numbers itself
        entry = _entry(run, spec, signature, named_by, replace(options, static=()))
        return _partitioned(entry, spec, signature, options)
    entry = Noticed(_entry(run, spec, signature, named_by, options))
    static = _places(signature, "static", options.static)
    program = cast("Any", jax.jit)(entry, **static, **_places(signature, "donate", options.donated))
    misuse = Misuse(spec, signature, options.static, bind)
    substituted = substituting(static.get("static_argnums", ()), static.get("static_argnames", ()))
    return Program(
        explaining(program, entry, misuse, substituted, settle),
        explaining_method(program.lower, misuse, substituted),
        explaining_method(program.trace, misuse, substituted),
        explaining_method(program.eval_shape, misuse, substituted),
        program.clear_cache,
    )


def _partitioned(
    entry: Callable[..., Any], spec: Spec, signature: inspect.Signature, options: JitOptions
) -> Program:
    def run(args: tuple[Any, ...], kwargs: dict[str, Any], *_: Any) -> Any:
        return entry(*args, **kwargs)

    partition = Partition(run, spec, options.static)
    program = partition.program

    def taken_apart(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                try:
                    found = partition.split(args, kwargs)
                except Exception:  # what does not fit the parameters comes first
                    check_arguments(spec, signature, args, kwargs)
                    raise
                return method(found.static, None, found.arrays, (), ())
            except Exception as error:
                leave_out_frames(error)
                raise

        return call

    return Program(
        taken_apart(program),
        taken_apart(program.lower),
        taken_apart(program.trace),
        taken_apart(program.eval_shape),
        program.clear_cache,
    )


def _entry(
    run: Callable[..., Any],
    spec: Spec,
    signature: inspect.Signature,
    named_by: Any,
    options: JitOptions,
) -> Callable[..., Any]:
    """What is compiled; called once for each trace."""
    seen: dict[str, set[Any]] = {name: set() for name in options.static}

    @interface  # JAX leaves its own frames out on the way to the caller
    def entry(*args: Any, **kwargs: Any) -> Any:
        if seen:
            args, kwargs = values_of(args, kwargs)
        check_arguments(spec, signature, args, kwargs)
        bound = signature.bind(*args, **kwargs).arguments
        for name, value in (*bound.items(), *kwargs.items()):
            if name not in seen:
                continue
            refuse_changing(value, f"{options.name}.jit(): {name}", fixed=True)
            if is_number(value):
                what = f"{options.name}.jit(): the static argument {name!r}"
                remedy = f"rank it 0 ({name}=0) to trace it, or say what is static with "
                remedy += ".jit(static_argnames=...)"
                count_value(seen[name], value, what, value, remedy)
        return carried(run(args, kwargs), options.name)

    functools.update_wrapper(entry, named_by, updated=())
    named = cast("Any", entry)
    named.__wrapped__ = inspect.unwrap(named_by)  # so JAX's messages say where it stands
    named.__signature__ = signature
    return named


def _places(signature: inspect.Signature, what: str, names: Sequence[str]) -> dict[str, Any]:
    """Parameters by number and by name, as `jax.jit` wants them."""
    if not names:
        return {}
    parameters = list(signature.parameters.values())
    by_position = (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD)
    by_name = (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY)
    named = [p for p in parameters if p.name in names]
    keywords = set(names) - {p.name for p in parameters}  # which **kwargs takes
    return {
        f"{what}_argnums": tuple(
            i for i, p in enumerate(parameters) if p.name in names and p.kind in by_position
        ),
        f"{what}_argnames": (*(p.name for p in named if p.kind in by_name), *sorted(keywords)),
    }


def refuse_mixed(instance: Any, where: str) -> None:
    """Refuse a pytree as a method's object if it holds what JAX can't trace.

    Raises:
        SpecError: with the leaf's path.
    """
    flat, _ = tree_flatten_with_path(instance)
    for keys, leaf in flat:
        if keys and kind_of(type(leaf)) is Kind.OTHER and not isinstance(leaf, jax.Array):
            raise SpecError(untraceable(leaf, keystr(keys), where, ""))
