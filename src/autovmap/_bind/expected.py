"""What annotations lead to expect of a value: no array at all, or a rank that its dtype tells."""

from typing import Any

from jax.tree_util import keystr, tree_flatten_with_path

from autovmap._bind.kinds import Kind, is_key, kind_of, shown
from autovmap._plan.leaf import root
from autovmap._spec.ranks import Choice, Core, Either, Key, NoArray, Tree, is_mapped, leaves_of
from autovmap.errors import SpecError

NO_ARRAYS = frozenset((bool, int, float, complex, str, bytes, type(None)))
"""Types that can't be or hold an array, to which most values without a rank belong."""


def expects_no_array(tree: Tree) -> bool:
    """Whether nothing below is mapped, and an annotation tells that no array is expected."""
    return not is_mapped(tree) and any(isinstance(leaf, NoArray) for leaf in leaves_of(tree))


def refuse_arrays(value: Any, tree: Tree, path: str, function: str) -> None:
    """Refuse an array with dims in an argument that is not mapped, by its annotation."""
    if type(value) in NO_ARRAYS:
        return
    rank = next(leaf for leaf in leaves_of(tree) if isinstance(leaf, NoArray))
    refuse_array(value, rank, path, function)
    if not rank.inside:
        return
    try:
        flat, _ = tree_flatten_with_path(value)
    except Exception:  # whatever a node that was never meant for JAX may raise
        return
    for keys, leaf in flat:
        refuse_array(leaf, rank, path + keystr(keys), function)


def refuse_array(leaf: Any, rank: NoArray, path: str, function: str) -> None:
    """Refuse an array with dims where an annotation says that none is mapped, or nothing."""
    kind = kind_of(type(leaf))
    if kind in (Kind.OTHER, Kind.INT, Kind.NUMBER) or leaf.shape == ():
        return
    name = root(path)
    below = name != path
    given = "{...}" if below else len(leaf.shape)
    raise SpecError(
        f"{function}(): {path} is {shown(leaf)}, but {name if below else 'it'} {rank.why}; give "
        f"its base rank by name, as in @auto_vmap(..., {name}={given}); None for not mapped"
    )


def chosen(rank: Either, leaf: Any, where: str) -> Core | Key:
    """The base rank that a union's members say for a leaf of this dtype."""
    if kind_of(type(leaf)) in (Kind.INT, Kind.NUMBER):
        return Core(0) if rank.numbers else rank.choices[0].rank
    dtype = "prng_key" if is_key(leaf) else str(leaf.dtype)
    for choice in rank.choices:
        if _is_for(choice, dtype):
            return choice.rank
    said = "; ".join(", ".join(map(str, choice.dtypes)) for choice in rank.choices)
    raise SpecError(
        f"{where} is {shown(leaf)}, and no member of its annotation is for arrays of that dtype, "
        f"but: {said}"
    )


def _is_for(choice: Choice, dtype: str) -> bool:
    return not choice.dtypes or any(
        name == dtype if isinstance(name, str) else name.fullmatch(dtype) for name in choice.dtypes
    )
