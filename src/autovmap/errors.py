"""The errors of autovmap: one hierarchy, each also the builtin that Python would raise.

>>> issubclass(SpecError, TypeError), issubclass(BatchShapeError, ValueError)
(True, True)
"""

import re
from typing import Any

WIDTH = 92
"""The longest line of a message, where it can be broken."""


def wrapped(text: str, before: int = 0) -> str:
    """A message in lines that terminals and pages show whole.

    A long line is broken between its clauses, or else at a space, not within brackets. Lines that
    are set in (tables, carets, code) stay as they are. `before` is what stands before the first
    line, as the name of an error does.

    >>> print(wrapped("f(): " + 9 * "a word " + "and one; " + 5 * "more words " + "(at the end)"))
    f(): a word a word a word a word a word a word a word a word a word and one;
    more words more words more words more words more words (at the end)
    """
    first, *rest = text.split("\n")
    lines = _parts(first, WIDTH - before)
    for line in rest:
        lines += _parts(line, WIDTH)
    return "\n".join(lines)


def _parts(line: str, room: int) -> list[str]:
    parts: list[str] = []
    while len(line) > room and not line.startswith("  "):
        at = _break(line, room)
        if at is None:
            break
        parts.append(line[:at])
        line, room = line[at + 1 :], WIDTH
    return [*parts, line]


def _break(line: str, room: int) -> int | None:
    """The space at which a line is best broken: of the later ones, one that ends a clause."""
    depth = 0
    spaces: list[int] = []
    for i, character in enumerate(line[: room + 1]):
        depth += (character in "([{") - (character in ")]}")
        if character == " " and depth <= 0 and i:
            spaces.append(i)
    if not spaces:
        found = line.rfind(" ", 1, room + 1)
        return found if found > 0 else None
    late = [i for i in spaces if i >= room // 2]
    for ends in (";.?", ",:"):
        clauses = [i for i in late if line[i - 1] in ends and not _is_code(line, i)]
        if clauses:
            return clauses[-1]
    return spaces[-1]


def _is_code(line: str, at: int) -> bool:
    """Whether a space belongs to an annotation, as in `n: int`."""
    return re.search(r"(?:^| )\w+:$", line[:at]) is not None and line[at + 1 : at + 4] == "int"


class AutoVmapError(Exception):
    """Any mistake that autovmap finds by itself.

    >>> from autovmap import auto_vmap
    >>> try:
    ...     auto_vmap(x=-1)(lambda x: x)
    ... except AutoVmapError as error:
    ...     print(type(error).__name__, error)
    SpecError <lambda>(): base rank x: got -1; a base rank is a non-negative int or None
    """

    def __init__(self, message: str = "") -> None:
        """`message` may have long lines: they are broken here."""
        super().__init__(wrapped(message))


class SpecError(AutoVmapError, TypeError):
    """A declaration is malformed, or an argument has not the structure or type it asks for.

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
    ...     print(str(error).splitlines()[0])
    dot(): inconsistent size for core dimension 'n': 3 in a and 4 in b
    """
