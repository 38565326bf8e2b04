"""The environments that index and test, and every test on the site with the baked index."""

from __future__ import annotations

import sys

import click

from haybale.commands import VERBATIM, current_project, keep_option
from haybale.index import stack
from haybale.terminal import Terminal
from haybale.testing import run


@click.command()
@keep_option
def test_command(*, keep: bool) -> None:
    run.run(current_project(), Terminal(), keep=keep)


@click.command(context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def solr_dc_command(arguments: tuple[str, ...]) -> None:
    sys.exit(stack.solr_dc(current_project(), arguments, Terminal().say))


@click.command(context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ci_dc_command(arguments: tuple[str, ...]) -> None:
    sys.exit(stack.ci_dc(current_project(), arguments, Terminal().say))
