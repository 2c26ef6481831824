"""How a caller wants calls run: what `f.loop()`, `f.chunk(...)` and their like say.

A way of running never changes what a call means, and chains mean the same in any order.
"""

import numbers
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from autovmap._lines import value_text
from autovmap.errors import SpecError

Size: TypeAlias = int | Literal["auto"] | None
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most so many examples at once.

    `size` is None where `memory`, a bound in bytes on temporary memory, decides.
    """

    size: Size = None
    memory: int | None = None
    remat: bool = False
    progress: Callable[[int, int], Any] | bool = False


@dataclass(frozen=True, slots=True)
class Shard:
    """Batch axes over mesh axes: an entry a batch axis, leftmost first, None for not sharded."""

    axes: tuple[tuple[Hashable, ...], ...]
    mesh: Any = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """Padded batch sizes: powers of two, or the sizes given, or a function's of a size.

    With a `block`, one size for all: so many examples at a time.
    """

    sizes: tuple[int, ...] | Callable[[int], int] | None = None
    promote: int | None = 8
    """How often an exact size is seen before it gets a program of its own; None: never."""
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Ways:
    """All that a caller said of how to run."""

    looped: bool = False
    chunk: Chunk | None = None
    shard: Shard | None = None
    bucket: Bucket | None = None

    @property
    def compiled(self) -> bool:
        """Whether a compiled program is kept for the calls."""
        return bool(self.chunk or self.shard or self.bucket)


PLAIN = Ways()


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, and no bool."""
    return isinstance(value, numbers.Integral) and value is not True and value is not False


def checked_ways(
    ways: Ways, axis_names: tuple[Hashable, ...], stretch: bool, function: str
) -> None:
    """Refuse what makes no sense together; the table stands in docs/running.md.

    Raises:
        SpecError: two ways that exclude each other, or a named axis where a part would be seen.
    """
    if ways.bucket and not stretch:
        raise SpecError(
            f"{function}.bucket(): with stretch_outputs=False there is no telling which dims of a "
            f"result were padded; call it without .bucket()"
        )
    if ways.bucket and ways.bucket.block and (ways.shard or ways.chunk):
        block = ways.bucket.block
        other, why = "shard", "its blocks are put together on the host, not on a mesh"
        if ways.chunk:
            other, why = "chunk", f"no more than {block} examples run at once anyway"
        raise SpecError(
            f"{function}: .bucket(block={block}) with .{other}(...): {why}; leave one of them out"
        )
    if ways.looped and ways.compiled:
        other = "chunk" if ways.chunk else "shard" if ways.shard else "bucket"
        raise SpecError(
            f"{function}: .loop() with .{other}(...): a loop calls the plain function on one "
            f"example after another, so there is nothing to {other}; leave one of them out"
        )
    if ways.chunk and ways.chunk.progress and (ways.bucket or ways.shard):
        other = "bucket" if ways.bucket else "shard"
        raise SpecError(
            f"{function}: .chunk(progress=...) with .{other}(...): progress is reported by a loop "
            f"on the host over compiled chunks of one device; leave one of them out"
        )
    for way, asked in (("loop", ways.looped), ("bucket", ways.bucket), ("shard", ways.shard)):
        if asked and axis_names:
            seen = {
                "loop": "in a loop a collective over it would see only one example",
                "bucket": "after padding a collective over it would see examples that are not real",
                "shard": "on several devices a collective over it would see only one device's part",
            }[way]
            raise SpecError(
                f"{function}.{way}(): axis_name={_shown(axis_names)} names a batch axis, but "
                f"{seen}; call it without .{way}()"
            )


def check_reduced(ways: Ways, function: str) -> None:
    """Refuse blocks: what they give is put together on the host, where nothing is folded."""
    if ways.bucket is not None and ways.bucket.block is not None:
        raise SpecError(
            f"{function}: .reduce(...) with .bucket(block={ways.bucket.block}): blocks put results "
            f"together on the host, and a fold leaves none to put together; use .bucket() for "
            f"batch sizes that keep changing, or .chunk({ways.bucket.block}) to save memory"
        )


def refuse_jit(ways: Ways, function: str) -> None:
    """Refuse to compile what can't be, or what keeps compiled programs by itself."""
    if ways.looped:
        way, why = "loop()", "a loop calls the plain function on real examples, not on tracers"
    elif ways.bucket is not None:
        way, why = "bucket()", "a bucket pads on the host and keeps compiled programs of its own"
    elif ways.chunk is not None and ways.chunk.progress:
        way, why = "chunk(progress=...)", "progress is reported by a loop on the host"
    else:
        return
    raise SpecError(f"{function}.{way}.jit(): {why}; leave one of them out")


def _shown(names: tuple[Hashable, ...]) -> str:
    return repr(names[0] if len(names) == 1 else names)


def read_chunk(size: Any, memory: Any, remat: bool, progress: Any, function: str) -> Chunk:
    """What the arguments of `f.chunk` say.

    >>> read_chunk(None, "2 GiB", False, False, "f").memory == 2**31
    True
    """
    if (size is None) == (memory is None):
        if size is not None:
            raise SpecError(
                f"{function}.chunk(): size is {value_text(size)} and memory is "
                f"{value_text(memory)}, but both say how many examples run at once; leave one of "
                f"them out"
            )
        raise SpecError(
            f"{function}.chunk(): give a number of examples, as in .chunk(1024), or a bound on "
            f'memory, as in .chunk(memory="2GiB"), or .chunk("auto")'
        )
    if remat is not True and remat is not False:
        raise SpecError(
            f"{function}.chunk(): remat is {value_text(remat)}; it must be True or False"
        )
    if memory is not None:
        return Chunk(None, read_bytes(memory, function), remat, _progress(progress, function))
    if size != "auto" and (not is_whole(size) or size < 1):
        raise SpecError(
            f"{function}.chunk(): got {value_text(size)} of type {type(size).__name__}; give the "
            f'largest number of examples to run at once, an int of 1 or more, or "auto", or a '
            f"bound on memory, as in "
            f'.chunk(memory="2GiB")'
        )
    return Chunk(
        "auto" if size == "auto" else int(size), None, remat, _progress(progress, function)
    )


