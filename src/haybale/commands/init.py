"""Adopting haybale in a repository: what it is, what is proposed, and writing that."""

from __future__ import annotations

import shutil
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.adoption.description import describe_survey
from haybale.adoption.generated_files import FORGES
from haybale.adoption.plan import find_forge, plan_files, plan_upgrade
from haybale.adoption.proposal import Origin
from haybale.adoption.rendering import file_lines, found_lines, note_lines
from haybale.adoption.survey import survey_repository
from haybale.commands import current_project, json_option
from haybale.config import FILE
from haybale.errors import ConfigError, UsageError
from haybale.files import write_atomically
from haybale.invocation import find_invocation
from haybale.terminal import print_json
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haybale.adoption.plan import Plan
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
@json_option
def init_command(
    *, dry_run: bool, yes: bool, shows_all: bool, ci: str | None, assignments: tuple[str, ...], as_json: bool
) -> None:
    root = git.find_root(Path.cwd()) or Path.cwd()
    survey = survey_repository(root, lambda file: bool(git.unignored(root, [file])))
    origin = Origin(url=git.remote_url(root), branch=git.default_branch(root))
    answers = dict(map(_parse_assignment, assignments))

    def plan_here() -> Plan:
        try:
            return plan_files(survey, origin, version("haybale"), ci or find_forge(survey, origin), answers)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{root / FILE}: {error}", cause="it is not valid TOML") from error

    plan = plan_here()
    width = shutil.get_terminal_size().columns
    if as_json:
        print_json(plan.to_dict(describe_survey(survey)))
    elif plan.files:
        click.echo("\n".join([f"Found in {root}:", *found_lines(describe_survey(survey), width)]))
    is_asked = not yes and not dry_run and not as_json and sys.stdin.isatty()
    if is_asked and plan.questions:
        answers |= ask_for_values(plan.questions)
        plan = plan_here()
    if not as_json and plan.files:
        lines = shown_files(root, plan.files, width, shows_all=shows_all)
        click.echo("\n".join([*lines, *shown_notes(root, plan, width), ""]))
    if not plan.files:
        click.echo(f"There is nothing to do: {root} has all that this writes.", err=as_json)
    elif dry_run:
        click.echo("Nothing was written (--dry-run).", err=as_json)
    else:
        write_if_wanted(root, plan, is_wanted=yes, is_asked=is_asked, is_quiet=as_json)


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
    root: Path, plan: Plan, *, is_wanted: bool, is_asked: bool, is_quiet: bool = False
) -> None:
    """Write the files where somebody said so, in the command line or when asked."""
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


def shown_files(root: Path, files: Mapping[str, str], width: int, *, shows_all: bool) -> Iterator[str]:
    """Yield what would be written over what is there now."""
    before = {name: (root / name).read_text(encoding="utf-8") for name in files if (root / name).is_file()}
    return file_lines(files, before, width, shows_all=shows_all)


def shown_notes(root: Path, plan: Plan, width: int) -> Iterator[str]:
    """Yield what is left to a person, with commands as the repository has them."""
    return note_lines([find_invocation(root).render(each) for each in plan.notes], width)


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
    changed = {**plan.files, **plan.left}
    if as_json:
        print_json(plan.to_dict(()))
    elif changed:
        lines = shown_files(project.root, changed, width, shows_all=shows_all)
        click.echo("\n".join([*lines, *shown_notes(project.root, plan, width), ""]))
    if not plan.files:
        what = "nothing else" if plan.left else "nothing"
        click.echo(f"There is {what} to do: this is haybale {version('haybale')}.", err=as_json)
    elif dry_run:
        click.echo("Nothing was written (--dry-run).", err=as_json)
    else:
        is_asked = not yes and not as_json and sys.stdin.isatty()
        write_if_wanted(project.root, plan, is_wanted=yes, is_asked=is_asked, is_quiet=as_json)
