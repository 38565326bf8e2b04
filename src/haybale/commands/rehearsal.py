"""A deployment on a scratch remote; needs the extra `rehearse`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from haybale.commands import current_project, json_option
from haybale.rehearsal.run import rehearse_deployment
from haybale.terminal import FittingTable, Terminal, print_json, stdout_console

if TYPE_CHECKING:
    from haybale.rehearsal.run import Rehearsal


@click.command()
@click.argument("environment")
@json_option
def rehearse_deploy_command(environment: str, *, as_json: bool) -> None:
    terminal = Terminal()
    rehearsal = rehearse_deployment(current_project(), environment, terminal.say)
    if as_json:
        print_json(rehearsal.to_dict())
    else:
        table, lines = deliveries_table(rehearsal), check_lines(rehearsal)
        stdout_console().print(FittingTable(table), *map(Text, lines), sep="\n")
    rehearsal.raise_if_failed()
    terminal.done(f"a deployment to {environment} makes Flux fetch it, and nothing else")


def deliveries_table(rehearsal: Rehearsal) -> Table:
    """Return what was sent and what came of it, a section for each move."""
    table = Table(
        title=f"rehearsal of {rehearsal.environment}", title_justify="left", box=None, pad_edge=False
    )
    for heading in ("", "move", "event", "ref", "Receiver", ""):
        table.add_column(heading, no_wrap=True)
    table.add_column("it")
    move = ""
    for each in rehearsal.deliveries:
        table.add_row(
            _mark(each.passed), each.move if each.move != move else "", each.event or "none",
            (each.ref or "").removeprefix("refs/tags/"), each.receiver, str(each.status or ""), each.detail,
        )  # fmt: skip
        move = each.move
    return table


def check_lines(rehearsal: Rehearsal) -> list[str]:
    """Return what else was checked, a line each."""
    checks = [f"{_mark(each.passed)} {each.name}: {each.detail}" for each in rehearsal.checks]
    return checks + [f"! {note}" for note in rehearsal.notes]


def _mark(passed: bool) -> str:
    return "✓" if passed else "✗"
