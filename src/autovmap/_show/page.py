"""A plan as HTML: a fragment for notebooks, and a whole page."""

from collections.abc import Sequence
from contextlib import suppress
from html import escape

from autovmap._plan.plan import PlanData
from autovmap._show.calling import UNKNOWN, Calling, Output
from autovmap._show.code import code
from autovmap._show.svg import svg
from autovmap._show.table import table
from autovmap.errors import SpecError


def fragment(
    plan: PlanData, calling: Calling = UNKNOWN, outputs: Sequence[Output] | None = None
) -> str:
    """The picture, with the table and the code to be unfolded."""
    parts = [("table", table(plan, calling, outputs))]
    with suppress(SpecError):  # what goes where may depend on the result, which is not known
        parts.append(("code", code(plan, calling, outputs)))
    folded = "".join(
        f"<details><summary>{name}</summary>"
        f'<pre style="overflow-x:auto;line-height:1.35">{escape(text)}</pre></details>'
        for name, text in parts
    )
    picture = svg(plan, calling, outputs)
    return (
        f'<div class="autovmap-plan" style="max-width:100%">'
        f'<div style="overflow-x:auto">{picture}</div>{folded}</div>'
    )


def page(
    plan: PlanData, calling: Calling = UNKNOWN, outputs: Sequence[Output] | None = None
) -> str:
    """A page of its own, light or dark as the reader has it."""
    title = escape(f"{plan.function}: a plan")
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        "<style>body{margin:2rem;font-family:system-ui,sans-serif}</style></head>\n"
        f"<body>{fragment(plan, calling, outputs)}</body></html>\n"
    )
