"""What images need: the engine, the site's requirements, the Dockerfile's stages."""

from __future__ import annotations

import os

import click

from haybale.commands import POSITIONAL, current_checkout, current_project
from haybale.images.build import build_stage
from haybale.requirements.regeneration import check, regenerate
from haybale.terminal import Terminal
from haybale.tools.engine import install


@click.command()
def engine_command() -> None:
    install.ensure_engine(Terminal().say)


@click.command(context_settings=POSITIONAL)
@click.argument("stage", default="release")
@click.argument("action", metavar="[--load|--push]", default="--load")
@click.argument("verbosity", default="1")
@click.argument("extra", metavar="[BUILDX ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def build_command(stage: str, action: str, verbosity: str, extra: tuple[str, ...]) -> None:
    _build(stage, action, verbosity, extra)


@click.command(context_settings=POSITIONAL)
@click.argument("stage", default="release")
@click.argument("extra", metavar="[BUILDX ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def push_command(stage: str, extra: tuple[str, ...]) -> None:
    _build(stage, "--push", "1", extra)


def _build(stage: str, action: str, verbosity: str, extra: tuple[str, ...]) -> None:
    terminal = Terminal()
    image = build_stage(current_checkout(), stage, action, quiet=not verbosity, extra=extra, say=terminal.say)
    terminal.done(str(image))


@click.command()
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; fail where a file is stale, and say why."
)
@click.option("--upgrade", is_flag=True, help="Move every pin to the newest version that fits.")
@click.option("--upgrade-package", "-P", metavar="NAME", multiple=True, help="Move this pin.")
def regen_requirements_command(*, only_check: bool, upgrade: bool, upgrade_package: tuple[str, ...]) -> None:
    project, terminal = current_project(), Terminal()
    if not only_check:
        regenerate(
            project, upgrade=upgrade, upgrade_packages=upgrade_package, env=os.environ, say=terminal.say
        )
    elif check(project, env=os.environ, say=terminal.say):
        terminal.done("the requirements are up to date")