def _progress(progress: Any, function: str) -> Any:
    if isinstance(progress, bool) or callable(progress):
        return progress
    raise SpecError(
        f"{function}.chunk(): progress is {value_text(progress)}; it must be True for a bar, or a "
        f"function of (done, total), counted in examples"
    )


def read_bytes(given: Any, function: str) -> int:
    """A number of bytes, from an int or a text such as "512MiB".

    >>> read_bytes("1.5 KiB", "f"), read_bytes(100, "f")
    (1536, 100)
    """
    found = None
    if isinstance(given, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", given)
        if match and match[2].upper() in UNITS:
            found = int(float(match[1]) * UNITS[match[2].upper()])
    elif is_whole(given):
        found = int(given)
    if found is None or found < 1:
        raise SpecError(
            f"{function}.chunk(): memory is {value_text(given)}; give it as a text such as "
            f'"512MiB" or "2GB", or as a number of bytes'
        )
    return found


def read_shard(spec: Any, mesh: Any, function: str) -> Shard:
    """What the arguments of `f.shard` say: a `PartitionSpec`, or a mesh axis for the first axis.

    >>> read_shard(("data", None), None, "f").axes
    (('data',), ())
    """
    entries = (spec,) if isinstance(spec, str) else spec
    if hasattr(spec, "axis_names") and mesh is None:
        first = next(iter(cast("Any", spec).axis_names), "data")
        raise SpecError(
            f"{function}.shard(): got a mesh, but not which of its axes to use; write "
            f".shard({first!r}, mesh=...)"
        )
    if not isinstance(entries, tuple) and not hasattr(entries, "index"):
        raise SpecError(
            f"{function}.shard(): got {value_text(spec)} of type {type(spec).__name__}; give a "
            f"mesh axis for each batch axis, leftmost first, as in "
            f".shard(jax.sharding.PartitionSpec('data', None)), or the name of one for the first"
        )
    axes: list[tuple[Hashable, ...]] = []
    for entry in entries:
        if entry is None:
            axes.append(())
        elif isinstance(entry, (tuple, list)):
            axes.append(tuple(entry))
        elif isinstance(entry, str):
            axes.append((entry,))
        else:
            raise SpecError(
                f"{function}.shard(): {value_text(entry)} is not a mesh axis; an entry is a name, "
                f"a tuple of names, or None for not sharded"
            )
    if mesh is not None and not hasattr(mesh, "axis_names"):
        raise SpecError(
            f"{function}.shard(): mesh is {value_text(mesh)} of type {type(mesh).__name__}; give a "
            f"jax.sharding.Mesh, or set one around the call"
        )
    names = [name for entry in axes for name in entry]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise SpecError(
                f"{function}.shard(): mesh axis {name!r} appears twice; a mesh axis can hold only "
                f"one batch axis"
            )
    if not names:
        raise SpecError(
            f"{function}.shard(): {value_text(spec)} names no mesh axis, so nothing is sharded; "
            f"name one, or leave out .shard()"
        )
    return Shard(tuple(axes), mesh)


def read_bucket(sizes: Any, promote: Any, block: Any, function: str) -> Bucket:
    """What the arguments of `f.bucket` say.

    >>> read_bucket([100, 10], 8, None, "f").sizes
    (10, 100)
    """
    if promote is not None and (not is_whole(promote) or promote < 1):
        raise SpecError(
            f"{function}.bucket(): promote is {value_text(promote)}; it must be how often a batch "
            f"size is seen before it gets a program of its own, an int of 1 or more, or None for "
            f"never"
        )
    promote = None if promote is None else int(promote)
    if block is not None:
        return _block(sizes, promote, block, function)
    if sizes is None or callable(sizes):
        return Bucket(cast("Any", sizes), promote)
    try:
        listed = tuple(sizes)
    except TypeError:
        listed = ()
    if not listed or not all(map(is_whole, listed)) or min(listed) < 1:
        one = ""
        if is_whole(sizes) and sizes > 0:
            one = f"; for one size write .bucket([{sizes}]), for blocks of {sizes} "
            one += f".bucket(block={sizes})"
        raise SpecError(
            f"{function}.bucket(): sizes is {value_text(sizes)}; give the padded sizes as a "
            f"sequence of ints of 1 or more, or a function from a size to the padded one{one}"
        )
    return Bucket(tuple(sorted({int(s) for s in listed})), promote)


def _block(sizes: Any, promote: int | None, block: Any, function: str) -> Bucket:
    if not is_whole(block) or block < 1:
        raise SpecError(
            f"{function}.bucket(): block is {value_text(block)}; give the number of examples to "
            f"run at a time, an int of 1 or more"
        )
    if sizes is not None:
        raise SpecError(
            f"{function}.bucket(): sizes is {value_text(sizes)} and block is {value_text(block)}, "
            f"but a block is the one size that is compiled; leave one of them out"
        )
    return Bucket(None, promote, int(block))
