"""A method called with arguments that it does not take: said by the call that was meant."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from autovmap._spec.near import did_you_mean
from autovmap.errors import SpecError

F = TypeVar("F", bound=Callable[..., Any])

MEANT = {
    "static_argnums": ".jit(static_argnames={names}): parameters are named, not counted",
    "donate_argnums": ".jit(donate_argnames={names}): parameters are named, not counted",
    "batch_size": ".chunk({value})",
    "chunk_size": ".chunk({value})",
    "n": ".chunk({value})",
    "axis": '.shard("data"), the mesh axis for the first batch axis',
}
"""What keywords of other interfaces are called here."""


def explained_call(example: str) -> Callable[[F], F]:
    """Explain a call of a method that does not fit its parameters; `example` is one that does."""

    def decorate(method: F) -> F:
        signature = inspect.signature(method)

        @functools.wraps(method)
        def explained(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(self, *args, **kwargs)
            except TypeError:
                try:
                    signature.bind(self, *args, **kwargs)
                except TypeError as error:
                    engine = getattr(self, "_engine", None)  # a decorator has none yet
                    name = (
                        f"{'auto_vmap(...)' if engine is None else engine.name}.{method.__name__}"
                    )
                    known = [] if engine is None else list(engine.signature.parameters)
                    text = _wrong(name, signature, args, kwargs, str(error), example, known)
                    raise SpecError(text) from None
                raise

        return cast("F", explained)

    return decorate


def _wrong(
    name: str,
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    why: str,
    example: str,
    known: Sequence[str],
) -> str:
    parameters = list(signature.parameters.values())[1:]
    options = [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]
    unknown = next((key for key in kwargs if key not in options), None)
    if unknown is not None:
        value = kwargs[unknown]
        named = repr(known[value]) if type(value) is int and 0 <= value < len(known) else "..."
        meant = MEANT.get(unknown, "").format(value=repr(value), names=named)
        taken = f"its options are {', '.join(options)}" if options else "it takes none"
        remedy = f"write {meant}" if meant else taken + did_you_mean(unknown, options)
        return f"{name}() has no option {unknown!r}; {remedy}"
    if args:
        return (
            f"{name}() is not called with the arguments of the function: it gives a function of "
            f"the same parameters. Write {example}"
        )
    return f"{name}(): {why}; write {example}"
