"""`named_vmap`: einx's bracket notation in front of the same plans."""

import functools
from collections.abc import Hashable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from autovmap._decorate import decorated
from autovmap._frames import interface
from autovmap._function.decorated import AutoVmapped
from autovmap._function.decorator import Decorator
from autovmap._function.definition import Variant
from autovmap._function.engine import Engine
from autovmap._function.identity import line_of_pattern, shown_name
from autovmap._lines import value_text
from autovmap._named.notation import Pattern
from autovmap._named.plan import NamedDeclaration, NamedSpec, PatternBinder, read_named_spec
from autovmap._named.result import PatternGrouping
from autovmap._named.rules import read_pattern
from autovmap._plan.plan import CallPlan
from autovmap._run.grouping import Grouping
from autovmap._spec.options import DEFAULTS
from autovmap._spec.spec import Spec
from autovmap.errors import SpecError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

SAID_BY_PATTERN = ("in_axes", "out_axes", "axis_name")


@interface
def named_vmap(
    pattern: str,
    /,
    *,
    sizes: Mapping[str, Any] | None = None,
    **sizes_and_options: Any,
) -> Decorator:
    """Vmap a function as a pattern in einx's notation says, axis by axis.

    What stands in brackets is what the function sees of one example; every other name is a batch
    axis. Axes of one name have one size. The result's axes come in the order of the pattern.

    >>> import jax.numpy as jnp
    >>> @named_vmap("b q [k] h, b [k] h c -> b q h c")
    ... def attend(weights, values):
    ...     return weights @ values
    >>> attend(jnp.ones((2, 5, 7, 3)), jnp.ones((2, 7, 3, 4))).shape
    (2, 5, 3, 4)

    A composition lies in one dim; its sizes are given by keyword or follow:

    >>> add = named_vmap("(a b) c, (c a) -> (b a c)")(jnp.add)
    >>> add(jnp.ones((32, 2)), jnp.ones(8)).shape
    (64,)

    A pattern's part serves every leaf of its argument, and `[...]` is whatever core dims a leaf
    has:

    >>> @named_vmap("e [...], b [n] -> e b [...]")
    ... def ensemble(params, x):
    ...     return params["w"] @ x + params["b"]
    >>> params = {"w": jnp.ones((10, 4, 3)), "b": jnp.ones((10, 4))}
    >>> ensemble(params, jnp.ones((5, 3))).shape
    (10, 5, 4)

    Collectives use the pattern's names:

    >>> import jax
    >>> share = named_vmap("a b -> a b")(lambda x: x / jax.lax.psum(x, "b"))
    >>> share(jnp.ones((2, 4)))[0, 0]
    Array(0.25, dtype=float32)

    Args:
        pattern: the axes of each argument, `->`, the axes of each result.
        sizes: sizes of axes by name, where a name is an option's too.
        sizes_and_options: sizes of axes, a tuple for those of `a...`; and the options
            `randomness`, `stretch_outputs`, `spmd_axis_name` and `strict` of `auto_vmap`
            (nothing stretches here: `strict` can only be True).

    Returns:
        A decorator. The decorated function has `.plan` and `.pattern`; its ways of running are
        `.jit()` and `.loop()`.

    Raises:
        SpecError: the pattern is malformed; the message shows it with a caret. In a call: the
            arguments are not as many as the pattern has.
        RankError: in a call, an array or a result does not have the dims that the pattern says.
        BatchShapeError: in a call, axes of one name have different sizes.
    """
    read = read_pattern(pattern)
    options = {name: value for name, value in sizes_and_options.items() if name in DEFAULTS}
    given = {name: value for name, value in sizes_and_options.items() if name not in DEFAULTS}
    declared = NamedDeclaration(
        named=_checked_options(options, read), pattern=read, sizes={**given, **(sizes or {})}
    )

    return Decorator(lambda function: decorated(function, declared, NamedVmapped, NamedEngine))


