"""Whether a tree may be released under a tag: `python .ci/release.py v1.2.3`."""

import re
import sys
import tomllib
from pathlib import Path

DATED = r"^## \[{}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"


def unready(tag: str, root: Path) -> list[str]:
    """What keeps the tree from being released under the tag."""
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    changes = (root / "CHANGELOG.md").read_text("utf-8")
    section = re.search(DATED.format(re.escape(version)), changes, re.MULTILINE | re.DOTALL)
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, but pyproject.toml says version {version}")
    if section is None:
        found.append(f"CHANGELOG.md has no section [{version}] with a date")
    elif not section[1].strip():
        found.append(f"the section [{version}] of CHANGELOG.md is empty")
    if "## [Unreleased]" not in changes:
        found.append("CHANGELOG.md has no section [Unreleased] for what comes next")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if problems := unready(sys.argv[1], Path(__file__).parents[1]):
        sys.exit("\n".join(problems))
