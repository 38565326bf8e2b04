"""Deploying to environments, what Flux needs for that, and which images are unused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.commands import current_checkout, current_project, plan_option
from haybale.deploy.flux import write_manifests
from haybale.deploy.prune import find_unused, remove_unused
from haybale.deploy.tags import (
    checked_out_version,
    plan_deployment,
    plan_rollback,
    push_deployment,
    raise_if_undeclared,
)
from haybale.index.key import compute_key
from haybale.terminal import Terminal

if TYPE_CHECKING:
    from haybale.config import Project
    from haybale.deploy.tags import DeploymentPlan


@click.command()
@click.argument("environment")
@click.argument("version", default="")
@plan_option
def deploy_command(environment: str, version: str, *, only_plan: bool) -> None:
    project = current_project()
    raise_if_undeclared(project, environment)
    version = version or checked_out_version(project, os.environ)
    _push_unless_planned(project, plan_deployment(project, environment, version), only_plan=only_plan)


@click.command()
@click.argument("environment")
@plan_option
def rollback_command(environment: str, *, only_plan: bool) -> None:
    project = current_project()
    _push_unless_planned(project, plan_rollback(project, environment), only_plan=only_plan)


def _push_unless_planned(project: Project, plan: DeploymentPlan, *, only_plan: bool) -> None:
    terminal = Terminal()
    if not plan.changes:
        terminal.done(f"{plan.environment} has {plan.version} already; nothing moved")
        return
    for line in change_lines(plan):
        terminal.say(line)
    for note in plan.notes:
        terminal.advise(note)
    if only_plan:
        terminal.done(f"{plan.environment} would get {plan.version} (now: {plan.before or 'nothing'})")
        return
    push_deployment(project, plan)
    terminal.done(f"{plan.environment} has {plan.version} now (before: {plan.before or 'nothing'})")


def change_lines(plan: DeploymentPlan) -> list[str]:
    """Return the refs that change, a line each."""
    return [
        f"{ref.removeprefix('refs/tags/')}: {before[:12] or 'nothing'} -> {after[:12]}"
        for ref, (before, after) in plan.changes.items()
    ]


@click.command()
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), help="Instead of flux.folder.")
def flux_command(into: Path | None) -> None:
    project, terminal = current_project(), Terminal()
    written = write_manifests(project, into or project.path(project.settings.flux.folder), terminal.say)
    terminal.done(f"{len(written)} files are new" if written else "everything is up to date")


@click.command()
@click.option("--yes", "remove", is_flag=True, help="Remove them; otherwise they are only listed.")
def prune_command(*, remove: bool) -> None:
    checkout, terminal = current_checkout(), Terminal()
    key = compute_key(checkout.project)
    unused = find_unused(checkout, key)
    for place, names in (("registry", unused.registry), ("engine", unused.engine)):
        for tag, digest in sorted(names.items()):
            terminal.say(f"{place}: {checkout.repository.with_tag(tag)} ({digest[:19]})")
    if remove:
        terminal.done(f"{remove_unused(checkout, key, unused).count} removed")
    else:
        terminal.done(f"{unused.count} can be removed: --yes" if unused.count else "everything is in use")
