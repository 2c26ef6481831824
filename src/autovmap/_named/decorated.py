"""`named_vmap`: einx's bracket notation in front of the same plans."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar, cast

from autovmap._bind.binder import Call, Planned
from autovmap._cache import BoundedCache
from autovmap._decorate import Decorator, decorated
from autovmap._function.decorated import AutoVmapped
from autovmap._function.docstring import line_of_pattern, show_docstring
from autovmap._function.identity import shown_name
from autovmap._function.meaning import VARIANTS
from autovmap._named.binder import NamedDeclaration, PatternBinder, read_named_spec
from autovmap._named.notation import Pattern
from autovmap._named.parts import PlacedGroup
from autovmap._named.plan import PatternPlan
from autovmap._named.result import Placer, composed, prepared, refuse_missing
from autovmap._named.rules import read_pattern
from autovmap._plan.outputs import Group
from autovmap._run.depend import dependencies, shorten
from autovmap._run.failures import diagnose, hint
from autovmap._run.keydata import fold_keys
from autovmap._run.nest import Body, make_nest, run
from autovmap._show.facts import calling, placed_outputs, result_shapes
from autovmap._show.plan import Plan
from autovmap._show.table import note
from autovmap._spec.options import DEFAULTS
from autovmap._ways.jit import Jitted
from autovmap._ways.loop_run import run_loop
from autovmap._ways.parts import Parts
from autovmap.errors import AutoVmapError, SpecError

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

SAID_BY_PATTERN = ("in_axes", "out_axes", "axis_name")


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
        RankError: in a call, an array or a result has not the dims that the pattern says.
        BatchShapeError: in a call, axes of one name have different sizes.
    """
    read = read_pattern(pattern)
    options = {name: value for name, value in sizes_and_options.items() if name in DEFAULTS}
    given = {name: value for name, value in sizes_and_options.items() if name not in DEFAULTS}
    declared = NamedDeclaration(
        named=_checked_options(options, read), pattern=read, sizes={**given, **(sizes or {})}
    )

    def decorate(function: Any, /) -> Any:
        return decorated(function, declared, NamedVmapped)

    return cast("Decorator", decorate)


def _checked_options(options: Mapping[str, Any], pattern: Pattern) -> Mapping[str, Any]:
    for name, value in options.items():
        if name in SAID_BY_PATTERN:
            raise SpecError(
                f"named_vmap: {name}={value!r} is said by the pattern: where an axis stands there "
                f"is where it lies, and its name serves collectives; leave {name} out"
                f"\n  {pattern.text}"
            )
        if name == "strict" and value is False:
            raise SpecError(
                f"named_vmap: strict=False would let sizes stretch, and axes of one name have one "
                f"size; leave strict out\n  {pattern.text}"
            )
    return options


class Ran(NamedTuple):
    """A result, and what it was before its dims were composed, with the group of each leaf."""

    result: Any
    flat: Any
    groups: Sequence[PlacedGroup]


