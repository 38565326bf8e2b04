"""docker compose on the two environments, with its own arguments."""

from __future__ import annotations

import sys

import click

from haybale.commands import VERBATIM, current_project
from haybale.index import stack
from haybale.terminal import Terminal


@click.command(context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def solr_dc_command(arguments: tuple[str, ...]) -> None:
    sys.exit(stack.solr_dc(current_project(), arguments, Terminal().say))


@click.command(context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ci_dc_command(arguments: tuple[str, ...]) -> None:
    sys.exit(stack.ci_dc(current_project(), arguments, Terminal().say))
