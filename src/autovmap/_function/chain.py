"""What a caller said of a function, as the chain of methods that says it: for `repr`."""

from collections.abc import Iterator, Mapping
from typing import Any

from autovmap._spec.fold import Reduce
from autovmap._spec.options import Extent
from autovmap._ways.options import Bucket, Chunk, Shard, Ways

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
