"""A declaration without ranks: they stand in the annotations, and are read at the first call."""

import inspect
from dataclasses import replace

from autovmap._spec.annotations.reader import NO_ANNOTATION, Reader
from autovmap._spec.annotations.scope import Scope
from autovmap._spec.positions import check_positions
from autovmap._spec.ranks import ByName, Tree
from autovmap._spec.spec import VAR_KEYWORD, Spec, check_extent
from autovmap.errors import SpecError


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
