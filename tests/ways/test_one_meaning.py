"""A way of running never changes what a call gives: structure, values, dtypes, weak types, places.

Leaves of every kind go through every way and chain and are compared with the plain call; a fault
planted in each way is caught.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autovmap import auto_vmap
from autovmap._run import dtypes
from autovmap._ways import bucket_program, bucket_run, chunk_keep, loop_run, shard_run, split
from one_meaning import KINDS, MESH, PLACES, WAYS, arguments, assert_same, function, ranks
from strategies import cases, parts

ALONE = ("loop", "partition", "chunk", "memory", "promoted", "bucket", "shard")
"""The ways that are no chain of others, nor a chunk of another size."""


def compare(way: str, batches: dict[str, tuple[int, ...]]) -> None:
    """Run a call in a way and as it is, and compare."""
    # A new function each time: what was compiled for one declared before would be found again.
    f = auto_vmap(tree=ranks(batches))(lambda tree, shared: function(tree, shared))
    tree, shared = arguments(batches)
    assert_same(WAYS[way](f)(tree, shared), f(tree, shared), place=way not in PLACES)


@pytest.mark.parametrize("way", WAYS)
def test_leaves_of_all_kinds_at_once(way: str) -> None:
    compare(way, dict.fromkeys(KINDS, (3,)))


TURNS = [(kind, ALONE[(i + j) % len(ALONE)]) for i, kind in enumerate(KINDS) for j in (0, 3)]


@pytest.mark.slow  # each case compiles a program of its own
@pytest.mark.parametrize(("kind", "way"), TURNS)
def test_a_leaf_of_each_kind(kind: str, way: str) -> None:
    """In two ways each, as all kinds at once go through all ways."""
    compare(way, {kind: (3,), "float32": (3,)})


@pytest.mark.parametrize("way", ALONE)
def test_leaves_that_lie_nowhere_in_particular(way: str) -> None:
    """Among others that do, it does not show where the results of these lie."""
    free = [kind for kind in KINDS if "committed" not in kind]
    compare(way, dict.fromkeys(free[::3], (3,)))


@pytest.mark.parametrize("way", WAYS)
@cases(0.02)
@given(data=st.data())
def test_leaves_of_several_kinds_and_batch_shapes(way: str, data: st.DataObject) -> None:
    batch = data.draw(st.sampled_from([(3,), (2, 3), (5,), (1, 3), (3, 1)]))
    kinds = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    compare(way, {"vector": batch, **{kind: data.draw(parts(batch)) for kind in kinds}})


def test_a_weak_type_wins_in_a_padded_batch_of_every_size() -> None:
    add = auto_vmap(x=0, y=0)(lambda x, y: x + y)
    bucketed = add.bucket(promote=2)
    for size in (3, 4, 3, 3, 5):
        x = np.arange(250, 250 + size, dtype=np.uint8)
        assert_same(bucketed(x, jnp.full(size, 10)), add(x, jnp.full(size, 10)))


def test_a_padded_result_goes_on_into_a_shard_and_to_arrays_elsewhere() -> None:
    double = auto_vmap(x=0)(lambda x: x * 2)
    padded = double.bucket()(np.arange(3.0))
    assert not padded.committed
    assert double.shard("d", mesh=MESH)(padded).tolist() == [0, 4, 8]


def test_weak_results_of_ever_new_sizes_compile_nothing() -> None:
    run = auto_vmap(x=0)(lambda x: x * 2).bucket(promote=None)
    run(jnp.full(9, 1))
    counts = []
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(dtypes, "weakened", lambda array: counts.append(1))
        for size in (10, 11, 12):
            assert run(dtypes.from_host(np.full(size, 1, np.int32), _weak())).weak_type
    assert not counts
    assert run.stats().compilations == 1


def _weak() -> Any:
    from autovmap._bind.kinds import leaf_type

    return leaf_type(jnp.full(1, 1))


# Planted faults: each way is broken in one place, and the comparison has to say so.


def strong(array: np.ndarray[Any, Any], like: Any) -> Any:
    """Padding and cutting that loses weak types."""
    return jax.device_put(array)


def placed(array: Any, like: Any) -> Any:
    """Padding and cutting that binds arrays to a device."""
    return array if array.dtype == jax.dtypes.float0 else jax.device_put(array, jax.devices()[0])


def all_traced(self: Any, count: int, names: Any, treedef: Any) -> Any:
    """A split that traces every number."""
    return (split.WITH_NUMBERS,) * treedef.num_leaves


FAULTS: dict[str, tuple[str, Any, str, Any, str]] = {
    "bucket loses weak types": ("bucket", bucket_run, "from_host", strong, "weak int"),
    "bucket commits": ("bucket", bucket_run, "from_host", placed, "float32"),
    "bucket cuts nothing": ("bucket", bucket_program, "cut", lambda result, *_: result, "float32"),
    "chunk loses weak types": ("chunk", chunk_keep, "weakened", lambda array: array, "weak int"),
    "a shard is another": (
        "shard",
        shard_run,
        "_placed",
        lambda array, mesh, spec: jnp.flip(array),
        "float32",
    ),
    "jit traces numbers": ("partition", split.Partition, "_layout", all_traced, "number"),
    "chunk traces numbers": ("chunk", split.Partition, "_layout", all_traced, "module"),
    "a loop takes the first": (
        "loop",
        loop_run,
        "_stack",
        lambda rows, plan: jnp.stack([rows[0]] * len(rows)),
        "float32",
    ),
}


@pytest.mark.own
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way, where, name, wrong, kind = FAULTS[fault]
    compare(way, {kind: (3,), "float32": (3,)})
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises((AssertionError, TypeError), match=r"is \(|[Tt]race|hash|another"):
        compare(way, {kind: (3,), "float32": (3,)})


# What is kept is kept by all that it depends on: one thing is changed at a time.


def x64() -> Any:
    """The setting for 64 bits."""
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()


def mesh_around() -> Any:
    """A mesh around the call."""
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("other",))
    return jax.set_mesh(mesh) if hasattr(jax, "set_mesh") else jax.sharding.use_mesh(mesh)


SETTINGS: dict[str, Callable[[], Any]] = {
    "x64": x64,
    "matmul precision": lambda: jax.default_matmul_precision("highest"),
    "default device": lambda: jax.default_device(jax.devices()[0]),
    "rank promotion": lambda: jax.numpy_rank_promotion("warn"),
    "dtype promotion": lambda: jax.numpy_dtype_promotion("strict"),
    "threefry": lambda: jax.threefry_partitionable(not jax.config.jax_threefry_partitionable),  # type: ignore[attr-defined]
    "mesh": mesh_around,
}


def told(x: Any, u: Any, n: Any = None, tree: Any = None) -> Any:
    """A function whose result says all that its program was compiled for."""
    said = (
        jax.typeof(u).weak_type,
        jax.typeof(u).dtype,
        jnp.shape(u),
        n.value if isinstance(n, Static) else n,
        jax.config.jax_enable_x64,  # type: ignore[attr-defined]
        str(jax.config.jax_default_matmul_precision),  # type: ignore[attr-defined]
        str(jax.config.jax_default_device),  # type: ignore[attr-defined]
        jax.config.jax_numpy_rank_promotion,  # type: ignore[attr-defined]
        jax.config.jax_numpy_dtype_promotion,  # type: ignore[attr-defined]
        jax.config.jax_threefry_partitionable,  # type: ignore[attr-defined]
        [name for name in jax.sharding.get_abstract_mesh().axis_names if name != "d"],
        None if tree is None else tuple(tree),
    )
    return jnp.negative(x), str(said)


class Static:
    """A static value that can be changed in place."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> None:
        """So that it may be static."""


