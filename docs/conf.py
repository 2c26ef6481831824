"""The site: `sphinx-build -W --keep-going -n -b html docs docs/_build/html`."""

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from autovmap._spec.options import DEFAULTS

project = "autovmap"
author = "The autovmap authors"
project_copyright = author
release = version = metadata.version("autovmap")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
nitpicky = True
# Docstrings are plain Python: a single backtick is code.
default_role = "code"
highlight_language = "python"

myst_heading_anchors = 4

add_module_names = False
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"inherited-members": False}
napoleon_use_rtype = False
# Names in docstrings' own words, and classes of Python and JAX: no inventory is fetched for them.
nitpick_ignore_regex = [("py:(class|exc|obj|data)", r"(?!autovmap).*")]

html_theme = "furo"
html_title = f"autovmap {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}


def show_defaults(app: Sphinx, *rest: Any) -> tuple[str | None, str | None] | None:
    """Show an option that was not given by its default: which one was given has to be known."""
    signature, returns = rest[-2:]
    if not signature or "=_UNSET" not in signature:
        return None
    named = re.sub(r"(\w+)=_UNSET", lambda m: f"{m[1]}={DEFAULTS[m[1]]!r}", signature)
    return named, returns


def trim_blocks(app: Sphinx, doctree: nodes.document) -> None:
    """Drop the blank line that ends each doctest."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.rawsource.rstrip()
        block.children = [nodes.Text(block.astext().rstrip())]


def show_pictures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let pictures scroll on a narrow screen, and those of plans follow the page's theme.

    A plan's picture has a light look and a dark one, by the page's theme if it stands in the page.
    """
    if app.builder.format != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        paragraph = image.parent
        if len(paragraph) > 1 or not isinstance(paragraph.parent, nodes.section):
            continue  # in a line of text, or a table
        frame = nodes.container(classes=["picture"])
        paragraph.replace_self(frame)
        file = Path(app.srcdir, image["uri"])
        text = file.read_text(encoding="utf-8") if file.suffix == ".svg" else ""
        if text.startswith('<svg xmlns="http://www.w3.org/2000/svg" class="autovmap"'):
            width = float(text.partition('width="')[2].partition('"')[0])
            smallest = f'<svg style="min-width:{0.7 * width:.0f}px"'
            frame += nodes.raw("", text.replace("<svg", smallest, 1), format="html")
        else:
            frame += image


OUTSIDE = {"changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
"""Pages whose text stands beside the folder of the docs."""


def take_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fill the pages that only point to a text outside, and let links to these lead to them."""
    if docname in OUTSIDE:
        text = Path(app.srcdir).parent.joinpath(OUTSIDE[docname]).read_text(encoding="utf-8")
        source[0] = text.replace("](docs/", "](")
    for page, file in OUTSIDE.items():
        for link in (f"](../{file}", f"]({file}"):
            source[0] = source[0].replace(link, f"]({page}.md")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", take_in)
    app.connect("autodoc-process-signature", show_defaults)
    app.connect("doctree-read", trim_blocks)
    app.connect("doctree-resolved", show_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
