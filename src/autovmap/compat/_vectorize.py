"""`vectorize`: each argument's core dims are said by a signature, or it is a scalar."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, cast

from autovmap._bind.kinds import shown
from autovmap._decorate import decorated
from autovmap._function.decorated import AutoVmapped
from autovmap._function.engine import Engine
from autovmap._function.identity import is_method
from autovmap._spec.declaration import Declaration
from autovmap._spec.gufunc import read_gufunc
from autovmap._spec.ranks import UNMAPPED, ByValue, Core, Tree
from autovmap.errors import SpecError

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
ANYTHING = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)


def vectorized(
    function: Callable[..., Any], excluded: Collection[int | str] | None, signature: str | None
) -> Any:
    """`function` over batches, under `vectorize`'s way of saying the core dims."""
    if not callable(function) and not isinstance(cast("object", function), classmethod):
        raise SpecError(f"vectorize takes a callable, but got {shown(function)}")
    excluded = frozenset() if excluded is None else excluded  # the default of np.vectorize
    if isinstance(excluded, (str, int)):
        raise SpecError(
            f"vectorize: excluded={excluded!r} is a single argument, but excluded must be a set; "
            f"give excluded={{{excluded!r}}}"
        )
    if not isinstance(cast("object", excluded), Iterable):
        raise SpecError(
            f"vectorize: excluded={excluded!r} is not a set of arguments; give their indices or "
            f"names, as in excluded={{'scale'}}"
        )
    if not all(isinstance(cast("object", one), (int, str)) for one in excluded):
        raise SpecError(
            f"jax.numpy.vectorize can only exclude integer or string arguments, but "
            f"excluded={excluded!r}"
        )
    if any(isinstance(one, int) and one < 0 for one in excluded):
        raise SpecError(f"excluded={excluded!r} contains negative numbers")
    wrapper = isinstance(function, (classmethod, staticmethod))
    inner: Callable[..., Any] = cast("Any", function).__func__ if wrapper else function
    readable = True
    try:
        found = inspect.signature(inner)
    except (TypeError, ValueError):
        found, readable = ANYTHING, False
    skip_first = isinstance(function, classmethod) or (not wrapper and is_method(inner, found))
    left_out = _beyond_self(excluded) if skip_first else frozenset(excluded)
    if signature is None:
        declared = Declaration(ranks=_scalars(found, left_out, skip_first), numpy_calls=True)
    else:
        if not isinstance(cast("object", signature), str):
            raise SpecError(f"not a valid gufunc signature: {signature!r} is not a string")
        read_gufunc(signature)
        declared = Declaration((signature,), excluded=left_out, numpy_calls=True)
    if readable:
        return decorated(function, declared)
    return AutoVmapped[..., Any](Engine(inner, declared, signature=found))


def _beyond_self(excluded: Collection[int | str]) -> frozenset[int | str]:
    """Indices that count `self`, as the originals' do, as indices that leave it out."""
    return frozenset(one - 1 if isinstance(one, int) else one for one in excluded if one != 0)


def _scalars(
    signature: inspect.Signature, excluded: frozenset[int | str], skip_first: bool
) -> Mapping[str, Tree]:
    """Rank 0 for every parameter that is not excluded, by its index or by its name."""
    ranks: dict[str, Tree] = {}
    for i, parameter in enumerate(list(signature.parameters.values())[skip_first:]):
        if parameter.name in excluded or (parameter.kind in POSITIONAL and i in excluded):
            continue
        ranks[parameter.name] = Core(0)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            last = max((j for j in excluded if isinstance(j, int)), default=i - 1)
            unmapped = [UNMAPPED if j in excluded else Core(0) for j in range(i, last + 1)]
            ranks[parameter.name] = ByValue(tuple(unmapped), Core(0))
    return ranks