def _checked_options(options: Mapping[str, Any], pattern: Pattern) -> Mapping[str, Any]:
    for name, value in options.items():
        if name in SAID_BY_PATTERN:
            raise SpecError(
                f"named_vmap: {name}={value_text(value)} is not needed: the pattern itself says "
                "where each axis is, and its names are the axis names for collectives; leave "
                f"{name} out\n  {pattern.text}"
            )
        if name == "strict" and value is False:
            raise SpecError(
                f"named_vmap: strict=False would let sizes stretch, but axes with the same name "
                f"have the same size; leave strict out\n  {pattern.text}"
            )
    return options


class NamedEngine(Engine):
    """One function under one pattern."""

    def _read(self) -> NamedSpec:
        name = shown_name(self.named_by)
        return read_named_spec(
            cast("NamedDeclaration", self.declared), self.signature, name, self.skip_first
        )

    @property
    def pattern(self) -> Pattern:
        """The pattern."""
        return cast("NamedSpec", self.outline).pattern

    @functools.cached_property
    def binder(self) -> PatternBinder:
        """What binds and plans the calls."""
        return PatternBinder(cast("NamedSpec", self.outline), self.signature)

    def ranks(self) -> dict[str, Any]:
        """None: a pattern says more than base ranks do."""
        return {}

    def signature_text(self) -> None:
        """None: a pattern says more than a signature does."""
        return None

    def grouping_of(self, plan: CallPlan) -> Grouping:
        """Where a plan's outputs go: into the parts of the pattern."""
        return PatternGrouping(plan, self.pattern)

    def with_extent(self, key: Hashable, **changes: Any) -> Variant:
        """Refused: the pattern says all axes, and how they lie to each other."""
        if "groups" in changes:
            raise SpecError(
                f"{self.name}.outer(): not needed: the pattern already combines axes of different "
                f"names, each with each\n  {self.pattern.text}"
            )
        sizes = changes["prepended"]
        raise SpecError(
            f"{self.name}.batch(): the pattern already has all batch axes; add new ones to its "
            f'result, as in named_vmap("... -> draws ...", draws={sizes[0] if sizes else 100})'
            f"\n  {self.pattern.text}"
        )

    def with_reduce(self, folds: Any, axes: Any) -> Variant:
        """Refused: the pattern says which axes the result has."""
        raise SpecError(
            f"{self.name}.reduce(): the pattern already says which axes the result has; to fold "
            f"one, put it in brackets and fold it in the function, or declare base ranks with "
            f"auto_vmap and fold with .reduce({value_text(folds)})\n  {self.pattern.text}"
        )

    def with_options(self, options: dict[str, Any]) -> Variant:
        """With other options than the author's."""
        _checked_options(options, self.pattern)
        return super().with_options(options)

    def with_ways(self, **changes: Any) -> Variant:
        """Only a loop: every axis of a pattern is named, and a named axis is never split."""
        for way in changes:
            if way != "looped":
                raise SpecError(
                    f"{self.name}.{way}(): the pattern names every batch axis, and a collective "
                    f"over a named axis would see only a part of it; for this, declare base ranks "
                    f"with auto_vmap\n  {self.pattern.text}"
                )
        return super().with_ways(**changes)


class NamedVmapped(AutoVmapped[P, R]):
    """A function under a pattern; `named_vmap` makes it.

    >>> import jax.numpy as jnp
    >>> total = named_vmap("a [b] -> a")(jnp.sum)
    >>> total
    <named_vmap('a [b] -> a') of sum>
    >>> print(total.pattern)
    a [b] -> a
    """

    _engine: NamedEngine

    @property
    def pattern(self) -> str:
        """The pattern, as it was given.

        >>> import jax.numpy as jnp
        >>> named_vmap("a  [b] -> a")(jnp.sum).pattern
        'a  [b] -> a'
        """
        return self._engine.pattern.text

    def _line(self, spec: Spec) -> str:
        return line_of_pattern(self.pattern)

    def __repr__(self) -> str:
        return f"<named_vmap({self.pattern!r}) of {self._engine.name}>{self._chain()}"
