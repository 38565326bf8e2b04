"""The index image: making it, and what it is made of."""

from __future__ import annotations

import click
from rich.text import Text

from haybale.commands import current_project, json_option, keep_option
from haybale.images.build import image_name
from haybale.index import inspect, key_diff
from haybale.index.build import regenerate
from haybale.index.key import compute_key
from haybale.terminal import Terminal, print_json, stdout_console
from haybale.tools.engine import sdk


@click.command()
@keep_option
def regen_solr_image_command(*, keep: bool) -> None:
    project, terminal = current_project(), Terminal()
    image = regenerate(project, compute_key(project), terminal, keep=keep)
    name = image_name(project, "solr")
    sdk.tag_image(image.id, name)
    terminal.done(f"it is {name} now")


@click.command()
@click.argument("other", metavar="[KEY OR IMAGE]", default="")
@json_option
def why_command(other: str, *, as_json: bool) -> None:
    click.echo(key_diff.tell(current_project(), other, as_json=as_json))


@click.command()
@click.argument("name", metavar="[KEY OR IMAGE]", default="")
@json_option
def inspect_command(name: str, *, as_json: bool) -> None:
    document = inspect.document(*inspect.find(current_project(), name))
    if as_json:
        print_json(document)
        return
    stdout_console().print(*map(Text, inspect.lines(document)), inspect.table(document), sep="\n")
