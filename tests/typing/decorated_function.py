"""What a type checker makes of a decorated function: its name, its signature and its types stay.

`tests/function/test_typing.py` runs pyright over this folder. An ignored error that is no error
any more is an error itself, so each ignore is a check that a mistake is caught.
"""

from typing import assert_type

from jax import Array

from autovmap import AutoVmapped, Plan, auto_vmap


@auto_vmap(s=0, v=1)
def scaled(s: Array, v: Array) -> Array:
    return s * v


@auto_vmap(x=1)
def split(x: Array, *, at: int = 1) -> tuple[Array, dict[str, Array]]:
    return x[:at], {"rest": x[at:]}


def plain(x: Array, flag: bool) -> Array:
    return x if flag else -x


def calls(s: Array, v: Array) -> None:
    assert_type(scaled(s, v), Array)
    assert_type(scaled(s=s, v=v), Array)
    assert_type(scaled.plan(s, v), Plan)
    scaled(s)  # pyright: ignore[reportCallIssue]
    scaled(s, v, v)  # pyright: ignore[reportCallIssue]
    scaled(s, w=v)  # pyright: ignore[reportCallIssue]
    scaled(s, "v")  # pyright: ignore[reportArgumentType]
    scaled.plan(s)  # pyright: ignore[reportCallIssue]

    assert_type(split(v, at=2), tuple[Array, dict[str, Array]])
    split(v, 2)  # pyright: ignore[reportCallIssue]
    split(v, at="2")  # pyright: ignore[reportArgumentType]


def the_decorated_object(v: Array) -> None:
    decorated = auto_vmap(x=1)(plain)
    assert_type(decorated(v, True), Array)
    assert_type(decorated(x=v, flag=True), Array)
    assert_type(decorated.__wrapped__(v, True), Array)
    assert_type(decorated.__name__, str)
    assert_type(list(map(decorated, [v], [True])), list[Array])

    positional: AutoVmapped[[Array, bool], Array] = decorated
    wrong: AutoVmapped[[Array, str], Array] = decorated  # pyright: ignore[reportAssignmentType]
    del positional, wrong
