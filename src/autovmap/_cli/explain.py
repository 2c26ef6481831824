"""`python -m autovmap explain`: the plan for a spec and shapes, without arrays or a device."""

import argparse
import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

DESCRIPTION = """\
Show what a call would do with arrays of these shapes. Nothing runs, and no device is used.

SPEC is one of
  "(m,n),(n)->(m)"       a NumPy gufunc signature
  0,1,key                a base rank for each argument: an int, None, or key (a PRNG key)
  "{'s': 0, 'v': 1}"     base ranks by name
  "b q [k], [k] -> q b"  a pattern in named_vmap's brackets; sizes as a=2 among the SHAPEs
  package.module:name    a decorated function (or a method, module:Class.name)

SHAPE is one of
  5,3,4                  a shape; () for no dims; a letter is a symbolic size, as in b,3
  f32[5,3,4]             with a dtype: f32, bf16, i32, u8, c64, bool, key, float32, ...
  v=f32[5,3,4]           for the parameter of this name
"""
EXAMPLES = """\
examples:
  python -m autovmap explain "(m,n),(n)->(m)" 5,3,4 4
  python -m autovmap explain 0,1,2 "()" 7,1,3 7,5,3,3 --code
  python -m autovmap explain "(a b) [n] -> b a" 6,3 a=2
  python -m autovmap explain mymodel:log_likelihood y=f32[100] scale=f32[200,1]
  python -m autovmap explain 1,1 5,1,3 b,3 --svg plan.svg
"""
SHORT = {"f": "float", "i": "int", "u": "uint", "c": "complex", "bf": "bfloat"}


class MisuseError(Exception):
    """The command line asks for something that makes no sense."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `explain`."""
    parser.epilog = f"{EXAMPLES}\n{parser.epilog or ''}"
    parser.add_argument("spec", metavar="SPEC", help="what is declared: see above")
    parser.add_argument(
        "shapes", nargs="*", metavar="SHAPE", help="an argument each, in order or by name"
    )
    parser.add_argument(
        "--code", action="store_true", help="print the call as plain JAX, not the table"
    )
    parser.add_argument(
        "--outputs",
        action="store_true",
        help="show the result's shapes too: traces the function of module:name",
    )
    parser.add_argument(
        "--svg", type=out_file(".svg"), metavar="FILE.svg", help="write the plan as a picture"
    )
    parser.add_argument(
        "--html", type=out_file(".html"), metavar="FILE.html", help="write it as a page"
    )


def out_file(*suffixes: str) -> Callable[[str], Path]:
    """An option's type: a file of one of these kinds, in a folder that exists.

    >>> out_file(".png", ".svg")("nile.png").name
    'nile.png'
    """
    *others, last = suffixes
    known = f"{', '.join(others)} or {last}" if others else last

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{text!r} does not end in {known}")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text!r} is a folder")
        return path

    return parse


def run(options: argparse.Namespace) -> int:
    """Show a plan: 0 where there is one, 1 where the call would fail, 2 for a wrong command."""
    from autovmap.errors import AutoVmapError, SpecError

    try:
        plan = _plan(options.spec, options.shapes, options.outputs)
        text = plan.code() if options.code else str(plan)
        if options.svg is not None:
            options.svg.write_text(plan.svg(), encoding="utf-8")
        if options.html is not None:
            options.html.write_text(plan.html(), encoding="utf-8")
    except MisuseError as error:
        return _fail(str(error), 2)
    except AutoVmapError as error:
        return _fail(str(error), 2 if isinstance(error, SpecError) else 1)
    _print(text, sys.stdout)
    return 0


def _fail(message: str, code: int) -> int:
    _print(f"autovmap explain: {message}", sys.stderr)
    return code


def _print(text: str, file: Any) -> None:
    encoding = getattr(file, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=file)


def _plan(spec: str, shapes: Sequence[str], outputs: bool) -> Any:
    """The plan for a spec and shapes as they were typed."""
    axes = pattern_axes(spec)
    sizes = [x for x in shapes if axes and SIZE.fullmatch(x) and x.partition("=")[0] in axes]
    shapes = [text for text in shapes if text not in sizes]
    function = _function(spec, len(shapes), None if axes is None else _sizes(sizes))
    if outputs and ":" not in spec:
        raise MisuseError("--outputs needs a function: give SPEC as package.module:name")
    args, kwargs = _arguments(shapes)
    try:
        return (
            function.plan_with_outputs(*args, **kwargs)
            if outputs
            else function.plan(*args, **kwargs)
        )
    except TypeError as error:
        from autovmap.errors import AutoVmapError

        if isinstance(error, AutoVmapError):
            raise
        raise MisuseError(f"{error}; give a SHAPE for each argument") from error


SIZE = re.compile(r"\w+=\d+(,\d+)*")
PATTERN = re.compile(r"\[|\.\.\.|\w\s+\w|\)\s*\w|\w\s*\(")
"""What no gufunc signature has."""


def pattern_axes(spec: str) -> set[str] | None:
    """The names of a pattern's axes, or None for any other SPEC.

    What reads as a gufunc signature is one: `(n)->()` could be either.

    >>> sorted(pattern_axes("(a b) [n] -> b")), pattern_axes("(a,b)->()"), pattern_axes("0,1")
    (['a', 'b', 'n'], None, None)
    """
    from autovmap._named.notation import axes_of
    from autovmap._named.rules import read_pattern

    if "->" not in spec or ("(" in spec and not PATTERN.search(spec)):
        return None
    pattern = read_pattern(spec, "explain")
    axes = [axis for nodes in (*pattern.inputs, *pattern.outputs) for axis in axes_of(nodes)]
    return {axis.name for axis in axes if axis.name}


