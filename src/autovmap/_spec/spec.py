"""What a function wants: each parameter with its rank tree, and the options."""

import inspect
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, cast

from autovmap._spec.fold import Gradient, Reduce
from autovmap._spec.gufunc import Gufunc
from autovmap._spec.options import FRONT, NO_EXTENT, Extent, Options
from autovmap._spec.ranks import UNMAPPED, ByName, ByValue, Tree

POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
POSITIONAL_OR_KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD
VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
VARIADIC = (VAR_POSITIONAL, VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its rank tree, and where the batch dims of its leaves sit."""

    name: str
    kind: Any
    rank: Tree = UNMAPPED
    positions: Tree = FRONT
    declared: bool = False
    """Whether anything was said of its rank: None is a rank that is not forgotten."""

    def rank_of(self, keyword: Hashable) -> Tree:
        """The rank tree of one value: of `**kwargs` by keyword, of `*args` the i-th."""
        tree = self.rank
        return self._of(keyword, tree, UNMAPPED) if self.kind in VARIADIC else tree

    def positions_of(self, keyword: Hashable) -> Tree:
        """The same for the positions of the batch dims."""
        tree = self.positions
        return self._of(keyword, tree, FRONT) if self.kind in VARIADIC else tree

    def _of(self, keyword: Hashable, tree: Tree, missing: Tree) -> Tree:
        if self.kind is VAR_KEYWORD and isinstance(tree, ByName):
            return tree.child(keyword, missing)
        return tree.child(cast("int", keyword)) if isinstance(tree, ByValue) else tree


@dataclass(frozen=True, slots=True)
class Spec:
    """What the decorator was told, checked against the function's parameters."""

    function: str
    parameters: tuple[Parameter, ...]
    options: Options
    extent: Extent = NO_EXTENT
    reduce: Reduce | None = None
    signature: Gufunc | None = None
    lifted: bool = False
    """Whether the function is a transformed one, of whose outputs the signature does not tell."""
    gradient: Gradient | None = None
    """Of what the function is the gradient, if it is one."""
    numpy_calls: bool = False
    unread: tuple[str, ...] = ()
    """Parameters whose ranks stand in annotations that are still to be read."""
    from_self: tuple[str, ...] = ()
    """Parameters of which the object of a method is asked for a rank."""

    def parameter(self, name: str) -> Parameter | None:
        """The parameter that takes this keyword: the one of its name, or `**kwargs`."""
        for parameter in self.parameters:
            if parameter.name == name and parameter.kind in (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY):
                return parameter
        last = self.parameters[-1] if self.parameters else None
        return last if last is not None and last.kind is VAR_KEYWORD else None
