"""The site's requirements."""

from __future__ import annotations

import click

from haybale.commands import current_project
from haybale.requirements import compile as requirements
from haybale.terminal import Terminal


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; fail where a line is stale, and say why.")
@click.option("--upgrade", is_flag=True, help="Move every pin to the newest version that fits.")
@click.option("--upgrade-package", "-P", metavar="NAME", multiple=True, help="Move this pin.")
def regen_requirements_command(*, check: bool, upgrade: bool, upgrade_package: tuple[str, ...]) -> None:
    project, terminal = current_project(), Terminal()
    if check:
        requirements.check(project)
        terminal.done("the requirements are up to date")
    else:
        requirements.regenerate(project, upgrade=upgrade, upgrade_packages=upgrade_package, say=terminal.say)
