"""What a plan holds, and that making one runs nothing."""

import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import treescope

from autovmap import (
    AutoVmapError,
    BatchShapeError,
    Plan,
    RankError,
    SpecError,
    auto_vmap,
    named_vmap,
)
from show.gallery import GALLERY, broadcast, f32


def raises_when_called(*args: Any) -> Any:
    raise AssertionError("the function was called")


def deleted(*shape: int) -> jax.Array:
    array = jnp.ones(shape)
    array.delete()
    return array


@pytest.fixture
def plan() -> Plan:
    """A plan of deleted arrays, for a function that may not be called."""
    function = auto_vmap(s=0, v=1, m=2)(lambda s, v, m, rest: raises_when_called())
    return function.plan(2.0, deleted(7, 1, 3), deleted(7, 5, 3, 3), {"w": deleted(7, 5)})


def test_no_function_is_called_and_no_buffer_read(plan: Plan) -> None:
    assert plan.batch_shape == (7, 5)
    assert "rest['w'] float32[7,5] begins with the batch shape" in str(plan)
    assert plan.svg()
    assert plan._repr_html_()
    assert "def call(f, s, v, m, rest)" in plan.code()


def test_it_compiles_and_traces_nothing(plan: Plan) -> None:
    with jax.transfer_guard("disallow"), jax.checking_leaks():
        function = auto_vmap(v=1)(lambda v: raises_when_called())
        assert str(function.plan(f32(4, 3)))


def test_tracers() -> None:
    seen: list[Plan] = []

    @jax.jit
    def outer(x: Any) -> Any:
        seen.append(auto_vmap(x=1)(lambda x: x).plan(x))
        return x

    outer(jnp.ones((4, 3)))
    assert seen[0].batch_shape == (4,)
    assert "float32[4,3]" in str(seen[0])


@pytest.mark.parametrize("name", GALLERY)
def test_it_is_a_value(name: str) -> None:
    one, other = GALLERY[name](), GALLERY[name]()
    if name != "symbolic":  # sizes of two scopes are not equal
        assert one == other
        assert len({one, other}) == 1
        assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError, match="cannot assign"):
        one.batch_shape = ()


def test_args() -> None:
    s, v, m = broadcast().args
    assert (s.path, s.shape, s.batch, s.core, s.missing) == ("s", (), (), (), (-2, -1))
    assert (v.batch, v.core, v.stretched, v.missing) == ((7, 1), (3,), (-1,), ())
    assert (m.dtype, m.rank, m.stretched, m.missing) == ("float32", 2, (), ())


def test_names_of_core_dims() -> None:
    x, y = GALLERY["signature"]().args
    assert (x.names, y.names) == (("m", "n"), ("n",))
    assert broadcast().args[2].names == (None, None)


class TestVmaps:
    """The layers with their axes by path."""

    def test_in_axes(self) -> None:
        assert [v.in_axes for v in broadcast().vmaps] == [{"v": 0, "m": 0}, {"m": 0}]
        assert [(v.size, v.axis, v.name) for v in GALLERY["named"]().vmaps] == [
            (1, -2, "chain"),
            (50, -1, "time"),
        ]

    def test_out_axes_as_they_are_declared(self) -> None:
        assert [v.out_axes for v in GALLERY["axes"]().vmaps] == [
            {"result[0]": 1, "result[1]['b']": -2},
            {"result[0]": 1, "result[1]['b']": -1},
        ]

    def test_out_axes_of_known_outputs(self) -> None:
        assert [v.out_axes for v in GALLERY["kept_at_one"]().vmaps] == [
            {"result[0]": 0, "result[1]": None, "result[2]": 0},
            {"result[0]": None, "result[1]": 0, "result[2]": 0},
        ]

    def test_of_a_pattern(self) -> None:
        plan = named_vmap("a [n] b -> b, c [n] b a", c=2)(lambda x: x).plan(f32(4, 3, 5))
        assert [(v.in_axes, v.out_axes) for v in plan.vmaps] == [
            ({"x": 2}, {"result[0]": 0, "result[1]": 2}),
            ({}, {"result[0]": None, "result[1]": 0}),
            ({"x": 0}, {"result[0]": None, "result[1]": 1}),
        ]


