"""Every test, on the site with the baked index."""

from __future__ import annotations

import click

from haybale.commands import current_project, keep_option
from haybale.terminal import Terminal
from haybale.testing import run


@click.command()
@keep_option
def test_command(*, keep: bool) -> None:
    run.run(current_project(), Terminal(), keep=keep)
