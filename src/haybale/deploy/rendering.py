"""Renders environments and deployments for people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haybale.deploy.status import EnvironmentStatus
    from haybale.deploy.tags import DeploymentPlan

# Columns of the page.
PAGE_WIDTH = 140

# Digits of a hash or a key that are shown.
SHORT = 12


def change_lines(plan: DeploymentPlan) -> list[str]:
    """Return the refs that change, a line each."""
    return [
        f"{ref.removeprefix('refs/tags/')}: {before[:SHORT] or 'nothing'} -> {after[:SHORT]}"
        for ref, (before, after) in plan.changes.items()
    ]


def status_table(environments: Sequence[EnvironmentStatus]) -> Table:
    """Return the environments, a row each."""
    table = Table(title="environments", title_justify="left")
    for heading in ("environment", "version", "since", "by", "before", "behind main", "index key"):
        table.add_column(heading, justify="right" if heading == "behind main" else "left")
    for each in environments:
        behind = "" if each.behind is None else str(each.behind)
        cells = (
            each.environment, each.version or "nothing", each.since, each.by, each.last, behind,
            each.key and each.key[:SHORT],
        )  # fmt: skip
        table.add_row(*(Text(cell or "", style="yellow" if each.drift else "") for cell in cells))
    return table


def drift_lines(environments: Sequence[EnvironmentStatus]) -> list[str]:
    """Return what does not hold, a line each."""
    return [f"{each.environment}: {drift}" for each in environments for drift in each.drift]


def status_page(environments: Sequence[EnvironmentStatus]) -> str:
    """Return table and lines as a page of HTML."""
    page = Console(record=True, file=io.StringIO(), width=PAGE_WIDTH)
    page.print(status_table(environments))
    for line in drift_lines(environments):
        page.print(f"! {line}", markup=False, highlight=False)
    return page.export_html()
