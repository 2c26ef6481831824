"""What a user wrote, matched with a function: what needs no argument to be wrong is found here."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from autovmap._lines import did_you_mean, value_text
from autovmap._spec.fold import Gradient, Reduce, check_names
from autovmap._spec.gufunc import agreeing
from autovmap._spec.operands import lone_signature, operands, refuse_left_over
from autovmap._spec.options import DEFAULTS, FRONT, NO_EXTENT, Extent, Options, read_options
from autovmap._spec.positions import check_out_axes, check_positions
from autovmap._spec.ranks import (
    UNMAPPED,
    ByIndex,
    ByName,
    ByValue,
    FromSelf,
    OneLevel,
    PerValue,
    Tree,
    answered,
    dims_of,
    is_mapped,
    leaves_of,
)
from autovmap._spec.reading import read_rank
from autovmap._spec.spec import KEYWORD_ONLY, VAR_KEYWORD, VAR_POSITIONAL, Parameter, Spec
from autovmap.errors import SpecError


@dataclass(frozen=True)
class Declaration:
    """What a user wrote, before it met a function."""

    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] | None = None
    """Ranks, and options where the function has no parameter of that name."""
    ranks: Mapping[str, Any] | None = None
    """The way out where a parameter is named like an option."""
    options: Mapping[str, Any] | None = None
    """Options that a caller gave in place of the author's."""
    excluded: frozenset[int | str] = frozenset()
    """Parameters that a signature leaves out, by index or by name."""
    annotated: bool = False
    """Whether the other ranks stand in the annotations."""
    extent: Extent = NO_EXTENT
    reduce: Reduce | None = None
    lifted: bool = False
    gradient: Gradient | None = None
    numpy_calls: bool = False
    """Whether calls are as those of `np.vectorize`: numbers and lists of numbers are arrays, and
    a default that is left out is the function's own."""
    answers: tuple[tuple[FromSelf, Tree], ...] = ()
    """What the object of a method answered, where it is asked for ranks."""

    def said(self) -> tuple[Any, ...] | None:
        """All that was written, or None where a caller or another interface said more."""
        said = (self.positional, self.named, self.ranks)
        plain = Declaration(*said, annotated=self.annotated)
        return (*said, self.annotated) if self == plain else None

    def of_method(self, first: str) -> "Declaration":
        """The same, of a function whose first parameter turns out to be an object's.

        Only `vectorize` ranks every parameter by itself, and counts the object among them.
        """
        if not self.numpy_calls:
            return self
        ranks = {name: rank for name, rank in (self.ranks or {}).items() if name != first}
        left = (one - 1 if isinstance(one, int) else one for one in self.excluded if one != 0)
        return replace(self, ranks=ranks or None, excluded=frozenset(left))


def read_spec(
    declared: Declaration,
    signature: inspect.Signature,
    function: str,
    one_level: OneLevel,
    skip_first: bool = False,
) -> Spec:
    """Match a declaration with a signature; every mistake that needs no argument is found here.

    `skip_first` leaves the first parameter (a method's `self`) out of the positional ranks.
    """
    parameters = list(signature.parameters.values())
    options = {**_options(declared, signature, function), **(declared.options or {})}
    ranks = _named_ranks(declared, signature, function)
    skipped = parameters[0].name if skip_first and parameters else ""
    gufunc = lone_signature(declared.positional, function)
    if gufunc is not None:
        declared = replace(declared, positional=())
    for name, raw in _positional(declared, parameters[skip_first:], function, skipped):
        if name in ranks:
            raise SpecError(
                f"{function}(): parameter {name!r} is ranked by position and by name; keep one"
            )
        ranks[name] = raw
    checked = read_options(options, function, one_level)
    trees = {
        name: read_rank(raw, f"{function}(): base rank {name}", one_level)
        for name, raw in ranks.items()
    }
    from_self = tuple(p.name for p in parameters if _is_from_self(trees.get(p.name, UNMAPPED)))
    if declared.answers:
        trees = {name: answered(tree, dict(declared.answers)) for name, tree in trees.items()}
    for p in parameters:
        if p.kind is VAR_POSITIONAL and p.name in trees:
            trees[p.name] = _in_order(trees[p.name], UNMAPPED)
    if gufunc is not None:
        trees |= operands(gufunc, parameters[skip_first:], trees, declared.excluded, function)
        # Under `vectorize` a keyword may be left to the function; open outputs are what
        # `f.signature` gives, which stands for the ranks that f has.
        if not declared.numpy_calls and gufunc.outputs is not None:
            refuse_left_over(gufunc, parameters[skip_first:], trees, function)
    mapped = [p.name for p in parameters[skip_first:]]
    agreeing(
        (dim for tree in trees.values() for leaf in leaves_of(tree) for dim in dims_of(leaf)),
        function,
    )
    positions = _positions(checked, parameters, mapped, function)
    read = tuple(
        Parameter(p.name, p.kind, trees.get(p.name, UNMAPPED), positions(p.name), p.name in trees)
        for p in parameters
    )
    unread: tuple[str, ...] = ()
    if declared.annotated:
        from autovmap._spec.annotations.reader import unread_parameters

        unread = unread_parameters(parameters[skip_first:], trees, function, options)
    check_positions(read, checked.in_axes, function, unread)
    if gufunc is not None and not declared.lifted:
        check_out_axes(gufunc, checked.out_axes, function)
    spec = Spec(
        function,
        read,
        checked,
        declared.extent,
        declared.reduce,
        gufunc,
        declared.lifted,
        declared.gradient,
        declared.numpy_calls,
        unread,
        from_self,
    )
    check_extent(spec)
    return spec