U = np.ones(4, np.float32)
CHANGES: dict[str, tuple[Any, Any]] = {
    "shared shape": ((U,), (np.ones(5, np.float32),)),
    "shared dtype": ((U,), (np.ones(4, np.int32),)),
    "weak type": ((jnp.full(4, 1.0) * 1,), (jnp.ones(4),)),
    "static": ((U, {"n": 1}["n"] and Static(1)), (U, Static(2))),
    "static zero": ((U, Static(0.0)), (U, Static(-0.0))),
    "number in a tree": ((U, None, {"a": U, "b": 1}), (U, None, {"a": U, "b": 2})),
    "structure": ((U, None, {"a": U}), (U, None, {"b": U})),
}
KEPT = [
    pytest.param(way, id=name, marks=() if name in ALONE else pytest.mark.slow)
    for name, way in WAYS.items()
    if name not in ("loop", "progress")
]

SHARDED = [way for name, way in WAYS.items() if "shard" in name]


@pytest.mark.parametrize("way", KEPT)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_one_argument_gives_no_old_result(change: str, way: Any) -> None:
    f = auto_vmap(x=0)(told)
    run = way(f)
    x = np.arange(3.0, dtype=np.float32)
    for others in (*CHANGES[change], CHANGES[change][0]):
        assert run(x, *others)[1] == f(x, *others)[1]


