"""One place for each version: what is declared, what is tested with and what the docs say agree."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
LOCKS = {"locked-libraries.txt": {"libraries"}, "locked.txt": set(GROUPS) - {"libraries"}}


def pins() -> dict[str, Version]:
    """The versions of .ci/lowest.txt."""
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    named = [line.split("==") for line in lines if "==" in line]
    return {name: Version(version) for name, version in named}


def bounds(requirements: list[str]) -> dict[str, Version]:
    """The lower bound of each requirement, which has no other."""
    found = {}
    for text in requirements:
        requirement = Requirement(text)
        (only,) = requirement.specifier
        assert only.operator == ">=", text
        found[requirement.name] = Version(only.version)
    return found


def declared() -> dict[str, Version]:
    """The lower bounds of what a user installs."""
    return bounds(PROJECT["dependencies"] + EXTRAS["progress"] + EXTRAS["demo"])


def test_the_lowest_versions_are_those_declared() -> None:
    pinned = pins()
    del pinned["numpy"]  # JAX declares it: below
    assert pinned == declared()


def locked(name: str) -> dict[str, list[Version]]:
    """The versions of a lock: one, or one for each of some Pythons."""
    found: dict[str, list[Version]] = {}
    pinned = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / ".ci" / name).read_text(), re.MULTILINE)
    for package, version in pinned:
        found.setdefault(canonicalize_name(package), []).append(Version(version))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_all_that_is_declared_is_locked(name: str) -> None:
    texts = [t for group in LOCKS[name] for t in GROUPS[group] if isinstance(t, str)]
    texts += PROJECT["dependencies"]
    if "dev" in LOCKS[name]:
        texts += [text for extra in EXTRAS.values() for text in extra]
    versions = locked(name)
    for requirement in map(Requirement, texts):
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement} is not in .ci/{name}: nox -s lock"
        assert all(v in requirement.specifier for v in found), (requirement, found)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / ".ci" / name).read_text()
    assert "://" not in text
    pins = re.findall(r"^\S+==.*(?:\n +--hash=sha256:[0-9a-f]{64}( \\)?)+$", text, re.MULTILINE)
    assert len(pins) == sum(len(found) for found in locked(name).values())


def test_numpy_is_the_lowest_that_the_lowest_jax_takes() -> None:
    lowest = pins()
    if Version(metadata.version("jax")) != lowest["jax"]:
        pytest.skip("another JAX is installed than the lowest")
    (numpy,) = (r for r in metadata.requires("jax") or () if Requirement(r).name == "numpy")
    assert bounds([numpy]) == {"numpy": lowest["numpy"]}


def rows(page: str) -> dict[str, list[str]]:
    """The rows of a page's table, by the first word of their first cell."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.partition(" ")[0].strip("`"): rest for first, *rest in cells}


def test_the_page_says_the_same() -> None:
    page = rows((ROOT / "docs" / "versions.md").read_text())
    python = PROJECT["requires-python"].removeprefix(">=")
    assert page["Python"][0] == python
    told = {name: Version(page[name][0]) for name in declared()}
    assert told == declared()
    assert Version(page["numpy"][0]) == pins()["numpy"]


def test_the_classifiers_name_the_pythons_of_the_page() -> None:
    page = rows((ROOT / "docs" / "versions.md").read_text())
    named = [re.fullmatch(r".*Python :: (3\.\d+)", line) for line in PROJECT["classifiers"]]
    versions = [found[1] for found in named if found]
    assert versions[0] == page["Python"][0]
    assert set(re.findall(r"3\.\d+", page["Python"][1])) <= set(versions)
