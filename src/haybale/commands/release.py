"""Versions: making one, checking one, telling what is new in one."""

from __future__ import annotations

import os

import click
from rich.table import Table

from haybale.commands import POSITIONAL, current_project, json_option
from haybale.release import bump, notes, releases
from haybale.terminal import Terminal, print_json, stdout_console


@click.command(context_settings=POSITIONAL)
@click.option("--offline", is_flag=True, help="Do not ask the remote.")
@click.argument("arguments", metavar="[PART] [BUMP2VERSION ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def bump_command(arguments: tuple[str, ...], *, offline: bool) -> None:
    made = bump.bump_version(current_project().root, arguments, os.environ, offline=offline)
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
    parts = releases.verify(current_project(), version)
    if as_json:
        print_json({"version": version, "parts": [vars(part) for part in parts]})
    else:
        table = Table("part", "holds", "what was found", title=version, title_justify="left")
        for part in parts:
            table.add_row(part.name, "yes" if part.holds else "[bold red]NO", part.said)
        stdout_console().print(table)
    releases.judge(version, parts)


@click.command()
@click.argument("before", metavar="[FROM]", default="")
@click.argument("version", metavar="[TO]", default="")
@json_option
def notes_command(before: str, version: str, *, as_json: bool) -> None:
    found = notes.write(current_project(), before, version)
    click.echo(notes.as_json(found) if as_json else notes.markdown(found), nl=as_json)
