"""Adopting haybale in a repository: what it is, what is proposed, and writing that."""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.adoption.description import describe_survey
from haybale.adoption.generated_files import FORGES
from haybale.adoption.plan import find_forge, plan_files, plan_upgrade
from haybale.adoption.proposal import Origin
from haybale.adoption.rendering import file_lines, fitted, found_lines, note_lines
from haybale.adoption.survey import survey_repository
from haybale.adoption.unsupported import check_database
from haybale.commands import current_project, json_option
from haybale.commands.doctor import diagnosis_lines
from haybale.config import FILE
from haybale.doctor.confirmation import confirm_settings
from haybale.doctor.finding import Diagnosis, Finding
from haybale.errors import ConfigError, PrerequisiteError, UsageError
from haybale.files import write_atomically
from haybale.invocation import find_invocation
from haybale.terminal import Terminal, print_json
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haybale.adoption.plan import Plan
    from haybale.adoption.survey import Survey
    from haybale.adoption.variables import Question


diff_option = click.option("--diff", "shows_all", is_flag=True, help="Print all of each new file.")


@click.command()
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@diff_option
@click.option(
    "--ci", type=click.Choice(FORGES), help="Whose CI to write a file for; else the one that is used."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A variable that the site needs."
)
@click.option(
    "--confirm/--no-confirm",
    "confirm",
    default=None,
    help="Build the release image and start Django in it, before anything is written.",
)
@json_option
def init_command(
    *, dry_run: bool, yes: bool, shows_all: bool, ci: str | None, assignments: tuple[str, ...],
    confirm: bool | None, as_json: bool,
) -> None:  # fmt: skip
    root = git.find_root(Path.cwd()) or Path.cwd()
    survey = survey_repository(root, lambda file: bool(git.unignored(root, [file])))
    # Where a remote has not said what it begins with, the branch that is checked out is the best guess.
    branch = git.default_branch(root) or git.current_branch(root)
    origin = Origin(url=git.remote_url(root), branch=branch)
    answers = dict(map(_parse_assignment, assignments))

    def plan_for(found: Survey) -> Plan:
        try:
            return plan_files(found, origin, version("haybale"), ci or find_forge(found, origin), answers)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{root / FILE}: {error}", cause="it is not valid TOML") from error

    plan = plan_for(survey)
    width = shutil.get_terminal_size().columns
    described = describe_survey(survey)
    if not as_json and plan.files:
        click.echo("\n".join([f"Found in {root}:", *found_lines(described, width)]))
    check_database(survey)
    is_asked = not yes and not dry_run and not as_json and sys.stdin.isatty()
    if is_asked and plan.questions:
        answers |= ask_for_values(plan.questions)
    diagnoses: tuple[Diagnosis, ...] = ()
    if FILE in plan.files and is_confirmation_wanted(confirm, is_asked=is_asked, is_quiet=as_json):
        survey, diagnoses = confirm_here(survey, lambda found: plan_for(found).files[FILE])
    plan = plan_for(survey)
    if as_json:
        print_json({**plan.to_dict(described), "confirmed": [each.to_dict() for each in diagnoses] or None})
    elif plan.files:
        lines = [line.plain for each in diagnoses for line in diagnosis_lines(each, find_invocation(root))]
        click.echo("\n".join([*fitted(lines, width), *shown_plan(root, plan, width, shows_all=shows_all)]))
    if not plan.files:
        click.echo(f"There is nothing to do. {root} has all that this writes.", err=as_json)
    else:
        write_if_wanted(root, plan, is_dry=dry_run, is_wanted=yes, is_asked=is_asked, is_quiet=as_json)


def is_confirmation_wanted(confirm: bool | None, *, is_asked: bool, is_quiet: bool) -> bool:
    """Whether Django is to be started: by the option, else by somebody who is asked, else not."""
    if confirm is not None:
        return confirm
    if is_asked:
        question = "Confirm that first by starting Django in the image of these settings (minutes)?"
        return click.confirm(f"\n{question}", default=True)
    click.echo("\nRead, and not confirmed by starting Django: --confirm does that (minutes).", err=is_quiet)
    return False


def confirm_here(survey: Survey, propose: Callable[[Survey], str]) -> tuple[Survey, tuple[Diagnosis, ...]]:
    """Return a repository as Django has it, and what was seen; as it was read where no engine answers."""
    try:
        confirmed = confirm_settings(survey, propose, os.environ, Terminal().say)
    except PrerequisiteError as error:
        finding = replace(Finding.from_error(error), level="warning")
        return survey, (Diagnosis(subject="Django", seen="not started", findings=(finding,)),)
    return confirmed.survey, confirmed.diagnoses


def _parse_assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageError(f"--set {text}: this is no variable", hint="write --set NAME=VALUE")
    return name, value


def ask_for_values(questions: tuple[Question, ...]) -> dict[str, str]:
    """Ask once for all values that nothing in the repository says."""
    click.echo("\nThe site does not start without these, and nothing here says what they are:")
    for each in questions:
        click.echo(f"  {each.variable}  ({each.place})")
    hint = "Values, as NAME=VALUE NAME=VALUE (Enter: they do not matter for tests)"
    text = click.prompt(hint, default="", show_default=False)
    return dict(_parse_assignment(each) for each in text.split())


def write_if_wanted(
    root: Path, plan: Plan, *, is_dry: bool, is_wanted: bool, is_asked: bool, is_quiet: bool
) -> None:
    """Write the files where somebody said so, in the command line or when asked."""
    if is_dry:
        click.echo("Nothing was written (--dry-run).", err=is_quiet)
        return
    if not is_wanted and not is_asked:
        click.echo("Nothing was written: there is nobody to ask here. --yes writes it.", err=is_quiet)
        return
    if not is_wanted and not click.confirm("Write this?"):
        return
    for name, text in plan.files.items():
        write_atomically(root / name, text)
    click.echo(
        f"Wrote {', '.join(plan.files)}. Next: {find_invocation(root).command('doctor')}", err=is_quiet
    )


def shown_plan(root: Path, plan: Plan, width: int, *, shows_all: bool) -> Iterator[str]:
    """Yield what would be written over what is there now, and what is left to a person."""
    files = {**plan.files, **plan.left}
    before = {name: (root / name).read_text(encoding="utf-8") for name in files if (root / name).is_file()}
    yield from file_lines(files, before, width, shows_all=shows_all)
    yield from note_lines([find_invocation(root).render(each) for each in plan.notes], width)
    yield ""


@click.command()
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@diff_option
@json_option
def upgrade_command(*, dry_run: bool, yes: bool, shows_all: bool, as_json: bool) -> None:
    project = current_project()
    settings = project.settings
    plan = plan_upgrade(project.root, version("haybale"), settings.main, publishes=not settings.local)
    width = shutil.get_terminal_size().columns
    if as_json:
        print_json(plan.to_dict(()))
    elif plan.files or plan.left:
        click.echo("\n".join(shown_plan(project.root, plan, width, shows_all=shows_all)))
    if not plan.files:
        what = "nothing else" if plan.left else "nothing"
        click.echo(f"There is {what} to do. This is haybale {version('haybale')}.", err=as_json)
    else:
        is_asked = not yes and not dry_run and not as_json and sys.stdin.isatty()
        write_if_wanted(
            project.root, plan, is_dry=dry_run, is_wanted=yes, is_asked=is_asked, is_quiet=as_json
        )
