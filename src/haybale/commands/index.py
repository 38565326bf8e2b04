"""The index image: making, explaining and inspecting it."""

from __future__ import annotations

import click
from rich.text import Text

from haybale.commands import current_checkout, current_project, json_option, keep_option, working_project
from haybale.index.build import regenerate
from haybale.index.contents import find_index_image, read_contents
from haybale.index.key import compute_key
from haybale.index.key_diff import explain
from haybale.index.rendering import contents_lines, contents_table, explanation_lines
from haybale.terminal import FittingTable, Terminal, print_json, stdout_console
from haybale.tools.engine import sdk


@click.command()
@keep_option
def regen_solr_image_command(*, keep: bool) -> None:
    checkout, terminal = current_checkout(), Terminal()
    image = regenerate(checkout, compute_key(checkout.project), terminal, keep=keep)
    name = checkout.stage_image("solr")
    sdk.tag_image(image.id, name)
    terminal.done(f"it is {name} now")


@click.command()
@click.argument("other", metavar="[KEY OR IMAGE]", default="")
@json_option
def why_command(other: str, *, as_json: bool) -> None:
    explanation = explain(working_project(), other or None)
    if as_json:
        print_json(explanation.to_dict())
    else:
        click.echo("\n".join(explanation_lines(explanation)))


@click.command()
@click.argument("name", metavar="[KEY OR IMAGE]", default="")
@json_option
def inspect_command(name: str, *, as_json: bool) -> None:
    project = current_project()
    contents = read_contents(*find_index_image(project, name or compute_key(project).value))
    if as_json:
        print_json(contents.to_dict())
        return
    table = FittingTable(contents_table(contents))
    stdout_console().print(*map(Text, contents_lines(contents)), table, sep="\n")
