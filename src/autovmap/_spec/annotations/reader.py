"""From annotations to rank trees, at the first call of a function that is declared without any."""

import collections.abc
import inspect
import types
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autovmap._spec.annotations.scope import Scope, bound_variables, fields_of
from autovmap._spec.annotations.shapes import (
    MANY,
    Shaped,
    clash_of,
    either,
    is_jaxtyped,
    is_numpy_array,
    is_pytree,
    keys_joined,
    read_jaxtyped,
    read_numpy,
    text_of,
)
from autovmap._spec.declaration import check_extent
from autovmap._spec.positions import check_positions
from autovmap._spec.ranks import (
    ByIndex,
    ByName,
    Core,
    Each,
    Key,
    NoArray,
    Tree,
    is_mapped,
    leaves_of,
    plain,
)
from autovmap._spec.spec import VAR_KEYWORD, Spec
from autovmap.errors import SpecError

NUMBERS: tuple[type, ...] = (bool, int, float, complex, np.bool_, np.number, np.generic)
NEVER_MAPPED: tuple[type, ...] = (str, bytes, type(None), type)
SEQUENCES = (
    *(list, collections.abc.Sequence, collections.abc.MutableSequence),
    *(collections.abc.Iterable, collections.abc.Collection),
)
MAPPINGS = (
    *(dict, collections.OrderedDict, collections.defaultdict),
    *(collections.abc.Mapping, collections.abc.MutableMapping),
)


