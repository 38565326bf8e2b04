"""Verbs that print just one thing, so that `$(just tag)-solr` works in a shell.

They are to be quick: nothing here imports the engine's SDK or rich.
"""

from __future__ import annotations

import os

import click

from haybale import image_ref, version
from haybale.commands import current_project
from haybale.images import dockerfile


@click.command()
def version_command() -> None:
    click.echo(version.read(current_project().root, os.environ))


@click.command()
def registry_command() -> None:
    click.echo(current_project().settings.registry)


@click.command()
def tag_command() -> None:
    project = current_project()
    click.echo(image_ref.tag(project.settings.registry, str(version.read(project.root, os.environ))))


@click.command()
def layers_command() -> None:
    project = current_project()
    click.echo("\n".join(dockerfile.of(project.path(project.settings.dockerfile))))
