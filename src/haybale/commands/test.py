"""The environments that index and test, and every test on the site with the baked index."""

from __future__ import annotations

import sys

import click

from haybale.commands import VERBATIM, current_checkout, keep_option
from haybale.index.stack import run_solr_compose
from haybale.terminal import Terminal
from haybale.testing.run import run_tests
from haybale.testing.stack import run_ci_compose


@click.command()
@keep_option
def test_command(*, keep: bool) -> None:
    run_tests(current_checkout(), Terminal(), keep=keep)


@click.command(context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def solr_dc_command(arguments: tuple[str, ...]) -> None:
    sys.exit(run_solr_compose(current_checkout(), arguments, Terminal().say))


@click.command(context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ci_dc_command(arguments: tuple[str, ...]) -> None:
    sys.exit(run_ci_compose(current_checkout(), arguments, Terminal().say))
