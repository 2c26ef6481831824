"""One function under one declaration: its spec, and what else its methods make of it."""

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

import jax
import numpy as np

from autovmap._bind.trees import one_level
from autovmap._function.identity import Transform, is_made_of, is_method, shown_name
from autovmap._lines import is_array, value_text
from autovmap._spec.annotations.scope import scope_of
from autovmap._spec.declaration import Declaration, read_spec
from autovmap._spec.options import checked_sizes, refuse_unknown_options
from autovmap._spec.ranks import FromSelf, Tree, is_mapped, plain
from autovmap._spec.spec import POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD, Spec
from autovmap._ways.options import PLAIN, Ways
from autovmap.errors import SpecError

if TYPE_CHECKING:
    from autovmap._ways.jit import JitOptions

ARRAYS = (jax.Array, np.ndarray)


@dataclass(frozen=True, slots=True)
class Variant:
    """What another engine for the same function has in place of this one's."""

    key: Hashable
    """Variants of one key are the same."""
    declared: Declaration
    ways: Ways
    function: Callable[..., Any] | None = None
    """A transformed function, if it is not the same."""


class Definition:
    """One function under one declaration, and how callers want it run."""

    def __init__(
        self,
        function: Callable[..., Any],
        declared: Declaration,
        ways: Ways = PLAIN,
        signature: inspect.Signature | None = None,
        named_by: Any = None,
        skip_first: bool | None = None,
    ) -> None:
        """Read the declaration; every mistake that needs no argument is found here.

        Args:
            function: the plain function.
            declared: what its author wrote, and what callers said of its meaning since.
            ways: how callers want it run.
            signature: in place of the function's own.
            named_by: what has the name and the docstring, if it is not the function.
            skip_first: whether positional ranks leave out the first parameter, as they do in a
                class body; without it the function tells.
        """
        signature = inspect.signature(function) if signature is None else signature
        self.function = function
        self.declared = declared
        self.ways = ways
        self.signature = signature
        self.named_by = function if named_by is None else named_by
        self.skip_first = is_method(function, signature) if skip_first is None else skip_first
        self.outline: Spec = self._read()
        """The spec as far as it is known without the annotations."""
        self.when_read: Callable[[Spec], Any] | None = None
        """Called with the spec once ranks have been read from annotations."""

    @property
    def name(self) -> str:
        """The function's name in messages."""
        return self.outline.function

    def _read(self) -> Spec:
        name = shown_name(self.named_by)
        return read_spec(self.declared, self.signature, name, one_level, self.skip_first)

    @functools.cached_property
    def spec(self) -> Spec:
        """What is declared, with the ranks that stand in annotations."""
        if not self.outline.unread:
            return self.outline
        scope = scope_of(self.named_by)
        from autovmap._spec.annotations.reader import read_annotations

        spec = read_annotations(self.outline, self.signature, scope, ARRAYS)
        if self.when_read is not None:
            self.when_read(spec)
        return spec

    @property
    def class_first(self) -> bool:
        """Whether the first argument of each call is a class."""
        return self.skip_first and next(iter(self.signature.parameters), "") == "cls"

    @functools.cached_property
    def static(self) -> tuple[str, ...]:
        """The parameters that a compiled call takes as static by itself."""
        from autovmap._ways.statics import static_names

        scope = functools.partial(scope_of, self.named_by)
        return static_names(self.spec, self.signature, scope, self.skip_first)

    def jit_options(self, **given: Any) -> "JitOptions":
        """What is static and what donated in a compiled call: see `jit_options`."""
        from autovmap._ways.jit import jit_options

        return jit_options(self.spec, lambda: self.static, **given)

    def answered(self, answers: Mapping[FromSelf, Tree]) -> Self:
        """The engine with what the object answered as ranks."""
        declared = replace(self.declared, answers=tuple(answers.items()))
        return self._like(self.function, declared, self.ways, self.skip_first)

    def ranks(self) -> dict[str, Any]:
        """The base ranks by parameter."""
        return {p.name: plain(p.rank) for p in self.spec.parameters if is_mapped(p.rank)}

    def signature_text(self) -> str | None:
        """The declaration as a gufunc signature, if it can be said as one."""
        spec = self.spec
        if spec.signature is not None:
            text = str(spec.signature)
            return text.partition("->")[0] + "->..." if spec.lifted else text
        from autovmap._spec.operands import as_signature

        parameters = spec.parameters[self.skip_first :]
        positional = [p for p in parameters if p.kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD)]
        return as_signature([(p.name, p.rank) for p in positional], list(self.ranks()))

    def variant(self, variant: Variant) -> Self:
        """The engine that a variant describes."""
        return self._like(
            variant.function or self.function, variant.declared, variant.ways, self.skip_first
        )

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Definition)
            and self.function == other.function
            and self.outline == other.outline
            and self.ways == other.ways
        )

    def __hash__(self) -> int:
        try:
            return hash((self.function, self.outline, self.ways))
        except TypeError:  # a callable object that has no hash; equal ones are told the same
            return hash((self.outline, self.ways))

    def as_method(self) -> Self:
        """The same, of a function that turns out to be a method."""
        declared = self.declared.of_method(next(iter(self.signature.parameters)))
        return self._like(self.function, declared, self.ways, skip_first=True)

    def _like(
        self, function: Callable[..., Any], declared: Declaration, ways: Ways, skip_first: bool
    ) -> Self:
        return type(self)(function, declared, ways, self.signature, self.named_by, skip_first)

    def with_batch(self, shape: tuple[int, ...]) -> Variant:
        """With more batch axes in front."""
        sizes = checked_sizes(shape, self.name)
        prepended = sizes + self.declared.extent.prepended
        return self.with_extent(("batch", sizes), prepended=prepended)

    def with_groups(self, groups: tuple[str | tuple[str, ...], ...]) -> Variant:
        """With groups of arguments whose batch axes lie side by side."""
        for group in groups:
            several = isinstance(cast("object", group), (tuple, list))
            if any(map(is_array, group if several else [group])):
                raise SpecError(
                    f"{self.name}.outer() does not take the arguments of the function: write "
                    f"f.outer({', '.join(map(repr, self.ranks()))})(...)"
                )
            if not several and not isinstance(cast("object", group), str):
                raise SpecError(
                    f"{self.name}.outer(): got {value_text(group)} of type {type(group).__name__}; "
                    f"a group is a parameter's name or a tuple of names"
                )
        named = tuple((group,) if isinstance(group, str) else tuple(group) for group in groups)
        named = named or tuple((name,) for name in self.ranks())
        return self.with_extent(("outer", named), groups=named)

    def with_extent(self, key: Hashable, **changes: Any) -> Variant:
        """With other batch axes or groups of arguments."""
        extent = replace(self.declared.extent, **changes)
        return Variant(key, replace(self.declared, extent=extent), self.ways)

    def with_reduce(self, folds: Any, axes: Any) -> Variant:
        """With the results folded over the batch."""
        before = self.declared.reduce
        if before is not None:
            raise SpecError(
                f"{self.name}.reduce(): the result is already folded, by .reduce({before}); give "
                f"all folds in one call, as a prefix of the result"
            )
        from autovmap._spec.fold import read_reduce

        reduce = read_reduce(folds, axes, self.name, one_level)
        return Variant(("reduce", reduce), replace(self.declared, reduce=reduce), self.ways)

    def with_options(self, options: dict[str, Any]) -> Variant:
        """With other options than the author's."""
        refuse_unknown_options(options, self.name)
        merged = {**(self.declared.options or {}), **options}
        key = tuple((name, repr(options[name]), options[name]) for name in sorted(options))
        declared = replace(self.declared, options=merged)
        return Variant(("options", key), declared, self.ways)

    def with_lift(self, transform: Any, options: dict[str, Any], bound: bool) -> Variant:
        """With a transformed function; of what that is the gradient, if it is known to be one."""
        if not callable(transform):
            raise SpecError(
                f"{self.name}.lift(): got {value_text(transform)} of type "
                f"{type(transform).__name__}; give a transformation of functions, such as jax.grad"
            )
        whole = Transform(transform, tuple(sorted(options.items())), bound=bound)
        try:
            lifted = whole(self.function)
        except Exception as error:
            made_of_another = "not a valid JAX type" in str(error)
            if not made_of_another and not is_made_of(transform, self.function):
                raise
            raise SpecError(
                f"{self.name}.lift() takes a transformation, not a transformed function: write "
                f"f.lift(jax.grad), not f.lift(jax.grad(f))"
            ) from error
        if not callable(lifted):
            raise SpecError(
                f"{self.name}.lift(): {value_text(transform)} returned {value_text(lifted)} of "
                f"type {type(lifted).__name__}; it must return a function with the same parameters"
            )
        declared = replace(self.declared, lifted=True, gradient=whole.gradient(self.function))
        # Told by the text of its options too, as 1 and True are equal.
        key = ("function", (whole, repr(whole.options)))
        return Variant(key, declared, self.ways, lifted)

    def with_ways(self, **changes: Any) -> Variant:
        """Run in another way too; a way that is said again replaces itself."""
        ways = replace(self.ways, **changes)
        return Variant(("ways", ways), self.declared, ways)
