"""What there is to know of a callable: its name, whose method it is, what its docstring says."""

import functools
import inspect
import re
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import jax

from autovmap._spec.annotations.scope import module_of, scope_of
from autovmap._spec.fold import Gradient
from autovmap._spec.ranks import is_mapped, plain
from autovmap._spec.spec import Spec


def adopt(decorated: Any, function: Any) -> None:
    """Give a decorated object the function's name, docstring, annotations and attributes."""
    functools.update_wrapper(decorated, function, updated=())
    keep_abstract(decorated, function)
    attributes = getattr(function, "__dict__", {}).items()
    public = [(name, value) for name, value in attributes if not name.startswith("_")]
    taken = dir(type(decorated)) if public else ()
    for name, value in public:
        if name not in taken:
            setattr(decorated, name, value)
    module = module_of(function)
    if module:
        decorated.__globals__ = module  # as functions have them: `jaxtyped` resolves names there
    inner = unwrap_partial(function)
    for name in ("__name__", "__qualname__"):
        if name not in vars(decorated):
            setattr(decorated, name, getattr(inner, name, type(inner).__name__))


def keep_abstract(decorated: Any, function: Any) -> None:
    """Mark what is made of an abstract method as one, as `functools.wraps` and `jax.jit` do."""
    if getattr(function, "__isabstractmethod__", False):
        decorated.__isabstractmethod__ = True


def show_annotations(
    decorated: Any, told: Spec, signature: inspect.Signature, function: Any
) -> None:
    """Give a decorated object annotations that are true of it; `__wrapped__` keeps its own."""
    if "jaxtyping" not in sys.modules:  # then no annotation can be one of its own
        return
    from autovmap._spec.annotations.shown import true_annotations

    found = true_annotations(told, signature, scope_of(function))
    if not found:
        return
    decorated.__annotations__ = {**getattr(decorated, "__annotations__", {}), **found}
    parameters = [
        parameter.replace(annotation=found.get(name, parameter.annotation))
        for name, parameter in signature.parameters.items()
    ]
    returned = found.get("return", signature.return_annotation)
    decorated.__signature__ = signature.replace(parameters=parameters, return_annotation=returned)


def unwrap_partial(function: Any) -> Any:
    """The function inside `functools.partial`s."""
    while isinstance(function, functools.partial):
        function = cast("Any", function).func
    return function


def is_made_of(transformed: Any, function: Any) -> bool:
    """Whether a callable says that it wraps this function, as what `jax.grad` returns does."""
    inner = getattr(transformed, "__wrapped__", None)
    while inner is not None:
        if inner is function:
            return True
        inner = getattr(inner, "__wrapped__", None)
    return False


def shown_name(function: Any) -> str:
    """A function's name as messages show it: a method's with its class."""
    function = unwrap_partial(function)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return (name or type(function).__name__).rsplit("<locals>.", 1)[-1]


def is_method(function: Any, signature: inspect.Signature) -> bool:
    """Whether a function stands in a class body and its first parameter is the object.

    Under a `staticmethod` it stands there without one, and no decorator below can see that; so
    the parameter's name decides, and `__set_name__` mends an unusual one.
    """
    first = next(iter(signature.parameters), "")
    return in_class_body(function) and first in ("self", "cls", "mcs")


def in_class_body(function: Any) -> bool:
    """Whether a function's name says that it stands in a class body."""
    *outer, _ = getattr(function, "__qualname__", "").split(".") or [""]
    return bool(outer) and outer[-1] != "<locals>"


def takes_first(signature: inspect.Signature) -> bool:
    """Whether the first parameter is one that an object can be bound to alone."""
    first = next(iter(signature.parameters.values()), None)
    return first is not None and first.kind is not inspect.Parameter.VAR_POSITIONAL


def by_name(decorated: Any) -> Any:
    """What stands under a decorated object's name in its module."""
    found: Any = sys.modules.get(decorated.__module__)
    for name in decorated.__qualname__.split("."):
        found = getattr(found, name, None)
    return found


