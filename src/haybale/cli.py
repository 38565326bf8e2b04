"""The command line: the verbs of verbs.py, exit codes, and the one place that prints errors.

A verb's module is imported only when the verb runs: `version` must not wait for the engine's SDK.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from haybale.errors import HaybaleError, UsageError
from haybale.tools import process
from haybale.verbs import VERBS, Verb, verbs_by_group

# The exit code of a process that Ctrl-C ended, as shells have it.
INTERRUPTED = 130


def import_attribute(module: str, name: str) -> Any:
    """Import what only some verbs need, when they need it."""
    return getattr(importlib.import_module(module), name)


class LazyCommand(click.Command):
    """A verb whose module is imported when the verb is run, or asked for its help."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name, help=verb.help)
        self._module, self._function = f"haybale.commands.{verb.module}", f"{verb.identifier}_command"

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Pass the arguments to the command itself."""
        command: click.Command = import_attribute(self._module, self._function)
        command.help = self.help
        return command.make_context(info_name, args, parent, **extra)


class GroupedVerbs(click.Group):
    """Lists the verbs under the headings of their groups."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group with a line for each of its verbs."""
        del ctx
        for group, verbs in verbs_by_group().items():
            with formatter.section(group.capitalize()):
                formatter.write_dl([(verb.name, verb.help) for verb in verbs])


@click.group(
    cls=GroupedVerbs, commands=[LazyCommand(verb) for verb in VERBS],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip
@click.version_option(package_name="haybale")
def haybale() -> None:
    """Bake a Django + Haystack site's Solr index into an image; test, release and deploy exactly that."""


def main() -> NoReturn:
    """Run a verb. Exit codes: 0, one per kind of error (errors.py), 130 after Ctrl-C, 143 after SIGTERM."""
    process.exit_on_signals()
    try:
        haybale.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(UsageError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _exit_interrupted(INTERRUPTED)
    except HaybaleError as error:
        ended_by = process.received_signal()
        if ended_by is not None:
            # What failed then failed because its processes were ended too.
            _exit_interrupted(128 + ended_by)
        failures = chain_of_failures(error)
        terminal = import_attribute("haybale.terminal", "Terminal")()
        for failure in failures:
            terminal.error(failure)
        sys.exit(failures[0].exit_code)
    sys.exit(0)


def _exit_interrupted(code: int) -> NoReturn:
    click.echo("haybale: interrupted", err=True)
    sys.exit(code)


def chain_of_failures(error: HaybaleError) -> list[HaybaleError]:
    """Return a failure and those that followed it (cleaning up failed as well), the first one first.

    An error that another one was raised `from` is left out: the other one says the same with more knowledge.
    """
    failures: list[HaybaleError] = []
    each: BaseException | None = error
    reworded: BaseException | None = None
    while each is not None:
        if isinstance(each, HaybaleError) and each is not reworded:
            failures.insert(0, each)
        reworded, each = each.__cause__, each.__context__
    return failures
