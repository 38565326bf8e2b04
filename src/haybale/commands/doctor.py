"""Everything that would stop a run, before one is started."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from haybale import config
from haybale.commands import current_checkout, json_option
from haybale.doctor.deep import examine_deeply
from haybale.doctor.examination import examine
from haybale.doctor.finding import Diagnosis, Finding
from haybale.errors import ConfigError, PrerequisiteError
from haybale.invocation import find_invocation
from haybale.terminal import Terminal, print_json, stdout_console

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from haybale.invocation import Invocation


deep_option = click.option("--deep", is_flag=True, help="Start Django and Solr once, and look at them too.")


@click.command()
@deep_option
@json_option
def doctor_command(*, deep: bool, as_json: bool) -> None:
    diagnoses = []
    for diagnosis in _examine_here(deep=deep):
        diagnoses.append(diagnosis)
        if not as_json:
            stdout_console().print(*diagnosis_lines(diagnosis, find_invocation(Path.cwd())), sep="\n")
    if as_json:
        print_json({"diagnoses": [each.to_dict() for each in diagnoses]})
    if errors := count_errors(diagnoses):
        raise PrerequisiteError(
            f"doctor found {errors} {'thing' if errors == 1 else 'things'} that would stop a run",
            hint="fix what is marked with \N{BALLOT X}, and ask again",
        )


def _examine_here(*, deep: bool) -> Iterator[Diagnosis]:
    """Yield the diagnoses of the repository that the user is in; of wrong settings alone where they are.

    `deep`: Django and Solr are started where nothing was found that would keep them from it.
    """
    here = Path.cwd()
    try:
        project, settings = config.load(here, os.environ), config.explain_settings(here, os.environ)
    except ConfigError as error:
        yield Diagnosis(subject="settings", seen="wrong", findings=(Finding.from_error(error),))
        return
    found = []
    for each in examine(project, settings, os.environ, version("haybale")):
        found.append(each)
        yield each
    if deep and count_errors(found):
        yield Diagnosis(subject="Django and Solr", seen="not started: first what is marked above")
    elif deep:
        yield from examine_deeply(current_checkout(), Terminal().say)


def count_errors(diagnoses: Sequence[Diagnosis]) -> int:
    """Return the number of findings that would stop a run."""
    return sum(each.level == "error" for diagnosis in diagnoses for each in diagnosis.findings)


def diagnosis_lines(diagnosis: Diagnosis, invocation: Invocation) -> Iterator[Text]:
    """Yield what was seen, and each finding with why and what to do, as commands are called here."""
    mark, style = ("\N{CHECK MARK} ", "green") if not diagnosis.findings else ("  ", "")
    yield Text.assemble((mark, style), (diagnosis.subject, "bold"), (f"  {diagnosis.seen}", "dim"))
    for each in diagnosis.findings:
        mark, style = ("\N{BALLOT X} ", "bold red") if each.level == "error" else ("! ", "yellow")
        yield Text.assemble("  ", (mark, style), invocation.render(each.what))
        if each.why:
            yield Text.assemble(("      why: ", style), invocation.render(each.why))
        if each.fix:
            yield Text.assemble(("      fix: ", "green"), invocation.render(each.fix))
