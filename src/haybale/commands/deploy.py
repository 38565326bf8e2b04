"""Environments: what they run, what Flux needs of them, and which images nobody needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.commands import current_project, plan_option
from haybale.deploy import flux, prune, tags
from haybale.index.key import compute_key
from haybale.terminal import Terminal

if TYPE_CHECKING:
    from haybale.config import Project


@click.command()
@click.argument("environment")
@click.argument("version", default="")
@plan_option
def deploy_command(environment: str, version: str, *, only_plan: bool) -> None:
    project = current_project()
    _carry_out(project, tags.deploy(project, environment, version), only_plan=only_plan)


@click.command()
@click.argument("environment")
@plan_option
def rollback_command(environment: str, *, only_plan: bool) -> None:
    project = current_project()
    _carry_out(project, tags.rollback(project, environment), only_plan=only_plan)


def _carry_out(project: Project, move: tags.Move, *, only_plan: bool) -> None:
    terminal = Terminal()
    if not move.moves:
        terminal.done(f"{move.environment} has {move.version} already; nothing moved")
        return
    for line in tags.shown(move):
        terminal.say(line)
    if only_plan:
        terminal.done(f"{move.environment} would get {move.version} (now: {move.before or 'nothing'})")
        return
    tags.carry_out(project, move)
    terminal.done(f"{move.environment} has {move.version} now (before: {move.before or 'nothing'})")


@click.command()
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path),
    help="Another folder than the one in the settings.",
)  # fmt: skip
def flux_command(into: Path | None) -> None:
    project, terminal = current_project(), Terminal()
    written = flux.write(project, into or project.path(project.settings.flux.folder), terminal.say)
    terminal.done(f"{len(written)} files are new" if written else "everything is up to date")


@click.command()
@click.option("--yes", "remove", is_flag=True, help="Remove them; otherwise they are only listed.")
def prune_command(*, remove: bool) -> None:
    project, terminal = current_project(), Terminal()
    key = compute_key(project)
    unused = prune.look(project, key)
    for place, names in (("registry", unused.registry), ("engine", unused.engine)):
        for tag, digest in sorted(names.items()):
            terminal.say(f"{place}: {project.settings.registry}:{tag} ({digest[:19]})")
    count = len(unused.registry) + len(unused.engine)
    if not remove:
        terminal.done(f"{count} can be removed: --yes" if count else "everything is in use")
        return
    removed = prune.remove(project, key, unused)
    terminal.done(f"{len(removed.registry) + len(removed.engine)} removed")
