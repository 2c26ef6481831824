"""The table of chains in `docs/running.md`: every cell is run, in both orders."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from autovmap import SpecError, auto_vmap, named_vmap

PAGE = Path(__file__).parents[2] / "docs" / "running.md"
MESH = jax.sharding.Mesh(jax.devices()[:1], ("data",))
X = np.arange(24, dtype=np.float32).reshape(4, 2, 3)

WAYS: dict[str, Callable[[Any], Any]] = {
    "loop": lambda f: f.loop(),
    "jit": lambda f: f.jit(),
    "chunk": lambda f: f.chunk(3),
    "progress": lambda f: f.chunk(3, progress=lambda done, of: None),
    "bucket": lambda f: f.bucket(),
    "shard": lambda f: f.shard("data", mesh=MESH),
}
"""What the caller writes, on either side of another."""
MEANINGS: dict[str, Callable[[Any], Any]] = {
    "batch": lambda f: f.batch(3),
    "outer": lambda f: f.outer("x"),
    "replace": lambda f: f.replace(strict=True),
    "lift": lambda f: f.lift(jax.grad),
    "reduce": lambda f: f.reduce("mean"),
}


def total(x: jax.Array) -> jax.Array:
    return x.sum()


def centred(x: jax.Array) -> jax.Array:
    return x.sum() - jax.lax.pmean(x.sum(), "last")


DECLARED: dict[str, Callable[[], Any]] = {
    "axis_name": lambda: auto_vmap(x=1, axis_name="last")(centred),
    "stretch_outputs=False": lambda: auto_vmap(x=1, stretch_outputs=False)(total),
    "named_vmap": lambda: named_vmap("a b [n] -> a b")(total),
}
"""What the author writes, so it comes first."""


def cells() -> list[tuple[str, str, str]]:
    """The table: a row, a column and what stands there."""
    if not PAGE.exists():
        return []
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, row in enumerate(rows) if row.startswith("| | loop |"))
    columns = [cell.strip() for cell in rows[start].split("|")[2:-1]]
    table = itertools.takewhile(lambda row: row.startswith("|"), rows[start + 2 :])
    split = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in table]
    return [
        (row[0], way, cell) for row in split for way, cell in zip(columns, row[1:], strict=True)
    ]


def chains(row: str, way: str) -> list[tuple[Any, Callable[[], Any]]]:
    """The function without the way, and each order in which the two can be written."""
    if row in DECLARED:
        f = DECLARED[row]()
        return [(f, lambda: WAYS[way](f))]
    f = auto_vmap(x=1)(total)
    one, other = WAYS.get(row) or MEANINGS[row], WAYS[way]
    without = f if row in WAYS else one(f)
    return [(without, lambda: other(one(f))), (without, lambda: one(other(f)))]


def test_the_table_has_every_row_and_column() -> None:
    if not PAGE.exists():
        pytest.skip("the docs are not here")
    wanted = itertools.product([*WAYS, *DECLARED, *MEANINGS], WAYS)
    assert sorted(cell[:2] for cell in cells()) == sorted(wanted)


@pytest.mark.parametrize(("row", "way", "cell"), cells(), ids=lambda text: str(text))
def test_cell(row: str, way: str, cell: str) -> None:
    for without, write in chains(row, way):
        if cell.startswith("no ("):
            with pytest.raises(SpecError, match=r"\.\w+\("):
                write()
            continue
        assert cell == "yes" or cell.startswith("other axes (")
        run = write()
        np.testing.assert_allclose(run(X), without(X), rtol=1e-6)
        if cell != "yes":
            step = next(step for step in run.plan(X).steps if step.startswith("chunk"))
            assert "of batch axis -2" in step
            assert "of batch axis -1" not in step


def test_only_named_axes_cannot_be_split() -> None:
    f = DECLARED["axis_name"]()
    assert f.chunk(3)(X[:3, 0]).shape == (3,)
    with pytest.raises(SpecError, match="axis_name"):
        f.chunk(2)(X[:, 0])


def test_a_repeat_replaces() -> None:
    f = auto_vmap(x=1)(total)
    assert f.chunk(3, progress=True).chunk(2) == f.chunk(2)
    for way in WAYS.values():
        assert repr(way(way(f))) == repr(way(f))


def test_tune_iter_and_stats() -> None:
    f = auto_vmap(x=1)(total)
    assert f.chunk(3).tune(jnp.asarray(X)) == 3
    assert len(list(f.chunk(2).iter(X))) == 4
    assert f.bucket().stats().calls == 0
    for refused in (
        lambda: f.tune(X),
        lambda: f.bucket().chunk(3).tune(X),
        lambda: f.iter(X),
        lambda: f.shard("data", mesh=MESH).chunk(3).iter(X),
        lambda: f.chunk(3).stats(),
    ):
        with pytest.raises(SpecError, match=r"(tune|iter|stats)\(\): "):
            refused()