@dataclass(frozen=True)
class Reader:
    """Reads the annotations of one function.

    `arrays` are the array types that tell no shape by themselves (`jax.Array`, `np.ndarray`).
    """

    function: str
    arrays: tuple[type, ...] = (np.ndarray,)

    def read(self, annotation: Any, path: str, scope: Scope) -> Tree:
        """The rank tree that an annotation says.

        Raises:
            SpecError: a name does not resolve, or an array's number of dims is left open.
        """
        members = self._members(annotation, path, scope)
        found = [self._member(member, path, scope) for member in members]
        kept = [
            entry
            for entry in zip(members, found, strict=True)
            if entry[0] not in (None, types.NoneType)
        ]
        if len(kept) > 1:
            return self._union(kept, " | ".join(map(text_of, members)), path)
        only = kept[0][1] if kept else found[0]
        return only.rank if isinstance(only, Shaped) else only

    def _members(self, annotation: Any, path: str, scope: Scope) -> list[Any]:
        """The members of a union; of anything else, itself. Names of types are looked through."""
        try:
            annotation = scope.resolve(annotation)
        except Exception as error:
            raise SpecError(
                f"{self.function}(): the annotation of {path}, {_text(annotation)!r}, does not "
                f"resolve: {type(error).__name__}: {error}. {_remedy(path)}"
            ) from error
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in (typing.Union, types.UnionType):
            return [m for argument in arguments for m in self._members(argument, path, scope)]
        if origin in (typing.Annotated, typing.Final, typing.Required, typing.NotRequired):
            return self._members(arguments[0], path, scope)
        if isinstance(annotation, typing.TypeVar):
            choices = (
                (annotation.__bound__,) if annotation.__bound__ else annotation.__constraints__
            )
            choices = (scope.bound[annotation],) if annotation in scope.bound else choices
            return [m for choice in choices for m in self._members(choice, path, scope)] or [Any]
        for attribute in ("__value__", "__supertype__"):  # type aliases, NewType
            if hasattr(annotation, attribute) and not isinstance(annotation, type):
                return self._members(getattr(annotation, attribute), path, scope)
        return [annotation]

    def _member(self, annotation: Any, path: str, scope: Scope) -> Tree | Shaped:
        if is_jaxtyped(annotation):
            return read_jaxtyped(annotation, scope.owner) or self._open(
                annotation, path, "has an open number of dims after the first"
            )
        if is_numpy_array(annotation):
            return read_numpy(annotation) or self._open(annotation, path)
        if is_pytree(annotation):
            return self._pytree(annotation, path, scope)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is not None:
            return self._generic(annotation, origin, arguments, path, scope)
        if isinstance(annotation, type):
            return self._class(annotation, path, scope)
        return _no_array(annotation)

    def _open(
        self, annotation: Any, path: str, what: str = "does not say how many dims it has"
    ) -> typing.NoReturn:
        raise SpecError(
            f"{self.function}(): {path} is annotated as {text_of(annotation)}, which {what}; write "
            f'for example Float[Array, "n"] (a leading "..." stands for batch dims). '
            f"{_remedy(path)}"
        )

    def _pytree(self, annotation: Any, path: str, scope: Scope) -> Tree:
        leaf = getattr(annotation, "leaftype", Any)
        tree = self.read(leaf, path, scope)
        leaves = list(dict.fromkeys(leaves_of(tree)))
        if not is_mapped(tree):
            return _no_array(annotation)
        if len({plain(leaf) for leaf in leaves}) > 1:
            raise SpecError(
                f"{self.function}(): {path} is annotated as {text_of(annotation)}, whose parts "
                f"have different base ranks, {plain(tree)!r}, and it does not say which part is "
                f"where. {_remedy(path)}"
            )
        arrays = [Shaped(leaf) for leaf in leaves if isinstance(leaf, (Core, Key))]
        return leaves[0] if len(leaves) == 1 else either(arrays, False, False)

    def _generic(
        self, annotation: Any, origin: Any, arguments: tuple[Any, ...], path: str, scope: Scope
    ) -> Tree:
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            children = [self.read(a, f"{path}[{i}]", scope) for i, a in enumerate(arguments)]
            return ByIndex(tuple, tuple(f"[{i}]" for i in range(len(children))), tuple(children))
        if origin is tuple or origin in SEQUENCES:
            return self._each(arguments[0], path, scope)
        if origin in MAPPINGS:
            return self._each(arguments[1], path, scope)
        if isinstance(origin, type) and origin not in self.arrays:
            bound = {**scope.bound, **bound_variables(origin, arguments)}
            found = self._class(origin, path, replace(scope, bound=bound))
            return found if not isinstance(found, NoArray) else _no_array(annotation, found.inside)
        return _no_array(annotation)

    def _each(self, annotation: Any, path: str, scope: Scope) -> Tree:
        """Any number of the same: one rank for all leaves, where that says it."""
        tree = self.read(annotation, f"{path}{MANY}", scope)
        return Each(tree) if isinstance(tree, (ByName, ByIndex, Each)) else tree

    def _class(self, cls: type, path: str, scope: Scope) -> Tree:
        if issubclass(cls, self.arrays):
            self._open(cls, path)
        if issubclass(cls, (*NUMBERS, *NEVER_MAPPED)):
            return _no_array(cls)
        fields = None if cls in scope.around else fields_of(cls, scope, path)
        if fields is None or not fields:
            return _no_array(cls, inside=cls is not collections.abc.Callable)
        return ByName(
            tuple(
                (name, self._field(annotation, f"{path}.{name}", inner))
                for name, annotation, inner in fields
            )
        )

    def _field(self, annotation: Any, path: str, scope: Scope) -> Tree:
        empty = annotation is inspect.Parameter.empty
        return NO_ANNOTATION if empty else self.read(annotation, path, scope)

    def _union(self, members: Sequence[tuple[Any, Tree | Shaped]], text: str, path: str) -> Tree:
        """One tree for all members of a union: they agree, or a leaf's dtype tells."""
        found = [tree for _, tree in members]
        arrays = keys_joined([entry for entry in found if isinstance(entry, Shaped)])
        trees = [entry for entry in found if not isinstance(entry, (Shaped, NoArray))]
        arrays += [Shaped(tree) for tree in trees if isinstance(tree, (Core, Key))]
        trees = [tree for tree in trees if not isinstance(tree, (Core, Key))]
        none = [(cls, tree) for cls, tree in members if isinstance(tree, NoArray)]
        if not arrays and not trees:
            return NoArray(_why(text), any(tree.inside for _, tree in none))
        if not arrays and all(tree == trees[0] for tree in trees):
            return trees[0]
        if trees:
            said = [plain(tree) for tree in trees] + [plain(entry.rank) for entry in arrays]
            raise SpecError(
                f"{self.function}(): {path} is annotated as {text}, whose members have different "
                f"base ranks: {', '.join(map(repr, said))}. {_remedy(path)}"
            )
        numbers = [_is_number(cls) for cls, _ in none]
        clash = clash_of(arrays)
        if clash is not None:
            raise SpecError(
                f"{self.function}(): {path} is annotated as {text}: the base ranks {clash[0]!r} "
                f"and {clash[1]!r} for arrays of one dtype, so batch dims can't be told from core "
                f"dims. {_remedy(path)}"
            )
        return either(arrays, any(numbers), not all(numbers))


