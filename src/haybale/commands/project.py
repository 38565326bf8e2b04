"""Verbs that print just one thing, so that `$(just tag)-solr` works in a shell.

They must be quick: nothing here imports the engine's SDK or rich.
"""

from __future__ import annotations

import os

import click

from haybale.checkout import read_checkout, read_version
from haybale.commands import current_project
from haybale.images.stages import stage_names


@click.command()
def version_command() -> None:
    click.echo(read_version(current_project().root, os.environ))


@click.command()
def registry_command() -> None:
    click.echo(current_project().settings.registry)


@click.command()
def tag_command() -> None:
    click.echo(read_checkout(current_project(), os.environ).stage_image("release"))


@click.command()
def layers_command() -> None:
    click.echo("\n".join(stage_names(current_project())))
