"""The structure of the library in numbers: `python benchmarks/structure.py [ROOT]`.

ROOT is a checkout (this one by default), so that two of them can be compared. Counted are files,
lines, the floors of imports (the longest way from a package that imports nothing of the library
up to one that nothing imports), the longest file and function, the files that name a feature, and,
run in a process of its own, the Python frames and files of a first and a second call in each way
of running (its modules loaded), the binds and traces of both, and what a bare import takes.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FEATURES = ("chunk", "shard", "bucket", "reduce", "pattern", "progress", "static", "signature")

CALLS = """
import json, os, sys, time
import jax, jax.numpy as jnp, optree
root = sys.argv[1]
started = time.perf_counter()
import autovmap
imported = 1000 * (time.perf_counter() - started)
package = os.path.dirname(autovmap.__file__)
assert package.startswith(os.path.abspath(root)), package
x = jnp.ones((12, 3))
found = {}
ways = {
    "plain": lambda f: f,
    "jit": lambda f: f.jit(),
    "chunk(5)": lambda f: f.chunk(5),
    "bucket": lambda f: f.bucket(),
    "shard": lambda f: f.shard("d", mesh=jax.sharding.Mesh(jax.devices()[:1], ("d",))),
    "loop": lambda f: f.loop(),
}
binds = 0
def count(frame, event, arg):
    global binds
    if event != "call":
        return
    code = frame.f_code
    if code.co_filename.startswith(package):
        frames.append((code.co_filename, code.co_firstlineno))
        binds += code.co_name == "bind" and code.co_filename.endswith(("_bind.py", "binder.py"))
for name, way in ways.items():
    way(autovmap.auto_vmap(x=1)(lambda x: x.sum()))(x)  # so that its modules are loaded
    traces = 0
    def total(x):
        global traces
        traces += 1
        return x.sum()
    f = way(autovmap.auto_vmap(x=1)(total))
    rows = []
    for _ in range(2):
        frames, binds, traces = [], 0, 0
        sys.setprofile(count)
        f(x)
        sys.setprofile(None)
        changes = sum(a[0] != b[0] for a, b in zip(frames, frames[1:]))
        rows.append({
            "frames": len(frames), "functions": len(set(frames)),
            "files": len({file for file, _ in frames}), "changes of file": changes,
            "binds": binds, "traces": traces,
        })
    found[name] = rows
print(json.dumps({"import ms": imported, "calls": found}))
"""


def functions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The functions of a module, each with how many lines it has."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, node.name


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules of the library that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autovmap."):
            yield str(node.module).removeprefix("autovmap.")


def floors(edges: dict[str, set[str]]) -> dict[str, int]:
    """How many imports lead down from each room at most; a circle counts as one floor."""
    height: dict[str, int] = {}

    def of(room: str, seen: tuple[str, ...] = ()) -> int:
        if room in seen:
            return 0
        if room not in height:
            below = [of(other, (*seen, room)) + 1 for other in edges.get(room, ())]
            height[room] = max(below, default=1)
        return height[room]

    return {room: of(room) for room in edges}


def tree_facts(source: Path) -> dict[str, object]:
    """What can be counted without running anything."""
    files = sorted(source.rglob("*.py"))
    texts = {path: path.read_text() for path in files}
    parsed = {path: ast.parse(text) for path, text in texts.items()}
    edges: dict[str, set[str]] = {}
    for path, tree in parsed.items():
        room = path.relative_to(source).with_suffix("").parts[0]
        if room in ("__init__", "__main__"):
            continue
        others = {name.split(".")[0] for name in imports(tree)} - {room}
        edges.setdefault(room, set()).update(others)
    longest = max((len(text.splitlines()), path.name) for path, text in texts.items())
    inside = {path: list(functions(tree)) for path, tree in parsed.items()}
    return {
        "files": len(files),
        "lines": sum(len(text.splitlines()) for text in texts.values()),
        "comments": sum(
            line.lstrip().startswith("# ") for text in texts.values() for line in text.splitlines()
        ),
        "modules at the root": sum(path.parent == source for path in files),
        "rooms at the root": len(edges),
        "floors": max(floors(edges).values()),
        "longest file": longest,
        "files over 300 lines": sum(len(text.splitlines()) > 300 for text in texts.values()),
        "longest function": max(max(found, default=(0, "")) for found in inside.values()),
        "files that name a feature": {
            word: sum(word in text for text in texts.values()) for word in FEATURES
        },
    }


def call_facts(root: Path) -> dict[str, object]:
    """What is counted in calls, in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(root / "src"), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", CALLS, str(root)]
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    """Print the numbers of a checkout."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    for name, value in tree_facts(root / "src" / "autovmap").items():
        print(f"{name}: {value}")
    facts = call_facts(root)
    print(f"import autovmap after jax and optree: {facts['import ms']:.0f} ms")
    print("\ncall: frames, functions, files, changes of file, binds, traces (first; second)")
    for name, rows in dict(facts["calls"]).items():  # type: ignore[call-overload]
        print(f"{name}: " + "; ".join(", ".join(map(str, row.values())) for row in rows))


if __name__ == "__main__":
    main()
