"""`stretch_outputs=False`: an output keeps size 1 along batch axes that it does not depend on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from autovmap import SpecError, auto_vmap
from compose.jaxprs import equations
from strategies import cases

X, Y = (3, 1), (1, 4)
"""The batch shapes of the two arguments: each has an axis of its own."""


def shapes(function: Any, x: Any = X, y: Any = Y, **options: Any) -> Any:
    """The shapes of a function's outputs for two numbers, none of them stretched."""
    decorated = auto_vmap(x=0, y=0, stretch_outputs=False, **options)(function)
    args = jnp.full(x, 0.5), jnp.full(y, 0.25)
    found = decorated(*args)
    stretched = auto_vmap(x=0, y=0, **options)(function)(*args)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(stretched), strict=True):
        if isinstance(other, jax.Array):
            assert one.ndim == other.ndim
            assert (one.dtype, one.weak_type) == (other.dtype, other.weak_type)
            np.testing.assert_allclose(jnp.broadcast_to(one, other.shape), other, rtol=1e-6)
    return jax.tree.map(jnp.shape, found, is_leaf=lambda leaf: leaf is None)


BOTH = (3, 4)


def test_each_output_on_its_own() -> None:
    found = shapes(lambda x, y: {"x": x + 1, "y": (y * 2,), "both": x * y, "none": jnp.ones(2)})
    assert found == {"x": X, "y": (Y,), "both": BOTH, "none": (1, 1, 2)}


def test_the_default_stretches() -> None:
    found = auto_vmap(x=0, y=0)(lambda x, y: (x, y, 1.0))(jnp.ones(X), jnp.ones(Y))
    assert [leaf.shape for leaf in found] == [BOTH] * 3


def test_a_factor_of_one_of_two_arguments_holds_no_million() -> None:
    size = 1000

    def factor(x: Any, y: Any) -> Any:
        return jnp.linalg.cholesky(jnp.eye(2) * (1 + x))[0, 0]

    keep = auto_vmap(x=0, y=1, stretch_outputs=False)(factor)
    args = jnp.ones((size, 1)), jnp.ones((1, size, 2))
    found = keep(*args)
    assert found.shape == (size, 1)
    assert found.size == 1000
    assert largest(keep, *args) < 10 * size
    assert largest(keep.replace(stretch_outputs=True), *args) >= size**2
    both = auto_vmap(x=0, y=1, stretch_outputs=False)(lambda x, y: (factor(x, y), x * y.sum()))
    assert [leaf.shape for leaf in jax.eval_shape(both, *args)] == [(size, 1), (size, size)]


def largest(function: Any, *args: Any) -> int:
    """The size of the largest array in a function's jaxpr."""
    jaxpr = jax.make_jaxpr(function)(*args)
    outputs = [var.aval for eqn in equations(jaxpr) for var in eqn.outvars]
    return max(int(np.prod(aval.shape)) for aval in outputs if hasattr(aval, "shape"))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ((), (), [(), (), ()]),
        ((3,), (), [(3,), (1,), (3,)]),
        ((), (4,), [(1,), (4,), (4,)]),
        ((3,), (3,), [(3,), (3,), (3,)]),
        ((1,), (1,), [(1,), (1,), (1,)]),
        ((3, 1), (4,), [(3, 1), (1, 4), (3, 4)]),
        ((2, 3, 1), (4,), [(2, 3, 1), (1, 1, 4), (2, 3, 4)]),
        ((0, 1), (4,), [(0, 1), (1, 4), (0, 4)]),
        ((1, 3), (2, 1), [(1, 3), (2, 1), (2, 3)]),
    ],
    ids=str,
)
def test_batch_shapes(x: Any, y: Any, expected: Any) -> None:
    assert shapes(lambda x, y: [x * 2, y * 2, x + y], x, y) == expected


def through_scan(x: Any, y: Any) -> Any:
    (c, d), out = lax.scan(lambda c, i: ((c[0] + i, c[1] * y), (c[0], i)), (x, y), jnp.arange(3.0))
    return c, d, *out


def crossing_scan(x: Any, y: Any) -> Any:
    """What x feeds reaches the second carry at the second step, and the third at the third."""
    step = lambda c, _: ((c[0], c[0] + c[1], c[1] + c[2], c[3]), None)  # noqa: E731
    return lax.scan(step, (x, 0.0, 0.0, y), None, length=3)[0]


def through_while(x: Any, y: Any) -> Any:
    start = (x, jnp.float32(0), y)
    return lax.while_loop(lambda c: c[1] < 3, lambda c: (c[0] * 2, c[1] + 1, c[2]), start)


def steered_while(x: Any, y: Any) -> Any:
    """What stops the loop reaches all that it carries."""
    start = (x, jnp.float32(0), jnp.float32(1))
    return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] + 1, c[2] * y), start)