def _why(text: str) -> str:
    return f"is annotated as {text}, which says nothing about an array's dims"


def _no_array(annotation: Any, inside: bool = True) -> NoArray:
    return NoArray(_why(text_of(annotation)), inside)


NO_ANNOTATION = NoArray("has no annotation")
SAYS_NOTHING = (inspect.Parameter.empty, Any, "Any", "typing.Any")


def _is_number(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, NUMBERS)


def _text(annotation: Any) -> str:
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__
    return annotation if isinstance(annotation, str) else text_of(annotation)


def _remedy(path: str) -> str:
    """How to rank a parameter in spite of its annotation."""
    name = path.partition(".")[0].partition("[")[0]
    rank = "{...}" if name != path else "1"
    return f"Or give the base rank by name: @auto_vmap(..., {name}={rank}); None for not mapped"


def unread_parameters(
    parameters: Sequence[inspect.Parameter],
    ranked: Collection[str],
    function: str,
    options: Collection[str] = (),
) -> tuple[str, ...]:
    """The names of the parameters whose ranks stand in annotations.

    Raises:
        SpecError: no parameter is annotated, so that there is nothing to read.
    """
    if parameters and all(p.annotation in SAYS_NOTHING for p in parameters):
        example = ", ".join(f"{p.name}=0" for p in parameters)
        also = ""
        if "in_axes" in options:
            also = ".\nin_axes says where the batch dims of a ranked argument are, not which "
            also += "arguments have them; for in_axes as jax.vmap has it: autovmap.compat.jax.vmap"
        raise SpecError(
            f"@auto_vmap without base ranks on {function}(): none of its parameters is annotated; "
            f"annotate them by jaxtyping, as in {parameters[0].name}: "
            f'Float[Array, "n"], or give each argument\'s number of dims for one example, as in '
            f"@auto_vmap({example}) for scalars{also}"
        )
    return tuple(p.name for p in parameters if p.name not in ranked)


def read_annotations(
    told: Spec, signature: inspect.Signature, scope: Scope, arrays: tuple[type, ...]
) -> Spec:
    """The spec with the ranks that the annotations say, of the parameters that have none.

    Args:
        told: what the declaration said.
        signature: the function's, with its annotations as they stand there.
        scope: where names in them are looked up.
        arrays: the array types that say nothing of dims.

    Raises:
        SpecError: an annotation does not resolve or leaves a number of dims open; the message
            names the parameter.
    """
    reader = Reader(told.function, arrays)
    trees: dict[str, Tree] = {}
    for name in told.unread:
        parameter = signature.parameters[name]
        if parameter.annotation is inspect.Parameter.empty:
            trees[name] = NO_ANNOTATION
            continue
        tree = reader.read(parameter.annotation, name, scope)
        if parameter.kind is VAR_KEYWORD and isinstance(tree, ByName):
            raise SpecError(
                f"{told.function}(): every value of **{name} is annotated as having the base ranks "
                f"of a class's fields; give them by keyword: @auto_vmap(..., {name}={{...}})"
            )
        trees[name] = tree
    parameters = tuple(
        replace(p, rank=trees[p.name], declared=True) if p.name in trees else p
        for p in told.parameters
    )
    spec = replace(told, parameters=parameters, unread=())
    check_positions(parameters, told.options.in_axes, told.function)
    check_extent(spec)
    return spec
