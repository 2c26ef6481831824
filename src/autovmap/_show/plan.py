"""The public `Plan`: the data of a call's plan, with words, pictures and pages for it."""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any

from autovmap._plan.layers import Layer
from autovmap._plan.leaf import Shape
from autovmap._plan.plan import CallPlan
from autovmap._show.calling import UNKNOWN, Calling, Output
from autovmap._show.code import code
from autovmap._show.svg import svg
from autovmap._show.table import remarks, table
from autovmap._show.vmaps import Vmap, vmaps
from autovmap.errors import SpecError


def fragment(
    plan: CallPlan, calling: Calling = UNKNOWN, outputs: Sequence[Output] | None = None
) -> str:
    """The picture, with the table and the code to be unfolded."""
    parts = [("table", table(plan, calling, outputs))]
    with suppress(SpecError):  # what goes where may depend on the result, which is not known
        parts.append(("code", code(plan, calling, outputs)))
    folded = "".join(
        f"<details><summary>{name}</summary>"
        f'<pre style="overflow-x:auto;line-height:1.35">{escape(text)}</pre></details>'
        for name, text in parts
    )
    picture = svg(plan, calling, outputs)
    return (
        f'<div class="autovmap-plan" style="max-width:100%">'
        f'<div style="overflow-x:auto">{picture}</div>{folded}</div>'
    )


def page(
    plan: CallPlan, calling: Calling = UNKNOWN, outputs: Sequence[Output] | None = None
) -> str:
    """A page of its own, light or dark as the reader has it."""
    title = escape(f"{plan.function}: a plan")
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        "<style>body{margin:2rem;font-family:system-ui,sans-serif}</style></head>\n"
        f"<body>{fragment(plan, calling, outputs)}</body></html>\n"
    )