def check_extent(spec: Spec) -> None:
    """Refuse groups that name no ranked parameter, or one twice."""
    ranked = [p.name for p in spec.parameters if is_mapped(p.rank) or p.name in spec.unread]
    seen: set[str] = set()
    for name in (name for group in spec.extent.groups for name in group):
        if name not in ranked:
            parts = re.split(r"[\s,]+", name) if isinstance(cast("object", name), str) else []
            several = len(parts) > 1 and set(parts) <= set(ranked)
            apart = f"; write .outer({', '.join(map(repr, parts))})" if several else ""
            raise SpecError(
                f"{spec.function}.outer(): {name!r} is not a ranked parameter; the ranked "
                f"parameters are: {', '.join(ranked) or 'none'}{apart}"
            )
        if name in seen:
            raise SpecError(
                f"{spec.function}.outer(): {name!r} appears twice; name it in one group alone"
            )
        seen.add(name)
    if spec.reduce is not None:
        check_names(spec.reduce, spec.options.axis_name, spec.function)


Pairs: TypeAlias = list[tuple[str, Any]]


def _options(
    declared: Declaration, signature: inspect.Signature, function: str
) -> Mapping[str, Any]:
    """The options among the keywords; one that could as well be a rank is refused."""
    given = {k: v for k, v in (declared.named or {}).items() if k in DEFAULTS}
    for name, value in given.items():
        if name in signature.parameters and declared.ranks is None:
            raise SpecError(
                f"{function}(): {name}={value_text(value)} could be the option {name!r} or the "
                f"base rank of the parameter {name!r}; give the ranks of such parameters as "
                f"ranks={{{name!r}: ...}} (ranks={{}} says that {name}= is the option)"
            )
    return given


def _named_ranks(
    declared: Declaration, signature: inspect.Signature, function: str
) -> dict[str, Any]:
    ranks = {k: v for k, v in (declared.named or {}).items() if k not in DEFAULTS}
    extra = declared.ranks
    if extra is not None and not isinstance(cast("object", extra), Mapping):
        way_out = " or, for a parameter named ranks, ranks={'ranks': ...}"
        raise SpecError(
            f"{function}(): ranks is {extra!r}; it must be a mapping from parameter names to ranks"
            + (way_out if "ranks" in signature.parameters else "")
        )
    for name, raw in (extra or {}).items():
        if name in ranks:
            raise SpecError(
                f"{function}(): parameter {name!r} is ranked twice, as {name}=... and in ranks; "
                f"keep one"
            )
        ranks[name] = raw
    for name in ranks:
        if name not in signature.parameters:
            message = _unknown(name, signature.parameters.values(), function)
            slip = did_you_mean(name, signature.parameters)
            if is_signature(ranks[name]):
                slip = f"; a signature is given by position: auto_vmap({ranks[name]!r})"
            raise SpecError(message + (slip or did_you_mean(name, DEFAULTS, "the option ")))
    return ranks


