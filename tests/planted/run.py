"""How many planted mistakes the tests catch: `python tests/planted/run.py [COUNT] [SEED]`.

One mistake is planted in each of COUNT modules (20) of a copy of src/. The quick tests are run on
the copy up to the first that fails; where none does, all tests but the long ones. The table is
printed as Markdown, a row as soon as it is known.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from plants import Plant, picked

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "autovmap"
FIRST = [
    "tests/laws/test_seed_cases.py",
    "tests/function/test_methods.py",
    "tests/laws/test_values.py",
]
"""Quick tests that catch much in seconds; they are run before all others."""
HANG = 1800


def sources() -> dict[str, str]:
    """The modules of the library; the demo is a script that uses it."""
    paths = [p for p in PACKAGE.rglob("*.py") if p.parent.name != "_demo"]
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in paths}


def failed(library: Path, *arguments: str) -> str | None:
    """The first test that fails on a copy of the library, or None."""
    env = {**os.environ, "PYTHONPATH": str(library)}
    env.pop("AUTOVMAP_HYPOTHESIS_PROFILE", None)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    try:
        run = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=HANG, check=False
        )
    except subprocess.TimeoutExpired:
        return "(the tests hang)"
    if run.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    return found[1] if found else "(pytest does not start)"


def caught(name: str, plant: Plant) -> tuple[str, str]:
    """By what a mistake is caught, "quick", "whole" or "nothing", and by which test."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder)
        shutil.copytree(PACKAGE, library / "autovmap")
        (library / "autovmap" / name).write_text(plant.source, "utf-8")
        first = [path for path in FIRST if (ROOT / path).exists()]
        for by, arguments in (("quick", ["-n0", *first]), ("quick", []), ("whole", ["-m="])):
            test = failed(library, *arguments)
            if test is not None:
                return by, test
    return "nothing", ""


def main(count: int = 20, seed: int = 0) -> None:
    print("| where | mistake | caught by | first test that fails |\n| --- | --- | --- | --- |")
    tally = dict.fromkeys(("quick", "whole", "nothing"), 0)
    for name, plant in picked(sources(), count, seed).items():
        by, test = caught(name, plant)
        tally[by] += 1
        place = f"`{name}:{plant.line}`, `{plant.function}`"
        change = f"`{plant.before}` → `{plant.after}`".replace("|", "\\|")
        print(f"| {place} | {change} | {by} | {f'`{test}`' if test else ''} |", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"\nOf {count}, the quick run catches {tally['quick']}, "
        f"the whole run {tally['quick'] + tally['whole']}."
    )
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU seconds; seed {seed}.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
