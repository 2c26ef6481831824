"""The printed code of a fold: the batch first, and then what `f.reduce(...)` says of its results.

XLA holds the batch no more than it does for the call itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax

from autovmap._plan.outputs import block_start
from autovmap._plan.plan import PlanData
from autovmap._show.arguments import Names
from autovmap._show.calling import Calling, Output
from autovmap._spec.fold import Combine, Fold, Reduce, fold_of
from autovmap._spec.ranks import ByIndex, ByName, Mark, Position, Tree, Unmapped
from autovmap.errors import SpecError


@dataclass(slots=True)
class Folds:
    """The folds of a result as text, and what they need beside the results."""

    module: str
    dims: tuple[int, ...]
    """Where the folded dims of a result lie."""
    block: int
    """How many batch dims it has."""
    start: int
    """Where they begin."""
    guarded: bool
    """Whether a result holds anything that is not an array."""
    names: Names
    given: list[str] = field(default_factory=list)
    """Parameters for the functions and identities of the caller's own folds."""
    defined: list[str] = field(default_factory=list)
    """Lines that define these folds."""

    def function(self, fold: Fold | None) -> str:
        """A function of a part of the result."""
        if isinstance(fold, Combine):
            return self._own(fold)
        if fold is None:
            return "lambda part: part"
        name = "nn.logsumexp" if fold == "logsumexp" else f"numpy.{fold}"
        one = f"{self.module}.{name}(y, axis={self.dims})"
        one = f"{one} if hasattr(y, 'shape') else y" if self.guarded else one
        return f"lambda part: {self.module}.tree.map(lambda y: {one}, part)"

    def _own(self, fold: Combine) -> str:
        """A function that folds by the caller's own, one example after the other."""
        jax_ = self.module
        combine, identity = self.names.fresh("combine"), self.names.fresh("identity")
        name = self.names.fresh("folded", "fold")
        self.given += [combine, identity]
        kept, count = self.block - len(self.dims), len(self.dims)
        combined = combine
        for _ in range(kept):
            combined = f"{jax_}.vmap({combined})"
        front = f"{jax_}.numpy.moveaxis(y, {self.dims}, {tuple(range(count))})"
        shape = f"(-1, *y.shape[{count}:])"
        rows = f"{front}.reshape{shape}" if count != 1 else front
        cast = f"{jax_}.tree.map(lambda c, y: {jax_}.numpy.asarray(c, y.dtype), "
        start = f"{jax_}.numpy.broadcast_to({jax_}.numpy.asarray(i, y.dtype), y.shape[1:])"
        self.defined += [
            f"def {name}(part):",
            f"    part = {jax_}.tree.map(lambda y: {rows}, part)",
            f"    start = {jax_}.tree.map(lambda i, y: {start}, {identity}, part)",
            f"    step = lambda a, b: ({cast}{combined}(a, b), a), None)",
            f"    return {jax_}.lax.scan(step, start, part)[0]",
            "",
        ]
        if not jax.tree_util.treedef_is_leaf(jax.tree.structure(fold.identity)):
            return name
        return f"lambda part: {jax_}.tree.map({name}, part)"

    def tree(self, tree: Tree) -> str | None:
        """The functions of a result's parts as a Python tree; None where none can be written."""
        match tree:
            case Mark() | Unmapped():
                return self.function(fold_of(tree))
            case ByName(children=children, others=None):
                parts = [(key, self.tree(child)) for key, child in children]
                if any(text is None for _, text in parts):
                    return None
                return "{" + ", ".join(f"{key!r}: {text}" for key, text in parts) + "}"
            case ByIndex(container=container, children=children) if container in (tuple, list):
                texts = [self.tree(child) for child in children]
                if None in texts:
                    return None
                inside = ", ".join(map(str, texts)) + "," * (len(texts) == 1)
                return f"({inside})" if container is tuple else f"[{inside}]"
            case _:
                return None


def folded_code(
    plan: PlanData,
    calling: Calling,
    reduce: Reduce,
    outputs: Sequence[Output] | None,
    batched: str,
) -> str:
    """The code of a call whose results are folded, from that of the call itself.

    Raises:
        SpecError: there is no code for how they are folded.
    """
    at, block = calling.out_axes, len(plan.batch_shape)
    kept = block - len(calling.folded)
    if not isinstance(at, Position) or (kept and not calling.stretch_outputs):
        raise _no_code(plan, reduce, "as batch dims of outputs go to different places")
    start = at.index if at.index >= 0 else at.index + 1 - block
    dims = tuple(start + block + axis for axis in sorted(calling.folded))
    head, _, body = batched.partition("def call(")
    parameters = body.partition("):\n")[0]
    names = Names(re.findall(r"\w+", parameters))
    module = (re.findall(r"import jax(?: as (\w+))?", head) or [""])[0] or "jax"
    name = names.fresh("batched", "whole")
    guarded = outputs is not None and not all(output.array for output in outputs)
    folds = Folds(module, dims, block, start, guarded, names)
    tree = folds.tree(reduce.folds)
    if tree is None:
        raise _no_code(plan, reduce, "as a result is split by its fields")
    if folds.given and kept and start:
        raise _no_code(plan, reduce, "as a function combines outputs whose batch dims don't lead")
    handed = re.sub(r"(\w+)=[^,]*(?=,|$)", r"\1=\1", parameters).replace("*, ", "")
    first, *others = parameters.split(", ")
    taken = ", ".join([first, *folds.given, *others])
    whole = f"{name}({handed})"
    if not isinstance(reduce.folds, Mark):
        result = f"{module}.tree.map(lambda fold, part: fold(part), {tree}, {whole})"
    elif tree.startswith("lambda part: "):
        result = f"{tree.removeprefix('lambda part: ').removesuffix('part)')}{whole})"
    else:
        result = f"{tree}({whole})"
    lines = [*folds.defined, f"return {result}"]
    inside = "\n".join(f"    {line}".rstrip() for line in lines)
    return f"{head}def {name}({body}\n\n\ndef call({taken}):\n{inside}"


def unfolded(plan: PlanData, outputs: Sequence[Output] | None) -> list[Output] | None:
    """The outputs with the batch dims that they have before they are folded."""
    if outputs is None:
        return None
    found: list[Output] = []
    for output in outputs:
        if output.fold:
            ndim = len(output.core) + len(plan.batch_shape)
            start = block_start(output.group.position or 0, ndim, len(plan.batch_shape))
            shape = (*output.core[:start], *plan.batch_shape, *output.core[start:])
            output = replace(output, shape=shape, fold="")
        found.append(output)
    return found


def _no_code(plan: PlanData, reduce: Reduce, why: str) -> SpecError:
    return SpecError(
        f"{plan.function}: there is no code for .reduce({reduce}), {why}; take the code of the "
        f"plan without .reduce"
    )