def is_signature(rank: Any) -> bool:
    """Whether what is given as a rank is a gufunc signature.

    >>> is_signature("(n)->()"), is_signature("(n)")
    (True, False)
    """
    return isinstance(rank, str) and "->" in rank


def _unknown(name: str, parameters: Iterable[inspect.Parameter], function: str) -> str:
    listed = list(parameters)
    message = f"{function}() has no parameter {name!r}; its parameters are: "
    message += ", ".join(p.name for p in listed) or "none"
    for p in listed:
        if p.kind is VAR_KEYWORD:
            message += (
                f" (to rank a keyword that goes into **{p.name}, write {p.name}={{{name!r}: ...}})"
            )
    return message


def _positional(
    declared: Declaration, parameters: Sequence[inspect.Parameter], function: str, skipped: str
) -> Pairs:
    ranks = declared.positional
    by_position = [p for p in parameters if p.kind not in (KEYWORD_ONLY, VAR_KEYWORD)]
    beyond = len(ranks) - len(by_position)
    if beyond > 0:
        if not by_position or by_position[-1].kind is not VAR_POSITIONAL:
            raise SpecError(_too_many(len(ranks), by_position, function, skipped))
        first = len(by_position) - 1
        ranks = (*ranks[:first], PerValue(ranks[first:]))
    for raw in ranks:
        if isinstance(raw, Mapping):
            _refuse_parameters_as_keys(cast("Mapping[Any, Any]", raw), parameters, function)
    return [(p.name, raw) for p, raw in zip(by_position, ranks, strict=False)]


def _too_many(
    given: int, parameters: Sequence[inspect.Parameter], function: str, skipped: str
) -> str:
    names = ", ".join(p.name for p in parameters) or "none"
    plural = "" if len(parameters) == 1 else "s"
    message = f"{function}(): {given} ranks by position for {len(parameters)} positional"
    message += f" parameter{plural} ({names})"
    if skipped:
        message += f"; ranks by position skip {skipped}; to rank it, name it: {skipped}=..."
    return message


def _refuse_parameters_as_keys(
    raw: Mapping[Any, Any], parameters: Sequence[inspect.Parameter], function: str
) -> None:
    if raw and set(raw) <= {p.name for p in parameters}:
        shown = ", ".join(f"{key}={value_text(value)}" for key, value in raw.items())
        raise SpecError(
            f"{function}(): a dict given by position ranks the keys of one argument, but all of "
            f"its keys are parameters of {function}; did you mean auto_vmap(**...), that is "
            f"auto_vmap({shown})?"
        )


def _positions(
    options: Options,
    parameters: Sequence[inspect.Parameter],
    order: Sequence[str],
    function: str,
) -> Callable[[str], Tree]:
    """Where each parameter's batch dims sit, from `in_axes` in any of its forms."""
    axes, others = options.in_axes, FRONT
    if isinstance(axes, tuple):
        if len(axes) > len(order):
            raise SpecError(
                f"{function}(): in_axes has {len(axes)} entries for {len(order)} parameters "
                f"({', '.join(order)})"
            )
        by_name = dict(zip(order, axes, strict=False))
    elif isinstance(axes, ByName):
        by_name = {str(name): tree for name, tree in axes.children}
        others = FRONT if axes.others is None else axes.others
        for name in by_name:
            if name not in {p.name for p in parameters}:
                slip = did_you_mean(name, [p.name for p in parameters])
                raise SpecError("in_axes: " + _unknown(name, parameters, function) + slip)
    else:
        return lambda _: axes
    for p in parameters:
        if p.kind is VAR_POSITIONAL and p.name in by_name:
            by_name[p.name] = _in_order(by_name[p.name], FRONT)
    return lambda name: by_name.get(name, others)


def _is_from_self(tree: Tree) -> bool:
    """Whether the object of a method is asked for a rank in the tree."""
    return any(isinstance(leaf, FromSelf) for leaf in leaves_of(tree))


def _in_order(tree: Tree, further: Tree) -> Tree:
    """A tuple or list that is declared of `*args`: one entry for each value, in order."""
    if isinstance(tree, ByIndex) and tree.container in (tuple, list):
        return ByValue(tree.children, further, tree)
    return tree
