"""Everything that would stop a run, before one is started."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from haybale import config
from haybale.commands import json_option
from haybale.doctor.examination import examine
from haybale.doctor.finding import Diagnosis, Finding
from haybale.errors import ConfigError, PrerequisiteError
from haybale.invocation import find_invocation
from haybale.terminal import print_json, stdout_console

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from haybale.invocation import Invocation


@click.command()
@json_option
def doctor_command(*, as_json: bool) -> None:
    diagnoses = []
    for diagnosis in _examine_here():
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


def _examine_here() -> Iterator[Diagnosis]:
    """Yield the diagnoses of the repository that the user is in; of wrong settings alone where they are."""
    here = Path.cwd()
    try:
        project, settings = config.load(here, os.environ), config.explain_settings(here, os.environ)
    except ConfigError as error:
        yield Diagnosis(subject="settings", seen="wrong", findings=(Finding.from_error(error),))
        return
    yield from examine(project, settings, os.environ, version("haybale"))


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