THROUGH: dict[str, tuple[Any, Any]] = {
    "jit": (lambda x, y: jax.jit(lambda a, b: (a * 2, b, a + b, 1.0))(x, y), [X, Y, BOTH, (1, 1)]),
    "nested jit": (jax.jit(lambda x, y: jax.jit(lambda a, b: (b, a))(x, y)), [Y, X]),
    "scan": (through_scan, [X, Y, (*X, 3), (1, 1, 3)]),
    "crossing scan": (crossing_scan, [X, X, X, Y]),
    "while": (through_while, [X, (1, 1), Y]),
    "steered while": (steered_while, [X, X, BOTH]),
    "fori": (lambda x, y: (lax.fori_loop(0, 3, lambda i, c: c + x, 0.0), y), [X, Y]),
    "cond": (
        lambda x, y: lax.cond(True, lambda: (x, y, y), lambda: (x + 1, x, y)),
        [X, BOTH, Y],
    ),
    "cond on x": (
        lambda x, y: lax.cond(x > 0, lambda: (y, 1.0), lambda: (y * 2, 2.0)),
        [BOTH, X],
    ),
    "switch": (
        lambda x, y: lax.switch(1, [lambda: (x, 0.0), lambda: (x, 1.0), lambda: (0.0, 0.0)]),
        [X, (1, 1)],
    ),
    "grad": (lambda x, y: jax.grad(lambda a: jnp.sin(a) * 2)(x), X),
    "vmap": (lambda x, y: jax.vmap(lambda i: i * x)(jnp.arange(2.0)), (*X, 2)),
    "random": (lambda x, y: jax.random.normal(jax.random.key(0)) + x, X),
    "unused": (lambda x, y: (y, x)[0], Y),
    "multiplied by none": (lambda x, y: x + 0 * y, BOTH),
    "checkpoint": (lambda x, y: (jax.checkpoint(jnp.sin)(x), y), [X, Y]),
}


@pytest.mark.each
@pytest.mark.parametrize("name", THROUGH)
def test_reachability_through(name: str) -> None:
    function, expected = THROUGH[name]
    found = shapes(function)
    wanted = expected if isinstance(expected, tuple) else tuple(expected)
    assert tuple(found) == wanted


@jax.custom_jvp
def twice(x: Any, y: Any) -> Any:
    """Two outputs of a call with a rule of its own."""
    return x * 2, y * 2


twice.defjvp(lambda primals, tangents: (twice(*primals), twice(*tangents)))


@jax.custom_vjp
def thrice(x: Any, y: Any) -> Any:
    """The same for reverse mode."""
    return x * 3, y * 3


thrice.defvjp(lambda x, y: (thrice(x, y), None), lambda _, ct: thrice(*ct))


