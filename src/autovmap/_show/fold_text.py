"""The printed code of a fold: the batch first, and then what `f.reduce(...)` says of its results.

XLA holds the batch no more than it does for the call itself.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import jax

from autovmap._plan.outputs import block_start
from autovmap._plan.plan import CallPlan
from autovmap._show.arguments import Names
from autovmap._show.calling import Calling, Output
from autovmap._spec.fold import Combine, Fold, Kind, Reduce, fold_of
from autovmap._spec.ranks import ByIndex, ByName, Mark, Position, Tree, Unmapped, leaves_of
from autovmap.errors import SpecError


@dataclass(slots=True)
class Folds:
    """The folds of a result as text, and what they need beside the results."""

    module: str
    folded: tuple[int, ...]
    """The batch axes that are folded."""
    block: int
    """How many batch dims a result has."""
    guarded: bool
    """Whether a result holds anything that is not an array."""
    names: Names
    given: list[str] = field(default_factory=list)
    """Parameters for the functions and identities of the caller's own folds."""
    defined: list[str] = field(default_factory=list)
    """Lines that define these folds."""

    def dims(self, at: int) -> tuple[int, ...]:
        """Where the folded dims lie in a result whose block of batch dims is put there."""
        return tuple(block_first(at, self.block) + self.block + axis for axis in self.folded)

    def one(self, fold: Kind, at: int, value: str) -> str:
        """An array folded by `jnp`'s function."""
        name = "nn.logsumexp" if fold == "logsumexp" else f"numpy.{fold}"
        return f"{self.module}.{name}({value}, axis={self.dims(at)})"

    def function(self, fold: Fold | None, at: Tree) -> str:
        """A function of a part of the result."""
        if fold is None or not isinstance(at, Position):
            return "lambda part: part"
        if isinstance(fold, Combine):
            name = self.own(fold, at.index)
            alone = jax.tree_util.treedef_is_leaf(jax.tree.structure(fold.identity))
            return f"lambda part: {self.module}.tree.map({name}, part)" if alone else name
        one = self.one(fold, at.index, "y")
        one = f"{one} if hasattr(y, 'shape') else y" if self.guarded else one
        return f"lambda part: {self.module}.tree.map(lambda y: {one}, part)"

    def own(self, fold: Combine, at: int) -> str:
        """The name of a function that folds by the caller's own, one example after the other."""
        jax_, dims = self.module, self.dims(at)
        combine, identity = self.names.fresh("combine"), self.names.fresh("identity")
        name = self.names.fresh("folded", "fold")
        self.given += [combine, identity]
        kept, count = self.block - len(dims), len(dims)
        combined = combine
        for _ in range(kept):
            combined = f"{jax_}.vmap({combined})"
        # Where core dims come before the batch dims, those that are kept go in front as well.
        first = block_first(at, self.block)
        rest = [first + i for i in range(self.block) if first + i not in dims] if first else []
        sources = (*dims, *rest)
        front = f"{jax_}.numpy.moveaxis(y, {sources}, {tuple(range(len(sources)))})"
        lines = [f"    part = {jax_}.tree.map(lambda y: {front}, part)"]
        if count != 1:
            rows = f"y.reshape(-1, *y.shape[{count}:])"
            lines.append(f"    part = {jax_}.tree.map(lambda y: {rows}, part)")
        cast = f"{jax_}.tree.map(lambda c, y: {jax_}.numpy.asarray(c, y.dtype), "
        start = f"{jax_}.numpy.broadcast_to({jax_}.numpy.asarray(i, y.dtype), y.shape[1:])"
        whole = f"{jax_}.lax.scan(step, start, part)[0]"
        if rest:
            ends = tuple(block_first(at, kept) + i for i in range(kept))
            back = f"{jax_}.numpy.moveaxis(y, {tuple(range(kept))}, {ends})"
            whole = f"{jax_}.tree.map(lambda y: {back}, {whole})"
        self.defined += [
            f"def {name}(part):",
            *lines,
            f"    start = {jax_}.tree.map(lambda i, y: {start}, {identity}, part)",
            f"    step = lambda a, b: ({cast}{combined}(a, b), a), None)",
            f"    return {whole}",
            "",
        ]
        return name

    def tree(self, folds: Tree, axes: Tree) -> str | None:
        """The functions of a result's parts as a Python tree; None where none can be written."""
        fold_node, axes_node = _literal(folds), _literal(axes)
        if fold_node is None or axes_node is None:
            return None
        if not fold_node.parts and not axes_node.parts:
            return self.function(fold_of(folds), axes)
        node = fold_node if fold_node.parts else axes_node
        if not fold_node.parts and isinstance(fold_of(folds), Combine):
            return None  # which may take several outputs as one value
        if fold_node.parts and axes_node.parts and set(fold_node.parts) != set(axes_node.parts):
            return None
        texts = [
            self.tree(fold_node.parts.get(key, folds), axes_node.parts.get(key, axes))
            for key in node.parts
        ]
        return None if None in texts else node.text([str(text) for text in texts])


@dataclass(frozen=True, slots=True)
class Literal:
    """A level of a tree that can be written as a dict, tuple or list; without parts, a leaf."""

    container: type
    parts: dict[Hashable, Tree]

    def text(self, texts: Sequence[str]) -> str:
        """The level, from its parts."""
        if self.container is dict:
            pairs = zip(self.parts, texts, strict=True)
            return "{" + ", ".join(f"{key!r}: {text}" for key, text in pairs) + "}"
        inside = ", ".join(texts) + "," * (self.container is tuple and len(texts) == 1)
        return f"({inside})" if self.container is tuple else f"[{inside}]"


