"""A method called with arguments that it does not take: said by the call that was meant."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from autovmap._lines import did_you_mean, is_array, value_text
from autovmap.errors import SpecError

F = TypeVar("F", bound=Callable[..., Any])

JIT = {
    "static_argnums": "write .jit(static_argnames={names}): parameters are named, not counted",
    "donate_argnums": "write .jit(donate_argnames={names}): parameters are named, not counted",
}
CHUNK: dict[str, str] = dict.fromkeys(("batch_size", "chunk_size", "n"), "write .chunk({value})")
NOT_TAKEN = "does not take the arguments of the function"
STATIC = "annotate the parameter, as in n: int, so that it is static"

MEANT: dict[str, dict[str, str]] = {
    "batch": dict.fromkeys(("size", "n", "shape", "sample_shape"), "write .batch({value})"),
    "outer": {},
    "reduce": {
        "axis": (
            "did you mean 'axes'? Write .reduce({args}, axes={value}): axes counts batch axes, "
            "not dims of the result"
        )
    },
    "lift": {},
    "loop": {},
    "jit": JIT | CHUNK,
    "chunk": JIT
    | CHUNK
    | dict.fromkeys(
        ("static_argnames", "donate_argnames"), "write .chunk({args}).jit({key}={value})"
    ),
    "shard": JIT | {"axis": 'write .shard("data"), the mesh axis for the first batch axis'},
    "bucket": CHUNK | {"static_argnums": STATIC, "static_argnames": STATIC},
}
"""For each method, what to write for keywords of other interfaces; a method has to have its own."""


def explained_call(example: str) -> Callable[[F], F]:
    """Explain a call of a method that does not fit its parameters; `example` is one that does."""

    def decorate(method: F) -> F:
        signature = inspect.signature(method)
        meant = MEANT[method.__name__]

        @functools.wraps(method)
        def explained(self: Any, *args: Any, **kwargs: Any) -> Any:
            engine = getattr(self, "_engine", None)  # a decorator has none yet
            try:
                return method(self, *args, **kwargs)
            except SpecError as error:
                found = any(map(_is_argument, (*args, *kwargs.values())))
                if found and NOT_TAKEN not in str(error):  # outer says which groups to write
                    raise SpecError(_of_the_function(_name(engine, method), example)) from None
                raise
            except TypeError:
                try:
                    signature.bind(self, *args, **kwargs)
                except TypeError as error:
                    known = [] if engine is None else list(engine.signature.parameters)
                    said = Said(_name(engine, method), args, kwargs, known)
                    text = _wrong(said, signature, str(error), example, meant)
                    raise SpecError(text) from None
                raise

        return cast("F", explained)

    return decorate


def _name(engine: Any, method: Callable[..., Any]) -> str:
    return f"{'auto_vmap(...)' if engine is None else engine.name}.{method.__name__}"


def _is_argument(value: Any) -> bool:
    """Whether a value is an array, or a container of arrays, that is meant for the function."""
    if is_array(value):
        return True
    if isinstance(value, Mapping):
        children = list(cast("Mapping[Any, Any]", value).values())
    elif isinstance(value, (list, tuple)):
        children = list(cast("Sequence[Any]", value))
    else:
        children = [] if callable(value) else list(getattr(value, "__dict__", {}).values())
    return bool(children) and all(map(is_array, children))


def _of_the_function(name: str, example: str) -> str:
    return f"{name}() {NOT_TAKEN}: it returns a function with the same parameters. Write {example}"


@dataclass(frozen=True, slots=True)
class Said:
    """A call of a method as it was written, of a function of these parameters."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    known: Sequence[str]


def _wrong(
    said: Said, signature: inspect.Signature, why: str, example: str, meant: Mapping[str, str]
) -> str:
    parameters = list(signature.parameters.values())[1:]
    options = [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    unknown = next((key for key in said.kwargs if key not in options), None)
    if unknown is not None:
        taken = f"its options are {', '.join(options)}" if options else "it takes none"
        remedy = taken + did_you_mean(unknown, options)
        if unknown in meant:
            remedy = meant[unknown].format_map(_places(said, unknown))
        return f"{said.name}() has no option {unknown!r}; {remedy}"
    axes = all(arg is None or type(arg) is str for arg in said.args)
    if options[:1] == ["spec"] and len(said.args) > 1 and axes:
        spec = ", ".join(map(repr, said.args))
        return (
            f"{said.name}() takes one spec, for all batch axes; write "
            f".shard(jax.sharding.PartitionSpec({spec}))"
        )
    if said.args:
        return _of_the_function(said.name, example)
    return f"{said.name}(): {why}; write {example}"


def _places(said: Said, key: str) -> dict[str, str]:
    """What a remedy may name: what was given by position, and the keyword with its value."""
    value, known = said.kwargs[key], said.known
    named = repr(known[value]) if type(value) is int and 0 <= value < len(known) else "..."
    args = ", ".join(f'"{arg}"' if type(arg) is str else value_text(arg) for arg in said.args)
    return {"names": named, "value": value_text(value), "key": key, "args": args or "..."}
