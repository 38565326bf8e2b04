"""A deployment on a scratch remote; needs the extra `rehearse`."""

from __future__ import annotations

import click
from rich.text import Text

from haybale.commands import current_project, json_option
from haybale.rehearsal.rendering import check_lines, deliveries_table
from haybale.rehearsal.run import rehearse_deployment
from haybale.terminal import Terminal, print_json, stdout_console


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
        stdout_console().print(table, *map(Text, lines), sep="\n")
    rehearsal.raise_if_failed()
    terminal.done(f"a deployment to {environment} makes Flux fetch it, and nothing else")