@dataclass(frozen=True)
class Transform:
    """A transformation of functions with its options.

    Where `bound`, it gets a method as bound to its object, so that `argnums` count without it.
    """

    transform: Callable[..., Any]
    options: tuple[tuple[str, Any], ...] = ()
    bound: bool = False

    def __call__(self, function: Callable[..., Any]) -> Any:
        """The transformed function; of a method, one of the object and the other arguments."""
        if not self.bound:
            return self.transform(function, **dict(self.options))

        @functools.wraps(function)
        def transformed(itself: Any, /, *args: Any, **kwargs: Any) -> Any:
            method = types.MethodType(function, itself)
            return self.transform(method, **dict(self.options))(*args, **kwargs)

        return transformed

    def gradient(self, function: Callable[..., Any]) -> Gradient | None:
        """That it makes a function's gradient; None where it is, or does, anything else."""
        options = dict(self.options)
        argnums, has_aux = options.pop("argnums", 0), options.pop("has_aux", False)
        whole = all(type(i) is int for i in (argnums if type(argnums) is tuple else (argnums,)))
        known = self.transform is jax.grad or self.transform is jax.value_and_grad
        if not known or options or not whole or type(has_aux) is not bool:
            return None
        value = self.transform is jax.value_and_grad
        return Gradient(function, argnums, has_aux, value, self.bound)


OPENING = "Batch dims "
MOST_TEXT = 72
SECTION = re.compile(r"^[ \t]*\S[^\n]*\n[ \t]*-{3,}[ \t]*$", re.MULTILINE)
"""A heading as numpydoc has it: all that follows is taken for part of its section."""


def show_docstring(decorated: Any, line: str | None, function: Any) -> None:
    """Give a decorated object the function's docstring with the line in it.

    A function without a docstring of its own keeps having none.
    """
    text = getattr(function, "__doc__", None)
    if line is not None and isinstance(text, str) and text != type(function).__doc__:
        decorated.__doc__ = with_line(text, line)


def with_line(text: str, line: str) -> str:
    """A docstring with a paragraph more: the last, or the last before numpydoc's sections.

    >>> print(with_line("The sum.", "Batch dims broadcast."))
    The sum.
    <BLANKLINE>
    Batch dims broadcast.
    """
    if not text.strip():
        return text
    said = re.search(rf"^[ \t]*{OPENING}.*``\.$", text, re.MULTILINE)
    if said is not None:  # of a function that is decorated twice the outer ranks are true
        start = said.start() + len(said[0]) - len(said[0].lstrip())
        return text[:start] + line + text[said.end() :]
    margin = _margin(text)
    section = SECTION.search(text)
    if section is not None:
        head, rest = text[: section.start()].rstrip(), text[section.start() :]
        return f"{head}\n\n{margin}{line}\n\n{rest}" if head else f"{line}\n\n{rest}"
    body = text.rstrip()
    ending = text[len(body) :]
    return f"{body}\n\n{margin}{line}{ending}"


def _margin(text: str) -> str:
    """The indentation that all lines but the first have in common, as `inspect.cleandoc` has it."""
    lines = [line.expandtabs() for line in text.splitlines()[1:] if line.strip()]
    return " " * min((len(line) - len(line.lstrip()) for line in lines), default=0)


def line_of(told: Spec) -> str | None:
    """What broadcasts in calls under a spec, or None where nothing does.

    Between double backquotes, so that reST and Markdown take no sign in it for one of theirs.
    """
    ranks = [f"{p.name}={_short(plain(p.rank))}" for p in told.parameters if is_mapped(p.rank)]
    if told.unread:
        ranks.append("...")
    if not ranks:
        return None
    how = "are equal or absent" if told.options.strict else "broadcast"
    if told.signature is not None:
        return f"{OPENING}{how}, around the core dims of ``{told.signature}``."
    return f"{OPENING}{how}; the base ranks are ``{_cut(', '.join(ranks))}``."


def line_of_pattern(pattern: str) -> str:
    """The same under a pattern."""
    return f"{OPENING}are those of the pattern ``{' '.join(pattern.split())}``."


def _short(rank: Any) -> str:
    text = repr(rank)
    return text if len(text) <= MOST_TEXT // 2 else f"{text[: MOST_TEXT // 2]}..."


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}..."