@pytest.mark.parametrize("way", KEPT)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_change_of_a_setting_gives_no_old_result(setting: str, way: Any) -> None:
    f = auto_vmap(x=0)(told)
    run = way(f)
    x = np.arange(3.0, dtype=np.float32)
    for around in (contextlib.nullcontext, SETTINGS[setting], contextlib.nullcontext):
        with around():
            if setting == "mesh" and way in SHARDED and around is not contextlib.nullcontext:
                continue  # a mesh of its own inside of another is JAX's to refuse
            assert run(x, U)[1] == f(x, U)[1]


def sizes_of(run: Any, *given: Any) -> tuple[int, str]:
    """What is decided for a call, and what its plan says."""
    return run.tune(*given), run.plan(*given).steps[0]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ((jnp.ones(256), jnp.ones(4)), (jnp.ones(256), jnp.ones(4096))),
        ((jnp.ones(256), jnp.ones(4), 1), (jnp.ones(256), jnp.ones(4), 4096)),
    ],
)
def test_the_size_of_a_chunk_is_decided_for_what_a_program_depends_on(
    first: Any, then: Any
) -> None:
    def repeated(x: Any, u: Any, n: int = 1) -> Any:
        return jnp.sort(x * jnp.tile(u, n))[0]

    f = auto_vmap(x=0)(repeated)
    run = f.chunk(memory="64KiB")
    assert sizes_of(run, *first)[0] == 256
    size, said = sizes_of(run, *then)
    assert (size, said) == sizes_of(f.chunk(memory="64KiB"), *then)
    assert size < 10
    assert f"{size} examples" in said
    assert sizes_of(run, *first)[0] == 256


def test_a_setting_has_its_own_size() -> None:
    f = auto_vmap(x=0)(lambda x, u: jnp.sort(x * u)[0])
    run = f.chunk(memory="64KiB")
    given = np.ones(256), np.ones(512)
    small = run.tune(*given)
    with x64():
        assert run.tune(*given) < small
    assert run.tune(*given) == small


def test_a_plan_says_the_dtype_of_the_setting_at_hand() -> None:
    f = auto_vmap(x=0)(lambda x: x)
    given = np.ones(3)
    f(given)
    for around, dtype in ((contextlib.nullcontext, "float32"), (x64, "float64")):
        with around():
            assert f.plan(given).args[0].dtype == dtype
            assert f(given).dtype == dtype
            f.chunk(2)(given)


def test_calls_of_several_threads_are_counted_once_each() -> None:
    run = auto_vmap(x=0)(lambda x: jnp.sin(x) + 1).bucket(promote=None)
    run(np.ones(3))
    stop = threading.Event()
    calls = [0]

    def hit() -> None:
        while not stop.is_set():
            run(np.ones(3))
            calls[0] += 1

    thread = threading.Thread(target=hit)
    thread.start()
    for power in range(3, 9):
        run(np.ones(2**power))
    stop.set()
    thread.join()
    stats = run.stats()
    assert (stats.compilations, stats.calls) == (7, 7 + calls[0])
    assert stats.hits == calls[0]