def test_a_folded_key_is_shown_as_it_was_given() -> None:
    key = GALLERY["pattern_parts"]().args[-1]
    assert (key.path, key.shape, key.batch, key.missing) == ("rng", (), (), (-2, -1))
    assert "key<fry>[]        .   . |" in str(GALLERY["pattern_parts"]())


def test_a_call_pays_for_nothing_that_only_printing_needs(monkeypatch: Any) -> None:
    """What a call knows of itself is made by `f.plan` alone."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a call made what only printing needs")

    function = auto_vmap(x=1)(lambda x: x.sum())
    pattern = named_vmap("a [b] -> a")(lambda x: x.sum())
    for decorated in (function, pattern):
        monkeypatch.setattr("autovmap._function.reading.calling", refused)
        assert decorated(jnp.ones((4, 3))).shape == (4,)
        with pytest.raises(AssertionError, match="only printing needs"):
            decorated.plan(jnp.ones((4, 3)))


def test_steps() -> None:
    assert broadcast().steps == ("squeezed first: v dim 1",)
    assert GALLERY["shared_key"]().steps == ("key rng: one key for 12 examples, so equal draws",)
    looped = auto_vmap(x=1)(lambda x: x).loop().plan(f32(4, 3))
    assert any(step.startswith("loop: ") for step in looped.steps)


def test_outputs() -> None:
    outputs = GALLERY["kept_at_one"]().outputs
    assert outputs is not None
    assert [output.path for output in outputs] == [f"result[{i}]" for i in range(4)]
    assert [output.shape for output in outputs] == [(4, 1), (1, 3), (4, 3), ()]
    assert [output.array for output in outputs] == [True, True, True, False]


def test_outputs_of_a_function_with_a_parameter_called_outputs() -> None:
    function = auto_vmap(outputs=1)(lambda outputs: outputs.sum())
    assert function.plan(outputs=f32(4, 3)).batch_shape == (4,)
    outputs = function.plan_with_outputs(outputs=f32(4, 3)).outputs
    assert outputs is not None
    assert outputs[0].shape == (4,)


def test_outputs_of_a_bound_method_and_of_shapes_without_a_rank() -> None:
    class Line:
        @auto_vmap(x=1)
        def at(self, x: Any, w: Any) -> Any:
            return jnp.outer(x, w)

    outputs = Line().at.plan_with_outputs(f32(4, 3), f32(2)).outputs
    assert outputs is not None
    assert outputs[0].shape == (4, 3, 2)


def test_it_fails_as_the_call_does() -> None:
    function = auto_vmap(a=1, b=1)(lambda a, b: a)
    for call in (function, function.plan, function.plan_with_outputs):
        with pytest.raises(BatchShapeError, match="batch axis -1 has size 4 in a and size 5 in b"):
            call(jnp.ones((4, 3)), np.ones((5, 3)))


class TestConflict:
    """The table above the cause."""

    def raised(self, *shapes: tuple[int, ...]) -> BatchShapeError:
        names = [f"p{i}" for i in range(len(shapes))]
        function = eval(f"lambda {', '.join(names)}: p0")
        decorated = auto_vmap(ranks=dict.fromkeys(names, 1))(function)
        with pytest.raises(BatchShapeError, match="do not broadcast") as caught:
            decorated(*map(jnp.ones, shapes))
        return caught.value

    def test_the_column_is_marked(self) -> None:
        error = self.raised((7, 4, 3), (5, 3), (1, 1, 3), (3,))
        assert error.axis == -1
        assert [leaf.path for leaf in error.leaves] == ["p0", "p1", "p2", "p3"]
        assert str(error).splitlines()[:8] == [
            "<lambda>(): batch shapes do not broadcast",
            "  argument  array           -2  -1 | core",
            "  p0        float32[7,4,3]   7   4 | 3",
            "  p1        float32[5,3]     .   5 | 3",
            "  p2        float32[1,1,3]   1*  1*| 3",
            "  p3        float32[3]       .   . | 3",
            "                                 ^ sizes differ",
            "<lambda>(): batch axis -1 has size 4 in p0 and size 5 in p1; along a batch axis sizes "
            "must be equal, 1 or missing",
        ]

    def test_of_many_leaves_those_at_odds_are_shown(self) -> None:
        error = self.raised(*[(4, 3)] * 10, *[(3,)] * 10, (5, 3))
        lines = str(error).splitlines()
        assert [line.split()[0] for line in lines[2:4]] == ["p0", "p20"]
        assert lines[5] == "  ... and 19 leaves more"

    def test_it_pickles(self) -> None:
        error = self.raised((4, 3), (5, 3))
        loaded = pickle.loads(pickle.dumps(error))
        assert (str(loaded), loaded.axis) == (str(error), error.axis)
        assert isinstance(error, AutoVmapError)


def test_code_that_depends_on_the_result() -> None:
    function = auto_vmap(x=0, stretch_outputs=False)(lambda x: (x, 1.0))
    with pytest.raises(SpecError, match=r"plan_with_outputs\(\.\.\.\)\.code\(\)"):
        function.plan(f32(4)).code()
    assert "table" in function.plan(f32(4))._repr_html_()


# treescope asks NumPy for a class that newer versions deprecate.
@pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")
def test_in_treescope() -> None:
    plan = auto_vmap(outer=1, inner=1)(lambda outer, inner: outer)
    drawn = plan.plan_with_outputs(f32(5, 1, 3), f32(4, 3))
    shown = treescope.render_to_text(drawn)
    for part in ("batch_shape=(5, 4)", "path='outer'", "layers=(", "steps=(", "path='result'"):
        assert part in shown
    assert "outputs=" not in treescope.render_to_text(plan.plan(f32(4, 3), f32(3)))


class TestPatterns:
    """The plan of a `named_vmap`."""

    def pairs(self, function: Any) -> Any:
        return named_vmap("a b [n], (c a) -> (b a), c [m] a")(function)

    def test_it_tells_the_parts_of_its_result(self) -> None:
        plan = self.pairs(raises_when_called).plan(deleted(2, 3, 4), deleted(10))
        assert str(plan).splitlines()[4:7] == [
            "  result[0]                   3   2   . |",
            "  result[1]                   .   2   5 | m",
            "  vmap 1: batch axis -3 'b', size 3, over args[0] (dim 1); out_axes (0, None)",
        ]
        assert plan.steps == (
            "pattern: a b [n], (c a) -> (b a), c [m] a",
            "first: args[1] reshaped to (5, 2)",
        )

    def test_it_tells_its_outputs(self) -> None:
        function = self.pairs(lambda x, y: ({"s": x.sum(), "t": "text"}, jnp.ones(7)))
        plan = function.plan_with_outputs(f32(2, 3, 4), f32(10))
        assert plan.outputs is not None
        assert [(o.path, o.shape, o.dtype) for o in plan.outputs] == [
            ("result[0]['s']", (6,), "float32"),
            ("result[0]['t']", (), "str"),
            ("result[1]", (5, 7, 2), "float32"),
        ]
        assert "result[1]       float32[5,7,2]" in str(plan)
        assert "m=7" in str(plan)

    def test_it_fails_as_the_call_does(self) -> None:
        function = self.pairs(lambda x, y: (x.sum(), y))
        for call in (function, function.plan_with_outputs):
            with pytest.raises(RankError, match=r"result\[1\] has shape \(\) for one example"):
                call(jnp.ones((2, 3, 4)), jnp.ones(10))

    def test_it_is_a_value(self) -> None:
        one, other = (self.pairs(jnp.dot).plan(f32(2, 3, 4), f32(10)) for _ in range(2))
        assert one == other
        assert len({one, other}) == 1
        assert pickle.loads(pickle.dumps(one)) == one


def test_a_key_whose_rank_was_forgotten() -> None:
    function = auto_vmap(x=0)(lambda rng, x: x)
    key = jax.random.key(0)
    line = "! rng key<fry>[] is a key that all examples share"
    different = function.replace(randomness="different")
    assert line in str(different.plan(key, jnp.ones(3)))
    assert line not in str(different.plan(key, 1.0))
    assert "so not mapped: rng key<fry>[]" in str(function.plan(key, jnp.ones(3)))
    ranked = auto_vmap(rng="key", x=0, randomness="different")(lambda rng, x: x)
    assert "share" not in str(ranked.plan(key, jnp.ones(3)))
