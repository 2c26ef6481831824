"""The interface of `torch.func.vmap` (functorch), for JAX functions.

Notes:
    Differs from the original where JAX does: what is random is a function of PRNG keys that are
    passed in, so `randomness` concerns typed keys (`jax.random.key`) that are arguments and are
    not mapped. More lenient: outputs may be any pytree.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from autovmap._frames import interface
from autovmap._ways.options import read_chunk
from autovmap.compat._vmap import KEYS_COUNTED, one_axis

F = TypeVar("F", bound=Callable[..., Any])


@interface
def vmap(
    func: F,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: Literal["error", "different", "same"] = "error",
    *,
    chunk_size: int | None = None,
) -> F:
    """Map a function over one dim of its arguments, as `torch.func.vmap` does.

    Keyword arguments are taken, but not mapped.

    >>> import jax.numpy as jnp
    >>> from autovmap.compat.functorch import vmap
    >>> vmap(jnp.dot, in_dims=(0, None))(jnp.ones((5, 3)), jnp.ones(3)).shape
    (5,)
    >>> vmap(lambda x: x**2, in_dims=0, out_dims=1)(jnp.ones((2, 5))).shape
    (5, 2)
    >>> x = jnp.ones((2, 5))
    >>> vmap(lambda x, scale: x * scale)(x, scale=x).shape
    (2, 2, 5)

    Args:
        func: the function to map.
        in_dims: which dim of each argument is mapped: an int, None (not mapped), or a tuple with
            an entry for each positional argument, which may be nested as the argument is.
        out_dims: where the mapped dim goes in the result: an int or a tuple.
        randomness: what a key that is not mapped means: refused in a batch ("error"), an own draw
            for each example ("different"), or one draw for all ("same").
        chunk_size: at most so many examples at once (see `AutoVmapped.chunk`); None for all.

    Returns:
        The mapped function; its `.plan` says what a call would do.

    Raises:
        SpecError: `in_dims` does not fit the arguments, or nothing is mapped.
        BatchShapeError: the mapped dims have different sizes, or one key would serve many examples
            under "error".
        RankError: an argument has no such dim.
    """
    if isinstance(out_dims, tuple) and len(out_dims) == 1 and isinstance(out_dims[0], int):
        (out_dims,) = out_dims  # as in the original, for a lone result and for a tuple of one
    return one_axis(  # pyright: ignore[reportReturnType]
        func,
        in_dims,
        option="in_dims",
        keywords=KEYS_COUNTED,
        unmapped=KEYS_COUNTED,
        options={"out_axes": out_dims, "randomness": randomness, "strict": True},
        chunk=None if chunk_size is None else read_chunk(chunk_size, None, False, False, "vmap"),
    )
