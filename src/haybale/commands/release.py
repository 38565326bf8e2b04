"""Versions: making one, checking one, telling what is new in one."""

from __future__ import annotations

import os

import click

from haybale.commands import POSITIONAL, current_project, json_option
from haybale.release.bump import bump_version
from haybale.release.notes import collect_notes
from haybale.release.rendering import checks_table, notes_markdown
from haybale.release.verification import raise_if_invalid, verify_release
from haybale.terminal import Terminal, print_json, stdout_console


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
        stdout_console().print(checks_table(version, checks))
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
