"""How many planted mistakes the tests catch: `python tests/planted/run.py [COUNT] [SEED]`.

One mistake is planted in each of COUNT modules (20) of a copy of src/. Of the quick tests those are
run that execute its lines, as a run with pytest-cov tells (`.coverage`, made with
`--cov-context=test`): no other can notice it. Where none fails, they try as many cases as in CI,
and the slow tests are run too. The table is printed as Markdown, a row as soon as it is known.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from coverage import CoverageData
from plants import Plant, picked, planted

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "autovmap"
HANG = 1800


def sources() -> dict[str, str]:
    """The modules of the library; the demo is a script that uses it."""
    paths = [p for p in PACKAGE.rglob("*.py") if p.parent.name != "_demo"]
    return {str(path.relative_to(PACKAGE)): path.read_text("utf-8") for path in paths}


def executing(name: str, plant: Plant) -> list[str]:
    """The tests that execute the lines of a plant, but for those that fail without it too."""
    data = CoverageData(str(ROOT / ".coverage"))
    data.read()
    by_line = data.contexts_by_lineno(str(PACKAGE / name))
    contexts = {c for line in range(plant.line, plant.end + 1) for c in by_line.get(line, [])}
    failing = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    out = set(json.loads(failing.read_text("utf-8"))) if failing.exists() else set()
    return sorted({context.rpartition("|")[0] for context in contexts if context} - out)


def failed(library: Path, profile: str, *arguments: str) -> str | None:
    """The first test that fails on a copy of the library, or None."""
    env = {
        **os.environ,
        "PYTHONPATH": str(library),
        "AUTOVMAP_HYPOTHESIS_PROFILE": profile,
        "AUTOVMAP_SEED": "0",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    try:
        run = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=HANG, check=False
        )
    except subprocess.TimeoutExpired:
        return "(the tests hang)"
    if run.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", run.stdout, re.MULTILINE)
    return found[1] if found else f"(pytest ends with {run.returncode})"


def caught(name: str, plant: Plant) -> tuple[str, str]:
    """By what a mistake is caught, "quick", "whole" or "nothing", and by which test."""
    tests = executing(name, plant)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder)
        shutil.copytree(PACKAGE, library / "autovmap")
        (library / "autovmap" / name).write_text(planted(sources()[name], plant), "utf-8")
        few, all_of_them = library / "few.txt", library / "all.txt"
        few.write_text("\n".join(tests[:: len(tests) // 60 + 1]))  # most are caught by these
        all_of_them.write_text("\n".join(tests))
        runs = [("whole", "ci", ["-m=slow and not long"])]
        if tests:
            in_all = [f"@{all_of_them}"]
            runs = [("quick", "quick", in_all), ("whole", "ci", in_all), *runs]
            runs = [("quick", "quick", ["-n0", f"@{few}"]), *runs]
        for by, profile, arguments in runs:
            test = failed(library, profile, *arguments)
            if test is not None:
                return by, test
    return "nothing", f"{len(tests)} quick tests execute it"


def main(count: int = 20, seed: int = 0) -> None:
    print("| where | mistake | caught by | first test that fails |\n| --- | --- | --- | --- |")
    tally = dict.fromkeys(("quick", "whole", "nothing"), 0)
    for name, plant in picked(sources(), count, seed).items():
        by, test = caught(name, plant)
        tally[by] += 1
        place = f"`{name}:{plant.line}`, `{plant.function}`"
        change = f"`{plant.before}` → `{plant.after}`".replace("|", "\\|")
        print(f"| {place} | {change} | {by} | `{test}` |", flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = tally["quick"] + tally["whole"]
    print(f"\nOf {count}, the quick run catches {tally['quick']}, the whole run {whole}.")
    print(f"{used.ru_utime + used.ru_stime:.0f} CPU seconds; seed {seed}.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
