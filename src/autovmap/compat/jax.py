"""The interfaces of `jax.vmap` and of `jax.numpy.vectorize`.

Notes:
    `vmap` is more lenient than the original: `in_axes` may go deeper where an argument is None;
    arguments and outputs may hold strings and other non-arrays; NumPy arrays under an axis reach
    the function as JAX arrays even where the axis has size 1. A mapped axis of size 1 is squeezed,
    not mapped, so that a `lax.cond` inside stays one (with `axis_name` it is mapped, for the
    collectives).
    Stricter: an `axis_name` that is bound already around the call is refused, where the original
    lets the inner axis hide the outer one.
    Errors are autovmap's. Sizes and axes that do not fit an array are ValueErrors in both; a
    declaration that does not fit (nothing mapped, `in_axes` or `out_axes` that are no prefix, an
    output declared None that depends on the batch) is a `SpecError`, which is a TypeError, where
    the original mostly raises ValueError. To catch both: `except (ValueError, TypeError)`.
    `vectorize` differs from the original where that has a defect: keyword arguments are not
    dropped, excluding an argument by index or by name holds however it is passed, methods leave
    `self` out, arguments and results may be pytrees, NamedTuples and dicts stay what they are.
    A number in a signature is a size, and is enforced (to the original it is a name).
"""

from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeVar, overload

from autovmap._frames import interface
from autovmap.compat._vectorize import vectorized
from autovmap.compat._vmap import KEYWORDS_MAPPED, one_axis

F = TypeVar("F", bound=Callable[..., Any])


@interface
def vmap(
    fun: F,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> F:
    """Map a function over one axis of its arguments, as `jax.vmap` does.

    Keyword arguments are mapped over their axis 0.

    >>> import jax.numpy as jnp
    >>> from autovmap.compat.jax import vmap
    >>> vmap(jnp.dot, in_axes=(0, None))(jnp.ones((5, 3)), jnp.ones(3)).shape
    (5,)
    >>> vmap(lambda x, y: (x + y, 2 * y), (0, None), (0, None))(jnp.arange(2.0), 4.0)
    (Array([4., 5.], dtype=float32), 8.0)

    Args:
        fun: the function to map.
        in_axes: which axis of each argument is mapped: an int, None (not mapped), or a tuple or
            list with an entry for each positional argument, which may be a pytree prefix of it.
        out_axes: where the mapped axis goes in the result: an int, None (the output does not
            depend on the batch), or a pytree prefix of the result.
        axis_name: a name for the axis, for collectives.
        axis_size: the size of the mapped axis; needed where nothing is mapped.
        spmd_axis_name: mesh axes over which a sharding constraint inside lies.

    Returns:
        The mapped function; its `.plan` says what a call would do.

    Raises:
        SpecError: `in_axes` does not fit the arguments, or nothing is mapped.
        BatchShapeError: the mapped axes have different sizes.
        RankError: an argument has no such axis.
    """
    return one_axis(  # pyright: ignore[reportReturnType]
        fun,
        in_axes,
        option="in_axes",
        keywords=KEYWORDS_MAPPED,
        options={
            "out_axes": out_axes,
            "axis_name": None if axis_name is None else (axis_name,),
            "spmd_axis_name": None if spmd_axis_name is None else (spmd_axis_name,),
            "strict": True,
        },
        size=axis_size,
    )


@overload
def vectorize(
    pyfunc: F, *, excluded: Collection[int | str] | None = ..., signature: str | None = ...
) -> F: ...
@overload
def vectorize(
    pyfunc: None = ..., *, excluded: Collection[int | str] | None = ..., signature: str | None = ...
) -> Callable[[F], F]: ...
@interface
def vectorize(
    pyfunc: Any = None,
    *,
    excluded: Collection[int | str] | None = frozenset(),
    signature: str | None = None,
) -> Any:
    """Vectorize a function of scalars, or of core arrays, as `jax.numpy.vectorize` does.

    >>> import jax.numpy as jnp
    >>> from autovmap.compat.jax import vectorize
    >>> vectorize(lambda a, b: a * b)(jnp.ones((3, 1)), jnp.ones(4)).shape
    (3, 4)
    >>> @vectorize(signature="(n),(n)->()", excluded={"scale"})
    ... def dot(a, b, scale=1.0):
    ...     return scale * (a @ b)
    >>> dot(jnp.ones((5, 3)), jnp.ones(3), scale=2.0).shape
    (5,)

    Args:
        pyfunc: the function; without it a decorator is returned.
        excluded: a set of arguments that are not mapped, by index or by name; None for none.
        signature: a gufunc signature of the arguments that are not excluded; without one they
            are scalars, keyword arguments too. An argument of None is absent.

    Returns:
        The vectorized function; its `.plan` says what a call would do.

    Raises:
        SpecError: the signature is malformed, or does not fit the function.
        CoreSizeError: a core dim has two sizes, or an output another shape than the signature's.
    """
    if pyfunc is None:
        return interface(lambda function: vectorized(function, excluded, signature))
    return vectorized(pyfunc, excluded, signature)