def mapped_over_devices(x: Any, y: Any) -> Any:
    """The same inside of a `shard_map`."""
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("d",))
    spec = jax.sharding.PartitionSpec()
    double = lambda x, y: (x * 2, y * 2)  # noqa: E731
    return jax.shard_map(double, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(x, y)


CALLS = {
    "custom_jvp": twice,
    "custom_vjp": thrice,
    "custom_jvp in jit": jax.jit(twice),
    "checkpoint": jax.checkpoint(lambda x, y: (x * 2, y * 2)),
    "shard_map": mapped_over_devices,
}


@pytest.mark.each
@pytest.mark.parametrize("name", CALLS)
def test_through_calls_with_rules_of_their_own(name: str) -> None:
    function = CALLS[name]
    assert shapes(lambda x, y: function(x, y)) == (X, Y)
    assert shapes(lambda x, y: function(x, x)) == (X, X)
    assert shapes(lambda x, y: (function(x, 1.0)[0], y)) == (X, Y)
    assert shapes(lambda x, y: (*function(x, 1.0), y)) == (X, (1, 1), Y)


def test_what_takes_its_operands_together_is_right_if_not_small() -> None:
    """A `reduce` of two arrays, and a solver, whose outputs depend on every input."""
    add = lambda a, b: (a[0] + b[0], a[1] + b[1])  # noqa: E731
    rows = lambda x, y: (jnp.full(2, x), jnp.full(2, y))  # noqa: E731
    zeros = (jnp.float32(0), jnp.float32(0))
    assert shapes(lambda x, y: lax.reduce(rows(x, y), zeros, add, (0,))) == (BOTH, BOTH)
    solve = lambda mv, b: b / 2  # noqa: E731
    solved = lambda x: lax.custom_linear_solve(lambda v: v * 2, x, solve, symmetric=True)  # noqa: E731
    assert shapes(lambda x, y: (solved(x), y)) == (X, Y)


@jax.custom_jvp
def index(x: Any) -> Any:
    """Which example it is, with a derivative of its own."""
    return x + lax.axis_index("i")


index.defjvps(lambda t, _, x: t)


@jax.custom_vjp
def index_back(x: Any) -> Any:
    """The same for reverse mode."""
    return x + lax.axis_index("i")


index_back.defvjp(lambda x: (index_back(x), None), lambda _, ct: (ct,))


def solved(x: Any) -> Any:
    """A solver whose function names the axis."""
    return lax.custom_linear_solve(
        lambda v: v * (1 + lax.axis_index("i")),
        x,
        lambda mv, b: b / (1 + lax.axis_index("i")),
        symmetric=True,
    )


def found_root(x: Any) -> Any:
    """The root of a function that names the axis."""
    i = lambda: lax.axis_index("i")  # noqa: E731
    return lax.custom_root(
        lambda v: v - x - i(), x, lambda f, _: x + i(), lambda g, y: y / g(jnp.float32(1))
    )


NAMING: dict[str, Any] = {
    "custom_jvp": index,
    "custom_vjp": index_back,
    "custom_jvp in scan": lambda x: lax.scan(lambda c, _: (index(x), None), x, None, length=2)[0],
    "custom_linear_solve": solved,
    "custom_root": found_root,
    "jit": jax.jit(index),
    "checkpoint": jax.checkpoint(lambda x: x + lax.axis_index("i")),
    "cond": lambda x: lax.cond(x > 0, index, jnp.sin, x),
    "while": lambda x: lax.while_loop(lambda c: c < lax.axis_index("i"), lambda c: c + 1, x),
}
"""Functions whose result depends on the axis i, which only something inside of them names."""

FREE: dict[str, Any] = {
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
    "logsumexp": lambda x: jax.nn.logsumexp(jnp.stack([x, x])),
    "custom_jvp": lambda x: twice(x, 1.0)[0],
    "custom_vjp": lambda x: thrice(x, 1.0)[0],
    "custom_linear_solve": lambda x: lax.custom_linear_solve(
        lambda v: v * 2, x, lambda mv, b: b / 2, symmetric=True
    ),
    "solve": lambda x: jnp.linalg.solve(jnp.eye(2) * (1 + x), jnp.ones(2))[0],
    "shard_map": lambda x: mapped_over_devices(x, 1.0)[0],
    "jit": jax.jit(jax.nn.relu),
    "scan": lambda x: lax.scan(lambda c, _: (jax.nn.relu(c), None), x, None, length=2)[0],
    "cond": lambda x: lax.cond(x > 0, jax.nn.relu, jnp.sin, x),
    "while": lambda x: lax.while_loop(lambda c: c < 1, lambda c: jax.nn.relu(c) + 1, x),
}
"""Functions that name no axis: calls and rules of their own, and what holds others."""


class TestNames:
    """What a collective does over an axis depends on that axis."""

    names = ("i", "j")

    def test_axis_index(self) -> None:
        found = shapes(
            lambda x, y: [lax.axis_index("i"), lax.axis_index("j"), jnp.ones(())],
            axis_name=self.names,
        )
        assert found == [X, Y, (1, 1)]

    def test_psum(self) -> None:
        found = shapes(
            lambda x, y: [lax.psum(x, "i"), lax.psum(y, "i"), lax.psum(y, "j"), x],
            axis_name=self.names,
        )
        assert found[2:] == [Y, X]
        assert found[0] in (X, (1, 1))  # conservative: a sum over i is the same along i
        assert found[1] in (BOTH, Y)

    def test_inside_jit_and_scan(self) -> None:
        def function(x: Any, y: Any) -> Any:
            inner = jax.jit(lambda: lax.axis_index("i") * 2)()
            _, out = lax.scan(lambda c, _: (c, lax.axis_index("j")), 0.0, None, length=2)
            return inner, out

        assert shapes(function, axis_name=self.names) == (X, (*Y, 2))

    @pytest.mark.parametrize("name", NAMING)
    def test_inside_calls(self, name: str) -> None:
        """Where the axis is named in a jaxpr that an equation holds, of whatever primitive."""
        inside = NAMING[name]
        found = shapes(lambda x, y: (inside(jnp.float32(0.5)), y), axis_name=self.names)
        assert found == (X, Y)

    @pytest.mark.parametrize("name", FREE)
    def test_calls_that_name_no_axis(self, name: str) -> None:
        """Wrapped functions among an equation's parameters are never compared with a name."""
        function = FREE[name]
        assert shapes(lambda x, y: (function(x), y), axis_name=self.names) == (X, Y)
        out_axes = ({"out": None}, 0)
        free = auto_vmap(x=0, y=0, axis_name=self.names, out_axes=out_axes)(
            lambda x, y: ({"out": function(jnp.float32(0.5))}, x + y)
        )
        assert free(jnp.ones(X), jnp.ones(Y))[0]["out"].shape == ()
        bound = auto_vmap(x=0, y=0, axis_name=self.names, out_axes=out_axes)(
            lambda x, y: ({"out": function(x)}, x + y)
        )
        with pytest.raises(SpecError, match=r"(?s)result\[0\]\['out'\] None.* batch axis -2 'i'"):
            bound(jnp.ones(X), jnp.ones(Y))

    def test_names_that_only_look_alike(self) -> None:
        """An axis called 'a', and a parameter that holds the letter."""
        found = shapes(
            lambda x, y: (jnp.argmax(jnp.stack([x, x]), axis=0), jnp.cumsum(y[None])),
            axis_name=("axis", "a"),
        )
        assert found == (X, (*Y, 1))


class TestOtherOptions:
    """With `out_axes`, batch axes of the caller, jit and gradients."""

    @pytest.mark.parametrize("out_axes", [0, -1, 1, -2])
    def test_out_axes(self, out_axes: int) -> None:
        found = shapes(
            lambda x, y: [jnp.full(2, x), jnp.full(2, y), jnp.full(2, x + y)], out_axes=out_axes
        )
        front = out_axes in (0, -2)
        wanted = [(*s, 2) if front else (2, *s) for s in (X, Y, BOTH)]
        assert found == wanted

    def test_out_axes_by_output(self) -> None:
        found = shapes(
            lambda x, y: {"a": x, "b": jnp.full(2, y), "c": 1.0},
            out_axes={"a": 0, "b": -1, "c": None},
        )
        assert found == {"a": X, "b": (2, *Y), "c": ()}

    def test_batch_and_outer(self) -> None:
        decorated = auto_vmap(x=0, y=0, stretch_outputs=False)(lambda x, y: (x, y, x + y))
        args = jnp.ones(3), jnp.ones(4)
        assert [leaf.shape for leaf in decorated.outer()(*args)] == [(3, 1), (1, 4), (3, 4)]
        found = decorated.outer().batch(5)(*args)
        assert [leaf.shape for leaf in found] == [(1, 3, 1), (1, 1, 4), (1, 3, 4)]

    def test_keys_that_are_folded_depend_on_their_axes(self) -> None:
        decorated = auto_vmap(key="key", x=0, randomness="different", stretch_outputs=False)(
            lambda key, x: (x, jax.random.normal(key))
        )
        found = decorated.batch(5)(jax.random.key(0), jnp.ones(3))
        assert [leaf.shape for leaf in found] == [(1, 3), (5, 3)]

    def test_under_jit_and_grad(self) -> None:
        decorated = auto_vmap(x=0, y=0, stretch_outputs=False)(lambda x, y: (x * 2, x + y))
        args = jnp.ones(X), jnp.ones(Y)
        assert [leaf.shape for leaf in jax.jit(decorated)(*args)] == [X, BOTH]
        gradient = jax.grad(lambda x: decorated(x, args[1])[0].sum())(args[0])
        np.testing.assert_array_equal(gradient, np.full(X, 2.0))
        rows = jax.vmap(decorated)(jnp.ones((5, *X)), jnp.ones((5, *Y)))
        assert [leaf.shape for leaf in rows] == [(5, *X), (5, *BOTH)]

    def test_what_is_no_array_passes_through(self) -> None:
        decorated = auto_vmap(x=0, stretch_outputs=False)(lambda x: (x, "text", None, 2.0, 3))
        found = decorated(jnp.ones(3))
        assert found[1:3] == ("text", None)
        assert [leaf.shape for leaf in (found[0], *found[3:])] == [(3,), (1,), (1,)]


OPERATIONS: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "left": lambda a, b: jnp.sin(a),
    "where": lambda a, b: jnp.where(a > 0, b, 1.0),
    "jit": jax.jit(lambda a, b: b * 2),
    "scan": lambda a, b: lax.scan(lambda c, i: (c + a, None), b, jnp.arange(2.0))[0],
    "cond": lambda a, b: lax.cond(a > 0.3, lambda: b, lambda: 0.0),
    "constant": lambda a, b: jnp.float32(2),
}


@cases(0.1)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_programs_are_never_too_small(program: Any) -> None:
    """Whatever is computed, the unstretched outputs broadcast to the stretched ones."""

    def function(x: Any, y: Any) -> Any:
        values = [x, y]
        for name, i, j in program:
            one, other = values[i % len(values)], values[j % len(values)]
            values.append(OPERATIONS[name](one, other))
        return values

    found = shapes(function)
    assert found[:2] == [X, Y]