class NamedVmapped(AutoVmapped[P, R]):
    """A function under a pattern; `named_vmap` makes it.

    >>> import jax.numpy as jnp
    >>> total = named_vmap("a [b] -> a")(jnp.sum)
    >>> total
    <named_vmap('a [b] -> a') of sum>
    >>> print(total.pattern)
    a [b] -> a
    """

    _declared: NamedDeclaration

    def _read(self, skip_first: bool) -> None:
        """Read the declaration; a method's pattern leaves out its first parameter."""
        self._skip_first = skip_first
        name = shown_name(self._named_by)
        self._under = read_named_spec(self._declared, self._signature, name, skip_first)
        self._told = self._spec = self._under
        show_docstring(self, line_of_pattern(self.pattern), self._named_by)
        self._binder = PatternBinder(self._under, self._signature)
        self._ways = self._under.ways
        self._variants: BoundedCache[AutoVmapped[..., Any]] = BoundedCache(VARIANTS)
        self._jitted: BoundedCache[Jitted[..., Any]] = BoundedCache(VARIANTS)

    @property
    def pattern(self) -> str:
        """The pattern, as it was given.

        >>> import jax.numpy as jnp
        >>> named_vmap("a  [b] -> a")(jnp.sum).pattern
        'a  [b] -> a'
        """
        return self._under.pattern.text

    @property
    def ranks(self) -> dict[str, Any]:
        """Always empty: a pattern says more than base ranks do. See `pattern`."""
        return {}

    @property
    def signature(self) -> None:
        """Always None: see `pattern`."""
        return None

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function on every example at once."""
        call = self._binder.bind(args, kwargs)
        return self._run_named(call, call.arrays(), self._spec.looped).result

    def run_traced(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: Parts | None = None,
        state: Any = (),
    ) -> Any:
        """What a compiled program does of a call, inside its trace."""
        call = self._binder.bind(args, kwargs)
        return self._run_named(call, call.arrays(), self._spec.looped).result

    def _run_named(self, call: Call, arrays: Sequence[Any], looped: bool) -> "Ran":
        plan = cast("PatternPlan", call.planned.plan)
        body = self._body(call)
        try:
            keyed = fold_keys(plan, prepared(plan, arrays))
            try:
                return self._run_plan(call.planned, body, keyed, looped)
            except ValueError as error:
                if not isinstance(error, AutoVmapError) and "out_axes" in str(error):
                    self._refuse_missing(plan, body, keyed)
                raise
        except Exception as error:
            said = str(error).lower()
            found = None
            if "shard" not in said and "mesh" not in said:
                found = diagnose(error, plan, arrays, tuple)
            if found is not None:
                raise found from error
            remedy = hint(error, functools.partial(self._binder.unranked, call))
            for line in (note(plan), f"under the pattern {plan.pattern}", remedy):
                if line is not None:
                    error.add_note(line)
            raise

    def _run_plan(self, planned: Planned, body: Body, arrays: Sequence[Any], looped: bool) -> "Ran":
        plan = cast("PatternPlan", planned.plan)
        placer = Placer(plan)
        groups, place = plan.groups, placer
        if not self._spec.options.stretch_outputs and not plan.trivial:
            groups, short = shorten(plan, body, arrays, groups, placer)
            place = Placer(plan, given=cast("Any", short)(None))
        if looped:
            self._refuse_missing(plan, body, arrays)
            fronts = [Group(0, group.axes) for group in groups]
            result = run_loop(plan, body, arrays, tuple(dict.fromkeys(fronts)), place.in_front)
        elif self._spec.options.stretch_outputs:
            if planned.nest is None:
                planned.nest = make_nest(plan, groups)
            result = run(plan, planned.nest, body, arrays, groups, place)
        else:
            result = run(plan, make_nest(plan, groups), body, arrays, groups, place)
        at = place(result) if plan.trivial else place.found
        return Ran(composed(plan, result, at, looped), result, at)

    def _refuse_missing(self, plan: PatternPlan, body: Body, arrays: Sequence[Any]) -> None:
        """Refuse a result that lacks an axis it depends on: JAX would name neither.

        Looked into after a failure, and before a loop, which would not notice.
        """
        if any(not group.has(layer) for group in plan.outputs for layer in plan.layers):
            outputs = dependencies(plan, body, arrays, plan.groups, Placer(plan))
            found = refuse_missing(plan, outputs)
            if found is not None:
                raise found

    def plan(self, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """What a call with these arguments would do; nothing is run, traced or allocated."""
        call = self._binder.bind(args, kwargs, run=False)
        return Plan.of(call.planned.plan, calling(self._spec, call, self._steps(call)))

    def plan_with_outputs(self, /, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """The plan with the result's shapes, for which the function is traced, but not run."""
        call = self._binder.bind(args, kwargs, run=False)
        ran: list[Ran] = []

        def traced(call: Call, arrays: Sequence[Any]) -> Any:
            ran.append(self._run_named(call, arrays, looped=False))
            return ran[-1].flat, ran[-1].result

        flat, result = result_shapes(traced, call)
        shown = calling(self._spec, call, self._steps(call), type(flat) is tuple)
        return Plan.of(call.planned.plan, shown, placed_outputs(flat, result, ran[-1].groups))

    def batch(self, *shape: int) -> Self:
        """Refused: the pattern says all axes."""
        raise SpecError(
            f"{self._spec.function}.batch(): the pattern says all batch axes; add new ones to its "
            f'result, as in named_vmap("... -> draws ...", draws={shape[0] if shape else 100})'
            f"\n  {self.pattern}"
        )

    def outer(self, *groups: str | tuple[str, ...]) -> Self:
        """Refused: the pattern says how axes lie to each other."""
        raise SpecError(
            f"{self._spec.function}.outer(): the pattern says it: axes of different names are "
            f"combined, each with each\n  {self.pattern}"
        )

    def reduce(self, folds: Any, *, axes: Any = None) -> Self:
        """Refused: the pattern says which axes the result has."""
        raise SpecError(
            f"{self._spec.function}.reduce(): the pattern says which axes the result has; to fold "
            f"one, put it in brackets and fold it in the function, or declare base ranks with "
            f"auto_vmap and fold by .reduce({folds!r})\n  {self.pattern}"
        )

    def _another_way(self, **said: Any) -> Self:
        """Only a loop: every axis of a pattern is named, and a named axis is never split."""
        for way in said:
            if way != "looped":
                raise SpecError(
                    f"{self._spec.function}.{way}(): the pattern names every batch axis, and a "
                    f"collective over a named axis would see a part of it; declare base ranks "
                    f"with auto_vmap for that\n  {self.pattern}"
                )
        return super()._another_way(**said)

    def replace(self, **options: Any) -> Self:
        """The same function and pattern under other options than the author's."""
        _checked_options(options, self._under.pattern)
        return super().replace(**options)

    def __repr__(self) -> str:
        return f"<named_vmap({self.pattern!r}) of {self._spec.function}>{self._chain()}"

    def __reduce__(self) -> Any:
        by_reference = super().__reduce__()
        if isinstance(by_reference, str) or by_reference[0] is not AutoVmapped:
            return by_reference
        parts = (self._signature, self._named_by, self._skip_first)
        return NamedVmapped, (self.__wrapped__, self._declared, *parts)
