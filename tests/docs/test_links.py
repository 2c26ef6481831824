"""Every link between the pages, README and the files of the repository leads somewhere.

Sphinx checks those between pages as it sees them. Here they are checked as GitHub shows them, whose
anchors have other rules, and README's are checked too.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]
FENCE = re.compile(r"^(`{3,})[^`\n]*\n.*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


def anchor(heading: str) -> str:
    """What GitHub makes of a heading: small letters, blanks as dashes, no other punctuation."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip())
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page), re.MULTILINE)
    return {anchor(heading) for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for link in LINK.findall(CODE.sub("`x`", FENCE.sub("", text))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, mark = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (
            mark and mark not in anchors(target.read_text("utf-8") if name else text)
        ):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    assert broken(page, page.read_text("utf-8")) == []


def test_a_broken_link_is_seen() -> None:
    text = "# A `b.c` d\n[x](#a-bc-d) [x](#nowhere) [x](test_links.py) [x](absent.md) ![x](no.svg)"
    assert broken(Path(__file__), text) == ["#nowhere", "absent.md", "no.svg"]


def test_every_page_is_reached() -> None:
    """From the first page of the docs, over links and the tree."""
    first = ROOT / "docs" / "index.md"
    if not first.exists():
        pytest.skip("the docs are not here")
    reached, to_read = {first}, [first]
    while to_read:
        page = to_read.pop()
        text = page.read_text("utf-8")
        names = [link.partition("#")[0] for link in LINK.findall(FENCE.sub("", text))]
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
            names += [f"{line}.md" for line in tree.split() if not line.startswith(":")]
        for name in names:
            target = (page.parent / name).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                to_read.append(target)
    pages = {page for page in PAGES if "docs" in page.relative_to(ROOT).parts[:1]}
    assert pages <= reached
