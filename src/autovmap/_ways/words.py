"""What was said of a function: as the chain of methods that says it, and as words in a plan."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from autovmap._plan.plan import CallPlan
from autovmap._spec.fold import Reduce
from autovmap._spec.options import Extent
from autovmap._ways.block import Blocks, plan_blocks
from autovmap._ways.bucket import padded_sizes
from autovmap._ways.chunk import Chunks, plan_chunks, with_layers
from autovmap._ways.fit import Sized
from autovmap._ways.options import Bucket, Chunk, Shard, Ways
from autovmap._ways.shard import Shards, plan_shards

DEFAULT = Bucket()


def chain_text(
    extent: Extent,
    options: Mapping[str, Any] | None,
    lifted: bool,
    ways: Ways,
    reduce: Reduce | None = None,
) -> str:
    """The methods in the order in which they apply, whatever the order they were written in.

    >>> from autovmap._ways.options import PLAIN
    >>> chain_text(Extent((3,)), {"strict": True}, False, Ways(chunk=Chunk(100)))
    '.replace(strict=True).batch(3).chunk(100)'
    >>> chain_text(Extent(), None, False, PLAIN)
    ''
    """
    return "".join(_links(extent, options, lifted, ways, reduce))


def _links(
    extent: Extent,
    options: Mapping[str, Any] | None,
    lifted: bool,
    ways: Ways,
    reduce: Reduce | None,
) -> Iterator[str]:
    if lifted:
        yield ".lift(...)"
    if options:
        yield f".replace({', '.join(f'{name}={value!r}' for name, value in options.items())})"
    if extent.groups:
        groups = (group[0] if len(group) == 1 else group for group in extent.groups)
        yield f".outer({', '.join(map(repr, groups))})"
    if extent.prepended:
        yield f".batch({', '.join(map(repr, extent.prepended))})"
    if reduce is not None:
        yield f".reduce({reduce})"
    if ways.looped:
        yield ".loop()"
    if ways.bucket is not None:
        yield _bucket(ways.bucket)
    if ways.shard is not None:
        yield _shard(ways.shard)
    if ways.chunk is not None:
        yield chunk_text(ways.chunk)


def _bucket(bucket: Bucket) -> str:
    said = [] if bucket.sizes is None else [_name(bucket.sizes)]
    said += [] if bucket.promote == DEFAULT.promote else [f"promote={bucket.promote!r}"]
    return f".bucket({', '.join(said)})"


def _shard(shard: Shard) -> str:
    entries = ", ".join(repr(axes[0] if len(axes) == 1 else (axes or None)) for axes in shard.axes)
    return f".shard(P({entries}))" if shard.mesh is None else f".shard(P({entries}), mesh=...)"


def chunk_text(chunk: Chunk) -> str:
    """A link that runs in chunks, as one writes it."""
    said = [f"memory={chunk.memory!r}" if chunk.size is None else repr(chunk.size)]
    said += ["remat=True"] if chunk.remat else []
    said += [f"progress={_name(chunk.progress)}"] if chunk.progress else []
    return f".chunk({', '.join(said)})"


def _name(value: Any) -> str:
    """A function by its name, as its own repr holds an address."""
    return getattr(value, "__name__", "...") if callable(value) else repr(value)


def way_words(
    plan: CallPlan,
    ways: Ways,
    sized: Sized | None = None,
    sharded: Collection[int] = (),
    mesh: Mapping[Any, int] | None = None,
    folds: bool = False,
) -> tuple[str, ...]:
    """A line for each way, in the order in which they apply: bucket, shard, chunk, loop.

    Args:
        plan: the plan of the whole batch.
        ways: what the caller asked for.
        sized: how many examples at once, where that is decided.
        sharded: the batch axes along which arguments lie on several devices.
        mesh: the sizes of the mesh's axes, for a shard.
        folds: whether results are folded, so that no chunk overlaps another.
    """
    found: list[str] = []
    inner = plan
    if ways.looped:
        found.append("loop: a Python loop over the examples, in place of the layers")
    if ways.bucket is not None and ways.bucket.block is not None:
        found.append(_blocks(plan_blocks(plan, ways.bucket.block)))
    elif ways.bucket is not None:
        sizes = padded_sizes(plan, ways.bucket)
        parts = [f"batch axis {a} padded from {old} to {new}" for a, (old, new) in sizes.items()]
        found.append(f"bucket: {', '.join(parts) or 'nothing to pad'}")
        new_sizes = {axis: new for axis, (_, new) in sizes.items()}
        layers = [replace(la, size=new_sizes.get(la.axis, la.size)) for la in plan.layers]
        inner = with_layers(plan, layers)
    if ways.shard is not None and mesh is not None:
        shards = plan_shards(inner, ways.shard, mesh)
        inner = shards.inner
        found.append(_shards(shards))
    if ways.chunk is not None:
        at = () if ways.shard is not None else sharded
        found += _chunk(inner, ways.chunk, sized, at, ways.shard is not None, folds)
    return tuple(found)


def repetition(
    plan: CallPlan,
    ways: Ways,
    sized: Sized | None,
    sharded: Collection[int],
    mesh: Mapping[Any, int] | None,
    folds: bool,
) -> str | None:
    """Why some examples are computed twice, of a function with effects; None where none are.

    A bucket runs such a function unpadded, and chunks do not overlap, but where a loop on the
    host has one program for all of them.
    """
    if ways.bucket is not None and ways.bucket.block is not None:
        blocks = plan_blocks(plan, ways.bucket.block)
        filled = blocks.count * blocks.size - blocks.examples
        return f"the last block is filled up by {filled} examples" if filled else None
    if ways.shard is not None and mesh is not None:
        for placed in plan_shards(plan, ways.shard, mesh).gathered:
            names = " and ".join(map(repr, placed.names))
            return f"mesh axis {names} does not divide batch axis {placed.axis}"
    if ways.chunk is not None and ways.chunk.progress and not folds:
        size = ways.chunk.size if isinstance(ways.chunk.size, int) else None
        size = sized.examples if sized is not None else size
        splits = plan_chunks(plan, size, sharded, True).splits if size else ()
        if any(split.overlap for split in splits):
            return "the last chunk overlaps the one before"
    return None


def _blocks(blocks: Blocks) -> str:
    if not blocks.count:
        return "bucket: nothing is mapped, so nothing is run in blocks"
    filled = blocks.count * blocks.size - blocks.examples
    number = f"{blocks.count} block{'s' * (blocks.count != 1)} of {blocks.size} examples"
    last = f", the last filled up by {filled}" if filled else ""
    return f"bucket: {number} through one program{last}"


def _shards(shards: Shards) -> str:
    parts = [
        f"batch axis {p.axis} over mesh axis {' and '.join(map(repr, p.names))}, {p.parts} parts "
        + (f"of {p.step}" if p.divides else f"of at most {p.step}, gathered on every device")
        for p in shards.placed
    ]
    return f"shard: {'; '.join(parts) or 'replicated, as no such batch axis is mapped'}"


def _chunk(
    plan: CallPlan,
    asked: Chunk,
    sized: Sized | None,
    sharded: Collection[int],
    each: bool,
    folds: bool,
) -> list[str]:
    where = " on each device" if each else ""
    found: list[str] = []
    if not isinstance(asked.size, int):
        bound = "half of the free memory" if asked.memory is None else f"{asked.memory:,} bytes"
        if sized is None:
            return [f"chunk: as many examples as fit {bound}, decided at the first call"]
        if sized.timed:
            found.append(f"chunk size: at most {sized.examples} examples, {_timed(sized)}")
        else:
            found.append(f"chunk size: at most {sized.examples} examples fit {bound}{where}")
    chunks = plan_chunks(plan, 1 if sized is None else sized.examples, sharded, not folds)
    found.append(f"chunk:{where} {_chunks(chunks)}" if each else f"chunk: {_chunks(chunks)}")
    if asked.remat:
        found.append("remat: a chunk is computed again in the backward pass")
    return found


def _timed(sized: Sized) -> str:
    """What was timed, and what it showed: of examples that differ, what running apart gained."""
    shown = ", ".join(f"{size} at once {seconds:.2g} s" for size, seconds in sized.timed)
    if not sized.diverging:
        return f"the quickest on {sized.sample} ({shown})"
    seconds = dict(sized.timed)
    size = sized.examples if sized.examples in seconds else sized.sample
    gained = seconds[sized.sample] / seconds[size]
    told = "examples may differ, yet all at once is quickest"
    if size != sized.sample:
        told = f"examples differ: {size} at a time, {gained:.2g} times quicker than all at once"
    return f"{told} (on {sized.sample}: {shown})"


def _chunks(chunks: Chunks) -> str:
    if not chunks.splits:
        return "all examples at once"
    cut = " and ".join(f"{split.step} of batch axis {split.axis}" for split in chunks.splits)
    if chunks.rest is not None:
        cut += f", the last {chunks.rest_steps[-1]}"
    overlap = any(split.overlaps and split.overlap for split in chunks.splits)
    return f"{chunks.count} chunks of {chunks.examples} examples ({cut})" + (
        ", the last overlapping" * overlap
    )
