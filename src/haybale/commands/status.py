"""What runs in each environment."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from haybale.commands import current_project, json_option
from haybale.deploy import status
from haybale.files import write_atomically
from haybale.terminal import print_json, stdout_console


@click.command()
@json_option
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page, too.")
def status_command(*, as_json: bool, page: Path | None) -> None:
    places = status.status(current_project())
    if page:
        write_atomically(page, status.html(places))
    if as_json:
        print_json(status.as_json(places))
        return
    lines = [Text(f"! {line}") for line in status.drift(places)]
    stdout_console().print(status.table(places), *lines, sep="\n")
