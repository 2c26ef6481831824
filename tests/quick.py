"""What keeps the quick run quick: what it leaves out, how many processes, which tests are slow.

A test that takes over two seconds is marked `slow`, and `pytest` leaves it out (`addopts`). One
that runs for minutes is marked `long`, and runs when it is asked for alone. At its end a run says
what it left out and how to run that, and which tests should have been marked: a warning, no error,
as a time says something of the machine too.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import caches
import effort

LIMIT = 3.0
"""CPU seconds after which a test without the mark `slow` is reported. Marks are due from two
seconds on: between the two lies the difference of machines. A test is not judged by a run that
compiles while it runs: the next one finds its programs in the cache."""
MOST_WORKERS = 8
"""Each process imports JAX and collects all tests, so that more of them soon cost more."""
DEFAULT = "not slow"
"""What `addopts` asks for."""
RUN_WITH = {"slow": 'pytest -m ""', "long": "pytest -m long"}
TIME = "CPU seconds"
FOUND = pytest.StashKey["Found"]()
LIBRARIES = Path(__file__).parent / "libraries"


class Found:
    """What is to be said at the end of a run."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.slow: list[tuple[float, str]] = []


def cpu() -> float:
    """CPU seconds of this process and of those that it waited for; unlike the clock, they do not
    grow much with what else the machine does."""
    return sum(os.times()[:4])


# Which tests run


def names_a_test(config: pytest.Config) -> bool:
    """Whether the command names its tests: these run, whatever they are marked."""
    return bool(config.args) and all("::" in argument for argument in config.args)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no third-party libraries, which takes seconds, where their tests are left out."""
    left_out = "not libraries" in config.option.markexpr
    return True if left_out and collection_path == LIBRARIES else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out long tests that were not asked for, and cases where a few are enough."""
    if names_a_test(config):
        return
    if not effort.asked_for("long", config.option.markexpr):
        leave_out(config, items, lambda item: item.get_closest_marker("long") is not None)
    if effort.FEW:
        cases: defaultdict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            cases[item.nodeid.partition("[")[0]].append(item)
        kept = {each[i] for each in cases.values() for i in effort.few(len(each))}
        leave_out(config, items, lambda item: item not in kept and not tries_each(item))


def tries_each(item: pytest.Item) -> bool:
    return item.get_closest_marker("each") is not None


def leave_out(
    config: pytest.Config, items: list[pytest.Item], which: Callable[[pytest.Item], bool]
) -> None:
    """Take the tests from a run, and tell pytest."""
    left_out = {item for item in items if which(item)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes for `-n auto`: none for a few files, where starting them takes longer."""
    files = {argument.partition("::")[0] for argument in config.args}
    few = len(files) <= 2 and all(file.endswith(".py") for file in files)
    if few or config.option.capture == "no":
        return 0
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return int(os.environ["PYTEST_XDIST_AUTO_NUM_WORKERS"])
    affine = getattr(os, "sched_getaffinity", None)
    cores = len(affine(0)) if affine else os.cpu_count() or 1
    return min(cores, MOST_WORKERS) if cores > 1 else 0


# What was left out


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in ("long", "slow"):
            if item.get_closest_marker(mark):
                item.config.stash[FOUND].left_out[mark] += 1
                break


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash[FOUND].left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """All workers collect alike: one of them tells what was left out."""
    told = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[FOUND].left_out |= Counter(told)


# How long tests take


class Clock:
    """The CPU time of each test that found all of its programs compiled."""

    def __init__(self) -> None:
        self.start = 0.0
        self.kept = 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        self.start, self.kept = cpu(), caches.last_kept()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        if call.when == "teardown" and self.kept == caches.last_kept():
            item.user_properties.append((TIME, round(cpu() - self.start, 2)))
        return (yield)


class Judge:
    """Notes tests that take longer than their mark says."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" and not {"slow", "long"} & set(report.keywords):
            taken = dict(report.user_properties).get(TIME, 0.0)
            if isinstance(taken, float) and taken > LIMIT:
                self.found.slow.append((taken, report.nodeid))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FOUND] = Found()
    if names_a_test(config) and config.option.markexpr == DEFAULT:
        config.option.markexpr = ""
    if config.option.collectonly:
        return
    if hasattr(config, "workerinput") or not config.option.tx:
        config.pluginmanager.register(Clock())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Judge(config.stash[FOUND]))


def said(found: Found) -> list[str]:
    """What the end of a run says."""
    lines = [
        f"{count} {mark} test{'s' * (count > 1)} left out: {RUN_WITH[mark]}"
        for mark, count in sorted(found.left_out.items(), reverse=True)
    ]
    if effort.FEW:
        lines.append("of each test's cases a few: all of them without AUTOVMAP_FEW")
    if found.slow:
        lines.append(
            f"warning: over {LIMIT:g} CPU seconds without the mark slow "
            "(@pytest.mark.slow leaves a test to CI; better, make it quicker):"
        )
        lines += [f"  {taken:5.1f} s  {name}" for taken, name in sorted(found.slow, reverse=True)]
    return lines


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = said(config.stash[FOUND])
    if lines:
        terminalreporter.section("quick or whole", sep="=")
    for line in lines:
        terminalreporter.write_line(line, yellow=line.startswith("warning"))