def _literal(tree: Tree) -> Literal | None:
    match tree:
        case ByName(children=children, others=None) if children:
            return Literal(dict, dict(children))
        case ByIndex(container=container, children=children) if container in (tuple, list):
            return Literal(container, dict(enumerate(children)))
        case ByName() | ByIndex():
            return None
        case Mark() | Unmapped() | Position():
            return Literal(tuple, {})
        case _:
            return None


def block_first(at: int, block: int) -> int:
    """Where a block of so many batch dims begins that is put there, from the front or the end."""
    return at if at >= 0 else at + 1 - block


def folded_code(
    plan: CallPlan,
    calling: Calling,
    reduce: Reduce,
    outputs: Sequence[Output] | None,
    batched: str,
) -> str:
    """The code of a call whose results are folded, from that of the call itself.

    Raises:
        SpecError: how they are folded depends on the result, and it is not in the plan.
    """
    head, _, body = batched.partition("def call(")
    parameters = body.partition("):\n")[0]
    names = Names(re.findall(r"\w+", parameters))
    module = (re.findall(r"import jax(?: as (\w+))?", head) or [""])[0] or "jax"
    name = names.fresh("batched", "whole")
    guarded = outputs is not None and not all(output.array for output in outputs)
    block = len(plan.batch_shape)
    folds = Folds(module, tuple(sorted(calling.folded)), block, guarded, names)
    handed = re.sub(r"(\w+)=[^,]*(?=,|$)", r"\1=\1", parameters).replace("*, ", "")
    whole = f"{name}({handed})"
    some_left = len(calling.folded) < block or None in map(fold_of, leaves_of(reduce.folds))
    short = some_left and not calling.stretch_outputs
    if outputs is not None:  # a dict of folds may speak of fields, of which a path has a dot
        short |= any("." in re.sub(r"\[.*?\]", "", output.path) for output in outputs)
    tree = None if short else folds.tree(reduce.folds, calling.out_axes)
    if tree is not None:
        lines = [f"return {_applied(folds, tree, whole)}"]
    elif outputs is not None:
        lines = _by_leaf(plan, folds, outputs, whole)
    else:
        raise SpecError(
            f"{plan.function}: how .reduce({reduce}) folds what depends on the result, but this "
            f"plan knows only the arguments; use {plan.function}.plan_with_outputs(...).code()"
        )
    first, *others = parameters.split(", ")
    taken = ", ".join([first, *folds.given, *others])
    inside = "\n".join(f"    {line}".rstrip() for line in [*folds.defined, *lines])
    return f"{head}def {name}({body}\n\n\ndef call({taken}):\n{inside}"


def _applied(folds: Folds, tree: str, whole: str) -> str:
    """A tree of functions of a result's parts, applied to it."""
    if tree.startswith(("{", "(", "[")):
        return f"{folds.module}.tree.map(lambda fold, part: fold(part), {tree}, {whole})"
    if tree.startswith("lambda part: "):
        return f"{tree.removeprefix('lambda part: ').removesuffix('part)')}{whole})"
    return f"{tree}({whole})"


def _by_leaf(plan: CallPlan, folds: Folds, outputs: Sequence[Output], whole: str) -> list[str]:
    """Lines that fold each leaf of a result on its own, or those that are combined as one."""
    jax_ = folds.module
    leaves, tree = folds.names.fresh("leaves", "flat"), folds.names.fresh("tree", "treedef")
    lines = [f"{leaves}, {tree} = {jax_}.tree.flatten({whole})"]
    i = 0
    while i < len(outputs):
        output, count = outputs[i], 1
        place, at = f"{leaves}[{i}]", output.group.position
        if output.array and at is not None:
            text, how = place, output.how
            if isinstance(how, Combine):
                structure = jax.tree.structure(how.identity)
                count = structure.num_leaves
                name = folds.own(how, at)
                text = f"{name}({place})"
                if not jax.tree_util.treedef_is_leaf(structure):
                    place = f"{leaves}[{i}:{i + count}]"
                    like = f"{jax_}.tree.structure({folds.given[-1]})"
                    text = f"{jax_}.tree.leaves({name}({jax_}.tree.unflatten({like}, {place})))"
            elif how is not None:
                text = folds.one(how, at, place)
            if text != place:
                lines.append(f"{place} = {text}")
            for j in range(i, i + count):
                if cut := _cut(plan, folds, outputs[j]):
                    lines.append(f"{leaves}[{j}] = {leaves}[{j}][{cut}]")
        i += count
    return [*lines, f"return {jax_}.tree.unflatten({tree}, {leaves})"]


def _cut(plan: CallPlan, folds: Folds, output: Output) -> str:
    """The index that cuts an output to one example along what it does not depend on, if any."""
    over = folds.folded if output.fold else ()
    sizes = [
        plan.batch_shape[axis] for axis in range(-len(plan.batch_shape), 0) if axis not in over
    ]
    first = block_start(output.group.position or 0, len(output.shape), len(sizes))
    slices = [":"] * first
    for dim, size in enumerate(sizes, first):
        slices.append(":1" if output.shape[dim] == 1 and size != 1 else ":")
    return ", ".join(slices) if ":1" in slices else ""


def unfolded(plan: CallPlan, outputs: Sequence[Output] | None) -> list[Output] | None:
    """The outputs with the batch dims that they have before they are folded."""
    if outputs is None:
        return None
    found: list[Output] = []
    for output in outputs:
        if output.fold:
            ndim = len(output.core) + len(plan.batch_shape)
            start = block_start(output.group.position or 0, ndim, len(plan.batch_shape))
            shape = (*output.core[:start], *plan.batch_shape, *output.core[start:])
            output = replace(output, shape=shape, fold="", how=None)
        found.append(output)
    return found
