"""What runs in each environment."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from haybale.commands import current_project, json_option
from haybale.deploy.rendering import drift_lines, status_page, status_table
from haybale.deploy.status import read_status
from haybale.files import write_atomically
from haybale.terminal import print_json, stdout_console


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
    stdout_console().print(status_table(environments), *lines, sep="\n")
