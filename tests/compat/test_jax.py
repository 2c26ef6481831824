"""`autovmap.compat.jax.vmap`: `jax.vmap`'s page and anvil's tests, its jaxprs, its errors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from autovmap import AutoVmapError, auto_vmap
from autovmap.compat import functorch
from autovmap.compat import jax as compat_jax
from compose.jaxprs import text
from made import numbers

vmap = compat_jax.vmap
fvmap = functorch.vmap


X = numbers(3, 4)


class TestJaxPage:
    """The docstring of `jax.vmap`."""

    def test_vdot(self) -> None:
        mv = vmap(jnp.vdot, (0, None), 0)
        mm = vmap(mv, (None, 1), 1)
        a, b = numbers(4, 3), numbers(3, 5)
        np.testing.assert_allclose(mv(a, b[:, 0]), a @ b[:, 0], rtol=1e-6)
        np.testing.assert_allclose(mm(a, b), a @ b, rtol=1e-6)

    @pytest.mark.parametrize("first", [0, 1, -1, None])
    @pytest.mark.parametrize("second", [0, 1, -2, None])
    def test_vdot_along_either_axis(self, first: Any, second: Any) -> None:
        a = numbers(3) if first is None else numbers(3, 3)
        b = numbers(3) if second is None else numbers(3, 3) + 1
        if first is second is None:
            with pytest.raises(AutoVmapError, match="no argument is mapped"):
                vmap(jnp.vdot, (first, second))(a, b)
            return
        rows = [a if first is None else jnp.take(a, i, first) for i in range(3)]
        columns = [b if second is None else jnp.take(b, i, second) for i in range(3)]
        wanted = [jnp.vdot(row, column) for row, column in zip(rows, columns, strict=True)]
        np.testing.assert_allclose(vmap(jnp.vdot, (first, second))(a, b), wanted, rtol=1e-6)

    def test_a_tree_with_the_batch_at_three_places(self) -> None:
        x, y, z = numbers(6, 2, 3), numbers(3, 6, 4), numbers(4, 5, 6)
        function = lambda tree: tree[0] @ (tree[1][0] @ tree[1][1])  # noqa: E731
        found = vmap(function, in_axes=((0, (1, 2)),))((x, (y, z)))
        assert found.shape == (6, 2, 5)
        for i in range(6):
            np.testing.assert_allclose(found[i], x[i] @ (y[:, i] @ z[..., i]), rtol=1e-5)

    def test_a_dict_with_an_unmapped_leaf(self) -> None:
        function = lambda tree, x: tree["a"] + tree["b"] + x  # noqa: E731
        mapped = vmap(function, in_axes=({"a": None, "b": 0}, None))
        found = mapped({"a": 0.0, "b": jnp.arange(5.0)}, 1.0)
        np.testing.assert_array_equal(found, [1, 2, 3, 4, 5])

    def test_an_output_that_is_not_mapped(self) -> None:
        function = lambda x, y: (x + y, y * 2.0)  # noqa: E731
        one, two = vmap(function, in_axes=(0, None), out_axes=(0, None))(jnp.arange(2.0), 4.0)
        np.testing.assert_array_equal(one, [4, 5])
        assert two == 8.0
        assert np.shape(two) == ()
        one, two = vmap(function, in_axes=(0, None), out_axes=0)(jnp.arange(2.0), 4.0)
        np.testing.assert_array_equal(two, [8, 8])

    def test_psum_over_a_name(self) -> None:
        found = vmap(lambda x: lax.psum(x, "i"), axis_name="i")(jnp.arange(12.0).reshape(3, 4))
        np.testing.assert_array_equal(found, [[12, 15, 18, 21]] * 3)

    def test_axis_size(self) -> None:
        found = vmap(lambda: lax.axis_index("i"), axis_size=3, axis_name="i")()
        np.testing.assert_array_equal(found, [0, 1, 2])
        assert vmap(jnp.sin, in_axes=None, axis_size=2)(X).shape == (2, 3, 4)
        assert vmap(jnp.sin, in_axes=None, axis_size=0)(X).shape == (0, 3, 4)
        assert vmap(jnp.sin, axis_size=3)(X).shape == (3, 4)
        with pytest.raises(AutoVmapError, match=r"axis has size 3, but axis_size is 2"):
            vmap(jnp.sin, axis_size=2)(X)

    def test_keyword_arguments_are_mapped_over_axis_0(self) -> None:
        found = vmap(lambda x, scale: x * scale)(X, scale=jnp.arange(3.0))
        np.testing.assert_array_equal(found, X * jnp.arange(3.0)[:, None])


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "one": (lambda v: v(jnp.sin), (X,)),
    "two": (lambda v: v(jnp.dot), (X, X)),
    "None": (lambda v: v(jnp.dot, (0, None)), (X, X[0])),
    "list": (lambda v: v(jnp.dot, [None, 0]), (X[0], X)),
    "negative": (lambda v: v(jnp.dot, (-1, 0)), (X.T, X)),
    "negative out": (lambda v: v(jnp.outer, (0, -1), -1), (X, X.T)),
    "middle": (lambda v: v(jnp.cumsum, 1, 1), (numbers(2, 3, 4),)),
    "nested": (lambda v: v(v(jnp.dot)), (numbers(2, 3, 4), numbers(2, 3, 4))),
    "nested, crossed": (lambda v: v(v(jnp.dot, (None, 0)), (0, None)), (X, X)),
    "nested, turned": (
        lambda v: v(v(jnp.outer, (1, None), 2), (0, 1), 1),
        (numbers(2, 3, 4), numbers(5, 2)),
    ),
    "thrice": (lambda v: v(v(v(jnp.sin, -1, 0), 1), 0, 2), (numbers(2, 3, 4),)),
    "prefix": (
        lambda v: v(lambda t: {"a": t["a"] + t["b"][0], "b": t["b"]}, ({"a": 0, "b": (1, None)},)),
        ({"a": X, "b": (X.T, 2.0)},),
    ),
    "prefixes": (
        lambda v: v(lambda t: (t["a"], {"c": t["b"][0]}), (0,), (1, {"c": 0})),
        ({"a": X, "b": (X,)},),
    ),
    "out None": (lambda v: v(lambda x, y: (x, y * 2), (0, None), (0, None)), (X, X[0])),
    "psum": (lambda v: v(lambda x: x / lax.psum(x, "i"), axis_name="i"), (X,)),
    "nested names": (
        lambda v: v(v(lambda x: lax.psum(x, ("i", "j")), axis_name="j"), axis_name="i"),
        (X,),
    ),
    "outer name": (
        lambda v: v(v(lambda x: x - lax.pmean(x, "i")), in_axes=1, axis_name="i"),
        (X,),
    ),
    "axis_index": (lambda v: v(lambda x: x + lax.axis_index("i"), axis_name="i"), (X,)),
    "all_gather": (lambda v: v(lambda x: lax.all_gather(x, "i"), axis_name="i"), (X,)),
    "axis_size": (lambda v: v(lambda x: x + 1, in_axes=None, axis_size=5), (X,)),
    "keys": (lambda v: v(jax.random.normal), (jax.random.split(jax.random.key(0), 3),)),
    "one key": (
        lambda v: v(lambda k, x: x + jax.random.normal(k), (None, 0)),
        (jax.random.key(0), X),
    ),
    "cond": (lambda v: v(lambda c, x: lax.cond(c, jnp.sin, jnp.cos, x)), (X[:, 0] > 0, X)),
    "scan": (
        lambda v: v(lambda c, xs: lax.scan(lambda s, x: (s + x, s), c, xs), (None, 0)),
        (1.0, X),
    ),
    "grad": (lambda v: v(jax.grad(lambda x: (x**2).sum())), (X,)),
    "in grad": (lambda v: jax.grad(lambda x: v(jnp.dot)(x, x).sum()), (X,)),
    "in jit": (lambda v: v(jax.jit(v(jnp.sin))), (X,)),
    "None argument": (lambda v: v(lambda x, y: x), (X, None)),
    "size 0": (lambda v: v(jnp.sin), (X[:0],)),
    "star": (lambda v: v(lambda *xs: sum(xs), (0, 1, None)), (X, X.T, X[0])),
    "hessian": (lambda v: v(jax.hessian(lambda x: jnp.sin(x).prod())), (X,)),
    "mixed": (lambda v: v(jax.vmap(jnp.dot, (None, 0)), (0, None)), (X, X)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_jaxpr_is_that_of_jax_vmap(name: str) -> None:
    make, args = CASES[name]
    assert text(make(vmap), *args) == text(make(jax.vmap), *args)
    found, wanted = make(vmap)(*args), make(jax.vmap)(*args)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.parametrize(("in_axes", "out_axes"), [(0, 0), (1, 0), (-1, 1), (0, -1), (0, 2)])
def test_a_mapped_axis_of_size_one_gives_what_jax_vmap_gives(in_axes: int, out_axes: int) -> None:
    x = jnp.moveaxis(numbers(1, 2, 3), 0, in_axes)
    function = lambda x: jnp.sin(x) @ jnp.ones((3 if in_axes == 0 else x.shape[1], 2))  # noqa: E731
    found, wanted = (v(function, in_axes, out_axes)(x) for v in (vmap, jax.vmap))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    named = vmap(lambda x: lax.psum(x, "i"), in_axes, out_axes, axis_name="i")(x)
    wanted = jax.vmap(lambda x: lax.psum(x, "i"), in_axes, out_axes, axis_name="i")(x)
    np.testing.assert_array_equal(named, wanted)


@pytest.mark.parametrize("name", [None, "p", ("p", "q")])
def test_spmd_axis_name(name: Any) -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1, 1), ("p", "q", "r"))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("r"))
    function = lambda x: lax.with_sharding_constraint(x, sharding)  # noqa: E731
    found, wanted = (text(v(function, spmd_axis_name=name), X) for v in (vmap, jax.vmap))
    assert found == wanted


WRONG: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "no argument": (lambda v: v(lambda: 1.0), (), "no argument is mapped"),
    "none mapped": (lambda v: v(jnp.sin, None), (X,), "no argument is mapped"),
    "too few axes": (lambda v: v(jnp.dot, (0,)), (X, X), "tuple of 1 entry, for 2 pos"),
    "too many axes": (lambda v: v(jnp.sin, (0, 0)), (X,), "tuple of 2 entries, for 1 pos"),
    "axis out of bounds": (lambda v: v(jnp.sin, 2), (X,), r"axis 2 of args\[0\].*float32\[3,4\]"),
    "negative axis": (lambda v: v(jnp.sin, -3), (X,), r"axis -3 of args\[0\].*float32\[3,4\]"),
    "out of the result": (lambda v: v(jnp.sin, 0, 2), (X,), "result at 2.*from -2 to 1"),
    "sizes": (lambda v: v(jnp.dot, (0, 1)), (X, X), r"(?s)args\[0\].*args\[1\].*\(3,\).*\(4,\)"),
    "1 against 3": (lambda v: v(jnp.dot), (X, X[:1]), r"(?s)args\[0\].*args\[1\].*\(3,\).*\(1,\)"),
    "a number": (lambda v: v(jnp.add), (X, 1.0), r"axis 0 of args\[1\].*0 dims"),
    "output depends": (lambda v: v(jnp.sin, 0, None), (X,), "result None.*depends on batch axis"),
    "prefix of the result": (lambda v: v(jnp.sin, 0, (0, 0)), (X,), "out_(axes|dims).*result"),
    "a string": (lambda v: v(jnp.sin, "a"), (X,), "is 'a'"),
    "a float": (lambda v: v(jnp.sin, 0.5), (X,), "is 0.5"),
    "a bool": (lambda v: v(jnp.sin, True), (X,), "True of type bool"),
    "a dict": (lambda v: v(jnp.sin, {"x": 0}), (X,), "{'x': 0}"),
    "no callable": (lambda v: v(3), (X,), "callable, but got 3"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("which", ["jax", "functorch"])
def test_what_jax_vmap_refuses_is_refused(name: str, which: str) -> None:
    make, args, pattern = WRONG[name]
    with pytest.raises(AutoVmapError, match=f"(?s){pattern.removeprefix('(?s)')}"):
        make(vmap if which == "jax" else fvmap)(*args)
    with pytest.raises((ValueError, TypeError), match=r"."):
        make(jax.vmap)(*args)


SAME_KIND = {"axis out of bounds", "negative axis", "out of the result", "sizes", "1 against 3"}
SAME_KIND |= {"a number"}
"""Where both raise ValueError; of all else the docs say that autovmap raises TypeError."""


@pytest.mark.parametrize("name", WRONG)
def test_the_kinds_of_errors_are_those_that_the_docs_tell(name: str) -> None:
    make, args, _ = WRONG[name]
    with pytest.raises(ValueError if name in SAME_KIND else TypeError, match=r"."):
        make(vmap)(*args)
    both_types = {"a string", "a float", "a bool", "a dict", "no callable"}
    with pytest.raises(TypeError if name in both_types else ValueError, match=r"."):
        make(jax.vmap)(*args)


def test_strings_pass() -> None:
    assert vmap(lambda x, how: (x, how))(X, "fast")[1] == "fast"


def test_a_name_bound_twice_is_refused() -> None:
    """Stricter than jax.vmap, where the inner axis hides the outer one."""
    inner = vmap(lambda x: lax.psum(x, "i"), axis_name="i")
    with pytest.raises(AutoVmapError, match="'i' is already in use"):
        vmap(inner, axis_name="i")(X)


def test_what_is_mapped_keeps_its_name_and_plans() -> None:
    mapped = vmap(jnp.dot, (0, None))
    assert mapped.__name__ == "dot"
    assert mapped.plan(X, X[0]).batch_shape == (3,)
    assert fvmap(jnp.dot, in_dims=1).plan(X, X).batch_shape == (4,)


class TestAnvil:
    """The tests of anvil's dvmap and svmap."""

    def test_the_batch_size_is_read_at_each_call(self) -> None:
        mapped = vmap(lambda x: 2 * x)
        for size in (3, 1, 0, 7, 3):
            np.testing.assert_array_equal(mapped(numbers(size, 2)), 2 * numbers(size, 2))

    @pytest.mark.parametrize("in_axes", [(0, None), (1, None), (-1, None), (0, 0), (-2, -1)])
    def test_in_axes_and_out_axis(self, in_axes: Any) -> None:
        function = lambda x, y: jnp.stack([x.sum() + y.sum(), x.sum()])  # noqa: E731
        args = numbers(4, 4), numbers(4, 4) + 1
        for out in (0, 1, -1, -2):
            found, wanted = (v(function, in_axes, out)(*args) for v in (vmap, jax.vmap))
            np.testing.assert_allclose(found, wanted, rtol=1e-6)
            assert found.shape == ((4, 2) if out in (0, -2) else (2, 4))

    def test_a_constant_output_gets_the_batch_dim(self) -> None:
        found = vmap(lambda x: (x, jnp.ones(2), 3.0))(numbers(4))
        assert [y.shape for y in found] == [(4,), (4, 2), (4,)]

    def test_a_size_that_is_fixed_up_front(self) -> None:
        """svmap: built once for a size and used again; another size is refused."""
        program = jax.jit(auto_vmap(x=1)(lambda x: 2 * x)).lower(numbers(4, 2)).compile()
        for shift in range(3):
            np.testing.assert_array_equal(
                program(numbers(4, 2) + shift), 2 * (numbers(4, 2) + shift)
            )
        with pytest.raises(TypeError, match="compiled with float32"):
            program(numbers(5, 2))