@dataclass(frozen=True, slots=True)
class Arg:
    """A row of a plan: one leaf of a ranked argument.

    `stretched` are the batch axes along which it has size 1 and the batch has not; `missing` are
    those that it lacks. `names` are those of the core dims, None for one without.

    >>> import jax.numpy as jnp
    >>> from autovmap import auto_vmap
    >>> plan = auto_vmap(1, 1)(jnp.dot).plan(jnp.ones((5, 1, 3)), jnp.ones((4, 3)))
    >>> plan.args[0].batch, plan.args[0].core, plan.args[0].stretched, plan.args[1].missing
    ((5, 1), (3,), (-1,), (-2,))
    """

    path: str
    shape: Shape
    dtype: str
    rank: int
    batch: Shape
    core: Shape
    stretched: tuple[int, ...] = ()
    missing: tuple[int, ...] = ()
    names: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a call does, worked out from the spec and from shapes alone.

    `f.plan(...)` makes it, and nothing runs. It is frozen and hashable, and holds no array.

    >>> import jax
    >>> from autovmap import auto_vmap
    >>> @auto_vmap(s=0, v=1, m=2)
    ... def foo(s, v, m):
    ...     return v @ m @ v + s * v.size
    >>> f32 = jax.numpy.float32
    >>> plan = foo.plan(
    ...     2.0, jax.ShapeDtypeStruct((7, 1, 3), f32), jax.ShapeDtypeStruct((7, 5, 3, 3), f32)
    ... )
    >>> plan.batch_shape
    (7, 5)
    >>> print(plan)
    foo: batch shape (7, 5)
      argument  array             -2  -1 | core
      s         float[]            .   . |
      v         float32[7,1,3]     7   1*| 3
      m         float32[7,5,3,3]   7   5 | 3, 3
      result                       7   5 | ...
      vmap 1: batch axis -2, size 7, over v, m
      vmap 2: batch axis -1, size 5, over m
      squeezed first: v dim 1
      (1*: stretched, .: no such dim)
    >>> print(plan.code())
    import jax
    <BLANKLINE>
    <BLANKLINE>
    def call(f, s, v, m):
        v = jax.lax.squeeze(v, (1,))
        return jax.vmap(jax.vmap(f, in_axes=(None, None, 0)), in_axes=(None, 0, 0))(s, v, m)
    """

    _data: CallPlan
    _calling: Calling = UNKNOWN
    outputs: tuple[Output, ...] | None = None
    """The leaves of the result, where `f.plan_with_outputs` made the plan."""

    @property
    def function(self) -> str:
        """The name of the function.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> auto_vmap(1)(jnp.sum).plan(jnp.ones((5, 3))).function
        'sum'
        """
        return self._data.function

    @property
    def batch_shape(self) -> Shape:
        """The batch shape of the call: those of all arguments, broadcast.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> auto_vmap(1, 1)(jnp.dot).plan(jnp.ones((5, 1, 3)), jnp.ones((4, 3))).batch_shape
        (5, 4)
        """
        return self._data.batch_shape

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, outermost first, with axes in the order of the leaves.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> plan = auto_vmap(1, 1)(jnp.dot).plan(jnp.ones((5, 1, 3)), jnp.ones((4, 3)))
        >>> [(layer.size, layer.in_axes) for layer in plan.layers]
        [(5, (0, None)), (4, (None, 0))]
        """
        return self._data.layers

    @property
    def args(self) -> tuple[Arg, ...]:
        """A row for each leaf under a rank, in the order of the parameters: see `Arg`.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> plan = auto_vmap(x=1)(lambda x: x["a"] + x["b"]).plan(
        ...     {"a": jnp.ones((5, 3)), "b": jnp.ones(3)}
        ... )
        >>> [(arg.path, arg.batch, arg.core) for arg in plan.args]
        [("x['a']", (5,), (3,)), ("x['b']", (), (3,))]
        """
        return tuple(
            Arg(
                leaf.path,
                leaf.shape,
                leaf.dtype,
                leaf.rank,
                leaf.batch,
                leaf.core,
                tuple(a for a, size in self._sizes() if leaf.size(a) == 1 and size != 1),
                tuple(a for a, _ in self._sizes() if leaf.size(a) is None),
                tuple(dim.name for dim in leaf.dims) or (None,) * leaf.rank,
            )
            for leaf in self._data.leaves
        )

    def _sizes(self) -> list[tuple[int, object]]:
        axes = range(-len(self.batch_shape), 0)
        return [(axis, self.batch_shape[axis]) for axis in axes]

    @property
    def steps(self) -> tuple[str, ...]:
        """What happens beside the layers, in words: squeezes, keys, ways of running.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> auto_vmap(1, 1)(jnp.dot).chunk(4).plan(jnp.ones((5, 1, 3)), jnp.ones((4, 3))).steps
        ('squeezed first: a dim 1', 'chunk: 5 chunks of 4 examples (1 of batch axis -2)')
        """
        return tuple(text for text, warning in remarks(self._data, self._calling) if not warning)

    @property
    def vmaps(self) -> tuple[Vmap, ...]:
        """The layers, outermost first, each with its axes by path.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> plan = auto_vmap(x=1, y=0, out_axes=1)(lambda x, y: x * y).plan(
        ...     jnp.ones((4, 1, 3)), jnp.ones(5)
        ... )
        >>> [(vmap.size, vmap.in_axes, vmap.out_axes) for vmap in plan.vmaps]
        [(4, {'x': 0}, {'result': 1}), (5, {'y': 0}, {'result': 1})]
        """
        return vmaps(self._data, self._calling, self.outputs)

    def code(self) -> str:
        """The call as Python with nothing but `jax` in it: `def call(f, <parameters>)`.

        `call(f, *args, **kwargs)` with the plain function and the call's own arguments gives what
        the call gives, by the same jaxpr. A ranked default that the call left out is a parameter.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> print(auto_vmap(1, 1)(jnp.dot).plan(jnp.ones((5, 3)), jnp.ones(3)).code())
        import jax
        <BLANKLINE>
        <BLANKLINE>
        def call(f, a, b):
            return jax.vmap(f, in_axes=(0, None))(a, b)

        Raises:
            SpecError: what goes where depends on the result (`stretch_outputs=False`, some uses
                of `out_axes`); take `f.plan_with_outputs(...).code()`, which also treats results
                that hold what is no array.
        """
        return code(self._data, self._calling, self.outputs)

    def svg(self) -> str:
        """The plan as a picture, an SVG document that needs nothing else.

        Arguments are rows and batch axes are columns, right-aligned; a frame is a layer of vmap
        around all that it maps; a hatched dim is of size 1 and stretched.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> auto_vmap(x=1)(lambda x: x.sum()).plan(jnp.ones((5, 3))).svg().startswith("<svg ")
        True
        """
        return svg(self._data, self._calling, self.outputs)

    def html(self) -> str:
        """A web page of its own: the picture, with the table and the code to be unfolded.

        >>> import jax.numpy as jnp
        >>> from autovmap import auto_vmap
        >>> auto_vmap(1)(jnp.sum).plan(jnp.ones((5, 3))).html().startswith("<!doctype html>")
        True
        """
        return page(self._data, self._calling, self.outputs)

    def _repr_html_(self) -> str:
        return fragment(self._data, self._calling, self.outputs)

    def __treescope_repr__(self, path: Any, subtree_renderer: Any) -> Any:
        """The plan in a treescope notebook, to be unfolded: only treescope itself asks for it."""
        repr_lib: Any = importlib.import_module("treescope.repr_lib")
        names = ["function", "batch_shape", "args", "layers", "steps", "outputs"]
        shown = {name: getattr(self, name) for name in names}
        if self.outputs is None:
            del shown["outputs"]
        return repr_lib.render_object_constructor(
            object_type=type(self), attributes=shown, path=path, subtree_renderer=subtree_renderer
        )

    def __str__(self) -> str:
        return table(self._data, self._calling, self.outputs)

    def __repr__(self) -> str:
        return table(self._data, self._calling, self.outputs)
