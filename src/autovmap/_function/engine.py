"""What every decorated function runs on: start reading the library here.

A call goes through `Engine.call`:

1. `bind` finds the ranked arguments, matches their leaves with the ranks and finds or makes the
   plan of their shapes (`_bind`, `_plan`);
2. `run` does what the plan says: the function, inside its layers of vmap (`_run`), or in another
   way of running (`_ways`), maybe in a compiled program that is kept (`run_program`);
3. if the function or JAX raises, `explain` says what is known of the call.

The objects that users hold are faces of an engine: `decorated` (the function), `bound` (a method
with its object) and `compiled` (both under `.jit()`); their methods stand in `methods`. What is
declared, and other engines for the same function, stand in `definition`.

What only some calls need is imported where it is used, so that `import autovmap` stays quick: a
plan to be read (`reading`), a failure (`failure`), ways of running (`_ways.parts`).
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any, NoReturn

from autovmap._bind.binder import Binder, Call, looks_for_keys, may_promote
from autovmap._cache import BoundedCache
from autovmap._frames import warn
from autovmap._function.definition import Definition
from autovmap._function.identity import in_class_body
from autovmap._function.object_ranks import ObjectRanks
from autovmap._plan.plan import CallPlan
from autovmap._run.fast import Shortcut
from autovmap._run.grouping import FRONT, Grouping, declared_grouping
from autovmap._run.nest import Body, make_nest, naming, run
from autovmap._run.result import check_result
from autovmap._run.steps import prepared
from autovmap._spec.declaration import Declaration
from autovmap._spec.options import NO_EXTENT
from autovmap._ways.options import PLAIN, Ways, check_reduced, checked_ways
from autovmap.errors import BatchShapeError, SpecError

if TYPE_CHECKING:
    from autovmap._ways.bucket_program import BucketStats
    from autovmap._ways.parts import Parts
    from autovmap._ways.program import Programs
    from autovmap._ways.reduce_known import KnownFold, Remembered

FOLDS = 256
"""For how many kinds of calls it is kept how their outputs are folded."""


class Engine(Definition):
    """One function under one declaration, run in one way: its spec, plans and kept programs."""

    def __init__(
        self,
        function: Callable[..., Any],
        declared: Declaration,
        ways: Ways = PLAIN,
        signature: inspect.Signature | None = None,
        named_by: Any = None,
        skip_first: bool | None = None,
    ) -> None:
        """As `Definition`; that the ways of running fit the declaration is checked too."""
        super().__init__(function, declared, ways, signature, named_by, skip_first)
        self.object_ranks = None if declared.answers else ObjectRanks.of(self.outline)
        """The ranks that the object of a method is asked for at each call, if any."""
        if self.object_ranks is not None and not self.skip_first:
            later = skip_first is None and in_class_body(function)
            if not (later or inspect.ismethod(function)):
                raise self.object_ranks.no_object()
        options = self.outline.options
        checked_ways(ways, options.axis_name, options.stretch_outputs, self.name)
        if self.outline.reduce is not None:
            check_reduced(ways, self.name)
        self.grouping = declared_grouping(self.outline)
        self.shortcut = Shortcut(function)
        folded = self.outline.reduce is not None
        self._folds: BoundedCache[KnownFold] = BoundedCache(FOLDS)
        self._compiled = ways.compiled
        self._plainly_run = options.stretch_outputs and ways == PLAIN and not folded

    @functools.cached_property
    def binder(self) -> Binder:
        """What binds and plans the calls."""
        return Binder(self.spec, self.signature, self.class_first)

    @functools.cached_property
    def programs(self) -> "Programs":
        """The compiled programs that a way of running keeps."""
        from autovmap._ways.program import Programs

        bucket, run_block = self.ways.bucket, None
        if bucket is not None and bucket.block is not None:
            # A block has one batch axis: what callers said of the others is done around it.
            declared = replace(self.declared, extent=NO_EXTENT)
            ways = replace(self.ways, bucket=None)
            run_block = self._like(self.function, declared, ways, self.skip_first).run_traced
        return Programs(self, self.spec, self.static, run_block)

    def for_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Engine":
        """The engine for a call: another one only where its object is asked for ranks."""
        return self if self.object_ranks is None else self.object_ranks.engine(self, args, kwargs)

    def for_object(self, first: tuple[Any, ...]) -> "Engine":
        """The same, where nothing of a call but its object is known, if that."""
        return self.for_call(first, {}) if first else self

    # --- A call ---

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function on every example of a batch at once."""
        if self._compiled:
            return self.run_program(args, kwargs)
        call = self.bind(args, kwargs)
        if self._is_direct:
            self.shortcut.keep(call)
        return self.run(call)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any], run: bool = True) -> Call:
        """Bind and plan a call: see `Binder.bind`."""
        try:
            call = self.binder.bind(args, kwargs, run=run)
        except BatchShapeError as error:
            from autovmap._show.table import draw_conflict

            draw_conflict(error, self.name)
            raise
        message = call.planned.plan.promotion
        if message is not None and (setting := may_promote()) != "allow":  # as `jax.numpy` does
            if setting == "raise":
                raise BatchShapeError(message)
            warn(message)
        if self.ways != PLAIN:
            for leaf in call.planned.plan.leaves:
                if leaf.fixed:
                    raise SpecError(
                        f"{self.name}(): {leaf.path} is a Ref, which is changed in place: a loop, "
                        f"chunk, bucket or shard would change a copy.\nCall {self.name} itself, or "
                        f".jit() of it; or pass an array and return the new one"
                    )
        return call

    def run(self, call: Call, parts: "Parts | None" = None, state: Any = ()) -> Any:
        """Run a call that is bound."""
        planned = call.planned
        plan = planned.plan
        body = self.body(call)
        try:
            with naming(plan, self.spec.options.axis_name):
                leaves = prepared(plan, call.arrays())
                grouping = self.grouping_of(plan)
                if self._plainly_run:
                    if planned.nest is None:  # kept: to make a vmap costs more than all else
                        planned.nest = make_nest(plan, grouping.groups)
                    return run(plan, planned.nest, body, leaves, grouping)
                from autovmap._ways.parts import run_in_way, stretched

                grouping = stretched(self.spec, grouping, plan, body, leaves)
                way = (self.spec, self.ways, grouping)
                known = self._known_fold(call) if parts is None else None
                return run_in_way(*way, plan, body, leaves, parts, state, known)
        except Exception as error:
            self.explain(error, call)

    def _known_fold(self, call: Call) -> "Remembered | None":
        """Where it is kept how a call's outputs are folded, if they are."""
        if self.spec.reduce is None or self.ways != PLAIN:
            return None
        from autovmap._ways.reduce_known import remembered

        return remembered(self._folds, self.programs.partition, call)

    def grouping_of(self, plan: CallPlan) -> Grouping:
        """Where a plan's outputs go: for all calls of this function the same."""
        return self.grouping

    def run_program(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a call by a kept program; a deleted array is found out here, before any trace."""
        try:
            return self.programs.run(args, kwargs)
        except RuntimeError as error:
            from autovmap._function.failure import diagnosed

            found = diagnosed(self, error, self.bind(args, kwargs))
            if found is None:
                raise
            raise found from error

    def run_traced(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        parts: "Parts | None" = None,
        state: Any = (),
        like: Call | None = None,
    ) -> Any:
        """What a compiled program does of a call, inside its trace.

        `parts` and `state` are those of a kept program; under `f.jit()` they are decided here.
        `like` is the call as it was bound outside, if it was.
        """
        if self.object_ranks is not None:
            return self.for_call(args, kwargs).run_traced(args, kwargs, parts, state)
        call = None if like is None else self.binder.again(like, args, kwargs)
        call = call or self.bind(args, kwargs)
        if parts is None and self._compiled:
            parts = self.programs.decide(call, args, kwargs)
        return self.run(call, parts, state)

    def body(self, call: Call) -> Body:
        """The plain function, of the leaves of the ranked arguments."""
        function = self.function

        def body(rows: Sequence[Any]) -> Any:
            args, kwargs = call.arguments(rows)
            return function(*args, **kwargs)

        if self.spec.gradient is not None and self.spec.reduce is not None:
            from autovmap._ways.reduce_gradient import GradientBody

            return GradientBody(body, call, self.spec.gradient)
        signature = self.spec.signature
        if signature is None or not self._checks_result:
            return body
        plan = call.planned.plan

        def checked(rows: Sequence[Any]) -> Any:
            result = body(rows)
            check_result(result, signature, plan)
            return result

        return checked

    @functools.cached_property
    def _checks_result(self) -> bool:
        """Whether a signature tells the core dims of each example's outputs."""
        signature = self.spec.signature
        return signature is not None and signature.outputs is not None and not self.spec.lifted

    @functools.cached_property
    def _is_direct(self) -> bool:
        """Whether calls may take the shortcut: nothing is done but the layers."""
        plain = self._plainly_run and not self._checks_result
        # Under strict the arguments without a rank are looked at too.
        looked_at = self.spec.options.strict or looks_for_keys(self.spec)  # in each call
        return plain and self.grouping is FRONT and not looked_at

    # --- A failure ---

    def explain(self, error: Exception, call: Call) -> NoReturn:
        """Raise an error that the function or JAX raised, with what is known of the call."""
        from autovmap._function.failure import explained

        found = explained(self, error, call)
        if found is error:
            raise error
        raise found from error

    def stats(self) -> "BucketStats":
        """What the calls of a bucketed function have come to, whatever its object answered."""
        if self.object_ranks is None:
            return self.programs.stats()
        from autovmap._ways.bucket_program import BucketStats

        parts = [astuple(engine.programs.stats()) for engine in self.object_ranks.engines()]
        return BucketStats(*map(sum, zip(*parts, strict=True)))
