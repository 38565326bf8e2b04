"""Versions: making one, checking one, and the notes of one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from haybale.commands import POSITIONAL, current_project, json_option
from haybale.release.bump import bump_version
from haybale.release.notes import MEANING, UNRELEASED, collect_notes
from haybale.release.verification import raise_if_invalid, verify_release
from haybale.terminal import FittingTable, Terminal, print_json, stdout_console

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from haybale.release.notes import IndexChange, ReleaseNotes
    from haybale.release.verification import Check

# Digits of a commit that are shown.
SHORT = 9


@click.command(context_settings=POSITIONAL)
@click.option("--offline", is_flag=True, help="Do not ask the remote.")
@click.argument("arguments", metavar="[PART] [BUMP2VERSION ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def bump_command(arguments: tuple[str, ...], *, offline: bool) -> None:
    made = bump_version(current_project().root, arguments, os.environ, offline=offline)
    click.echo(made.stdout, nl=False)
    click.echo(made.stderr, nl=False, err=True)
    if made.is_dry_run:
        Terminal().done(f"nothing was changed; this would make {made.version}")
    else:
        Terminal().done(f"made {made.version}; git push --atomic --follow-tags publishes it")


@click.command()
@click.argument("version")
@json_option
def verify_release_command(version: str, *, as_json: bool) -> None:
    checks = verify_release(current_project(), version)
    if as_json:
        print_json({"version": version, "checks": [vars(check) for check in checks]})
    else:
        stdout_console().print(FittingTable(checks_table(version, checks)))
    raise_if_invalid(version, checks)


@click.command()
@click.argument("before", metavar="[FROM]", default="")
@click.argument("version", metavar="[TO]", default="")
@json_option
def notes_command(before: str, version: str, *, as_json: bool) -> None:
    notes = collect_notes(current_project(), before or None, version or None)
    if as_json:
        print_json(notes.to_dict())
    else:
        click.echo(notes_markdown(notes), nl=False)


def checks_table(version: str, checks: Iterable[Check]) -> Table:
    """Return the checks of a release, a row each."""
    table = Table("check", "passed", "what was found", title=version, title_justify="left")
    for check in checks:
        table.add_row(check.name, "yes" if check.passed else "[bold red]NO", Text(check.detail))
    return table


def notes_markdown(notes: ReleaseNotes) -> str:
    """Return release notes in Markdown."""
    title = "Not released yet" if notes.version == UNRELEASED else notes.version
    since = f"since {notes.before}" if notes.before else "since the beginning"
    count = len(notes.commits)
    lines = [
        f"# {title} ({notes.day})", "", f"{count} {'change' if count == 1 else 'changes'} {since}.", "",
        "## Index", "", *_index_lines(notes.index), "", "## Changes", "",
        *(
            f"- {_escape(each.subject)} ({each.hash[:SHORT]}, {_escape(each.author)})"
            for each in notes.commits
        ),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _index_lines(index: IndexChange) -> Sequence[str]:
    if index.rebuilt is None:
        return ["Not known: one of the two has no release record."]
    if not index.rebuilt:
        return ["Unchanged: the same index as before."]
    lines = [f"- **{MEANING.get(name, name)} changed: index rebuilt**" for name in index.changed]
    for model, (before, after) in index.counts.items():
        lines.append(f"- {model}: {before:,} documents before, {after:,} now")
    return lines


def _escape(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>" else each for each in text)