def _sizes(texts: Sequence[str]) -> dict[str, Any]:
    """Sizes of axes, as `a=2` or `a=2,3`."""
    split = [text.split("=") for text in texts]
    numbers = {name: [int(word) for word in words.split(",")] for name, words in split}
    return {name: tuple(size) if len(size) > 1 else size[0] for name, size in numbers.items()}


def _function(spec: str, count: int, sizes: dict[str, Any] | None) -> Any:
    """A decorated function: the one that is named, or one that has the spec and no body.

    `sizes` are those of a pattern's axes, None if the spec is no pattern.
    """
    from autovmap import auto_vmap, named_vmap

    if sizes is not None:
        from autovmap._named.rules import read_pattern

        names = [f"x{i}" for i in range(len(read_pattern(spec).inputs))]
        return named_vmap(spec, sizes=sizes)(_nothing(names))

    if re.fullmatch(r"[\w.]+:[\w.]+", spec):
        return _imported(spec)
    if "->" in spec:
        from autovmap._spec.gufunc import read_gufunc

        names = _letters(len(read_gufunc(spec).inputs))
        return auto_vmap(spec)(_nothing(names))
    ranks = _ranks(spec)
    names = list(ranks) if isinstance(ranks, dict) else _letters(len(ranks))
    if count != len(names):
        raise MisuseError(f"SPEC {spec} ranks {len(names)} arguments, but there are {count} SHAPEs")
    named = ranks if isinstance(ranks, dict) else dict(zip(names, ranks, strict=True))
    return auto_vmap(ranks=named)(_nothing(names))


def _letters(count: int) -> list[str]:
    return [chr(ord("a") + i) if i < 26 else f"x{i}" for i in range(count)]


def _nothing(names: Sequence[str]) -> Callable[..., Any]:
    """A function of these parameters, to be decorated and never called."""

    def f(*args: Any) -> Any:
        raise NotImplementedError("there is a SPEC, but no function")

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    for name in names:
        if not name.isidentifier():
            raise MisuseError(f"{name!r} is not a name for a parameter")
    cast("Any", f).__signature__ = inspect.Signature(
        [inspect.Parameter(name, kind) for name in names]
    )
    f.__qualname__ = "f"
    return f


def _ranks(spec: str) -> list[Any] | dict[str, Any]:
    if spec.lstrip().startswith("{"):
        try:
            found = ast.literal_eval(spec)
        except (ValueError, SyntaxError) as error:
            raise MisuseError(f"SPEC {spec} can't be read as a dict: {error}") from error
        if isinstance(found, dict) and all(isinstance(name, str) for name in found):
            return found
        raise MisuseError(f"SPEC {spec} is not a dict from names to ranks")
    ranks: list[Any] = []
    for word in (word.strip().strip("'\"") for word in spec.split(",")):
        if word not in ("key", "None") and not word.isdecimal():
            raise MisuseError(
                f"SPEC {spec!r} is not a signature (it has no ->) or a module:name, and {word!r} "
                f"in it is not a base rank: an int, None or key"
            )
        ranks.append({"key": "key", "None": None}.get(word) if not word.isdecimal() else int(word))
    return ranks


def _imported(spec: str) -> Any:
    module_name, _, path = spec.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise MisuseError(f"{spec}: {error}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise MisuseError(f"{spec}: {found!r} has no attribute {name!r}")
        found = getattr(found, name)
    if not hasattr(found, "plan_with_outputs"):
        raise MisuseError(
            f"{spec} is not decorated by auto_vmap; give its signature or ranks as SPEC instead"
        )
    return found


def _arguments(shapes: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """`jax.ShapeDtypeStruct`s, in order and by name; symbolic sizes of one name are one size."""
    import jax
    import jax.export

    scope = cast("Any", jax.export).SymbolicScope()
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in shapes:
        name, value = _argument(text, scope)
        if name is None and kwargs:
            raise MisuseError(f"SHAPE {text!r} has no name, but comes after one that has")
        if name is None:
            args.append(value)
        else:
            kwargs[name] = value
    return args, kwargs


SHAPE = re.compile(
    r"(?:(?P<name>\w+)=)?"
    r"(?:(?P<dtype>[a-zA-Z]\w*)?\[(?P<inner>[\w, ]*)\]|\((?P<round>[\w, ]*)\)|(?P<bare>[\w, ]+))"
)


def _argument(text: str, scope: Any) -> tuple[str | None, Any]:
    import jax
    import jax.export

    found = SHAPE.fullmatch(text.strip())
    if found is None:
        raise MisuseError(
            f"SHAPE {text!r} can't be read; write 5,3,4 or f32[5,3,4], () for no dims"
        )
    inner = next(part for part in found.group("inner", "round", "bare") if part is not None)
    words = [word.strip() for word in inner.split(",") if word.strip()]
    for word in words:
        if not word.isdecimal() and not word.isidentifier():
            raise MisuseError(f"SHAPE {text!r}: {word!r} is not a size")
    shape: Any = tuple(int(word) for word in words if word.isdecimal())
    if len(shape) < len(words):
        shape = cast("Any", jax.export).symbolic_shape(",".join(words), scope=scope)
    dtype = _dtype(found["dtype"] or "float32", text)
    return found["name"], jax.ShapeDtypeStruct(shape, dtype)


def _dtype(word: str, text: str) -> Any:
    import jax
    import jax.numpy as jnp

    if word == "key":
        return jax.eval_shape(jax.random.key, 0).dtype
    short = re.fullmatch(r"(bf|f|i|u|c)(\d+)", word)
    try:
        return jnp.dtype(SHORT[short[1]] + short[2] if short else word)
    except TypeError as error:
        raise MisuseError(f"SHAPE {text!r}: {word!r} is not a dtype") from error
