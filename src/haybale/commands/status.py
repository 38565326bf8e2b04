"""What runs in each environment."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from haybale.commands import current_project, json_option
from haybale.deploy.status import read_status
from haybale.files import write_atomically
from haybale.terminal import FittingTable, print_json, stdout_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haybale.deploy.status import EnvironmentStatus

# Columns of the page, and digits of a key that are shown.
PAGE_WIDTH = 140
SHORT = 12


@click.command()
@json_option
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page, too.")
def status_command(*, as_json: bool, page: Path | None) -> None:
    environments = read_status(current_project())
    if page:
        write_atomically(page, status_page(environments))
    if as_json:
        print_json({"environments": [each.to_dict() for each in environments]})
        return
    lines = [Text(f"! {line}") for line in drift_lines(environments)]
    stdout_console().print(FittingTable(status_table(environments)), *lines, sep="\n")


def status_table(environments: Sequence[EnvironmentStatus]) -> Table:
    """Return the environments, a row each."""
    table = Table(title="environments", title_justify="left")
    for heading in ("environment", "version", "since", "by", "before", "behind main", "index key"):
        table.add_column(heading, justify="right" if heading == "behind main" else "left")
    for each in environments:
        behind = "" if each.behind is None else str(each.behind)
        cells = (
            each.environment, each.label, each.since, each.by, each.last, behind,
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
