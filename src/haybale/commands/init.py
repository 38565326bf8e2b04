"""Adopting haybale in a repository: what it is, what is proposed, and writing that."""

from __future__ import annotations

import difflib
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.adoption.proposal import propose
from haybale.adoption.survey import survey_repository
from haybale.config import FILE
from haybale.errors import ConfigError
from haybale.files import write_atomically
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haybale.adoption.proposal import Proposal
    from haybale.adoption.survey import Survey


@click.command()
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@click.option("--yes", is_flag=True, help="Write without asking.")
def init_command(*, dry_run: bool, yes: bool) -> None:
    root = git.find_root(Path.cwd()) or Path.cwd()
    survey = survey_repository(root)
    try:
        proposal = propose(survey, git.remote_url(root), git.default_branch(root))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{root / FILE}: {error}", cause="it is not valid TOML") from error
    click.echo("\n".join([*survey_lines(survey), *proposal_lines(root, proposal)]))
    if not proposal.files:
        click.echo("There is nothing to write.")
        return
    if dry_run:
        return
    if not yes and not sys.stdin.isatty():
        click.echo("Nothing was written: there is nobody to ask here. --yes writes it.")
        return
    if not yes and not click.confirm("Write this?"):
        return
    for name, text in proposal.files.items():
        write_atomically(root / name, text)
    click.echo(f"Wrote {', '.join(proposal.files)}. Next: haybale doctor")


def survey_lines(survey: Survey) -> Iterator[str]:
    """Yield what was found, and where."""
    nothing = "not found"
    yield f"Found in {survey.root}:"
    yield f"  site           {survey.site.value + ' (' + survey.site.place + ')' if survey.site else nothing}"
    module = survey.settings_module
    yield f"  settings       {module.value + ' (' + module.place + ')' if module else nothing}"
    for each in survey.connections:
        core = f"core {each.core}" if each.core else "a core that is not written down"
        yield f"  connection     {each.alias}: {core} ({survey.settings_file}:{each.line})"
    required = [each.name for each in survey.variables if each.is_required]
    if required:
        yield f"  variables      {', '.join(required)} (needed by {survey.settings_file})"
    yield f"  indexes        {len(survey.search_indexes)} search_indexes.py"
    yield f"  Solr           {', '.join(survey.solr_configurations) or nothing}"
    yield f"  dump           {', '.join(f'{each.value} ({each.place})' for each in survey.dumps) or nothing}"
    for file, stages in survey.dockerfiles:
        yield f"  Dockerfile     {file}: stages {', '.join(stages) or 'without names'}"
    if survey.compose_files:
        yield f"  compose        {', '.join(survey.compose_files)}"
    for found in survey.requirements:
        yield f"  requirements   {found.value} ({found.place})"
    if survey.python:
        yield f"  Python         {survey.python.value} ({survey.python.place})"


def proposal_lines(root: Path, proposal: Proposal) -> Iterator[str]:
    """Yield what would change, as differences, and what is left to a person."""
    for name, text in proposal.files.items():
        before = (root / name).read_text(encoding="utf-8") if (root / name).is_file() else ""
        yield ""
        lines = before.splitlines(), text.splitlines()
        yield from difflib.unified_diff(*lines, name if before else "/dev/null", name, n=1, lineterm="")
    if proposal.questions:
        yield ""
        yield "For you to look at:"
        yield from (f"  {each}" for each in proposal.questions)
    yield ""
