"""The errors of autovmap: one hierarchy, each also the builtin that Python would raise.

>>> issubclass(SpecError, TypeError), issubclass(BatchShapeError, ValueError)
(True, True)
"""

from typing import Any

from autovmap._lines import wrapped


class AutoVmapError(Exception):
    """Any mistake that autovmap finds by itself.

    >>> from autovmap import auto_vmap
    >>> try:
    ...     auto_vmap(x=-1)(lambda x: x)
    ... except AutoVmapError as error:
    ...     print(type(error).__name__, error)
    SpecError <lambda>(): base rank x: got -1;
    a base rank is a non-negative int or None
    """

    message: str = ""
    """What the error says, with long lines unbroken."""

    def __init__(self, message: str = "") -> None:
        """`message` may have long lines: they are broken where the error is shown."""
        super().__init__()
        self.reword(message)

    def reword(self, message: str) -> None:
        """Say something else: a traceback puts the name of the class in front of the first line."""
        kind = type(self)
        self.message = message
        self.args = (wrapped(message, len(f"{kind.__module__}.{kind.__qualname__}: ")),)


class SpecError(AutoVmapError, TypeError):
    """A declaration is malformed, or an argument does not have the structure or type it asks for.

    >>> from autovmap import auto_vmap
    >>> auto_vmap(w=1)(lambda x: x)
    Traceback (most recent call last):
        ...
    autovmap.errors.SpecError: <lambda>() has no parameter 'w'; its parameters are: x
    """


class RankError(AutoVmapError, ValueError):
    """An array has fewer dims than its base rank.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> try:
    ...     auto_vmap(m=2)(lambda m: m.T)(jnp.ones(3))
    ... except RankError as error:
    ...     print(str(error).partition(";")[0])
    <lambda>(): m is float32[3], of rank 1, below its base rank 2
    """


class BatchShapeError(AutoVmapError, ValueError):
    """The batch shapes of two arguments do not broadcast.

    `leaves` are the leaves of the call, and `axis` is the batch axis along which two of them
    clash; None where the mistake is of another kind.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> try:
    ...     auto_vmap(1, 1)(jnp.dot)(jnp.ones((4, 3)), jnp.ones((5, 3)))
    ... except BatchShapeError as error:
    ...     print(error.axis, [leaf.shape for leaf in error.leaves])
    -1 [(4, 3), (5, 3)]
    """

    leaves: tuple[Any, ...] = ()
    axis: int | None = None


class CoreSizeError(AutoVmapError, ValueError):
    """A core dim has another size than its name or number says.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> try:
    ...     auto_vmap("(n),(n)->()")(jnp.dot)(jnp.ones(3), jnp.ones(4))
    ... except CoreSizeError as error:
    ...     print(str(error).partition("  (n)")[0].rstrip())
    dot():
    inconsistent size for core dimension 'n': 3 in a and 4 in b
    """
