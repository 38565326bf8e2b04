"""What a person sees while haybale works: what it does, and the progress of loading.

Everything goes to the error stream: standard output belongs to what a verb prints for other programs. On a
terminal there is a progress bar, elsewhere (CI's log) plain lines.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from haybale.invocation import find_invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import ConsoleOptions, RenderResult
    from rich.table import Table

    from haybale.errors import HaybaleError
    from haybale.invocation import Invocation

# Without a terminal, a model's progress is a line every so many percent.
LINE_EVERY = 20

# A rate needs at least so many seconds: a small model's documents come all at once.
SHORTEST = 0.1


# More columns than any table has: where results go into a file or another program, nothing limits them.
UNLIMITED = 10_000


def stdout_console() -> Console:
    """Return what results are printed on: as wide as the terminal is, without limit where there is none."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = UNLIMITED
    return console


class FittingTable:
    """A table where it fits into the terminal, else a list of its rows: nothing in it is ever cut."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it for a width (rich, "Console Protocol")."""
        whole = Measurement.get(console, options.update(width=UNLIMITED), self.table)
        if whole.maximum <= options.max_width:
            yield self.table
            return
        headings = [str(column.header) for column in self.table.columns]
        if self.table.title:
            yield Text(str(self.table.title), style="italic")
        for cells in zip(*(column.cells for column in self.table.columns), strict=True):
            name, *values = (
                cell if isinstance(cell, Text) else Text.from_markup(str(cell)) for cell in cells
            )
            yield Text.assemble(("• ", "cyan"), name)
            for heading, value in zip(headings[1:], values, strict=True):
                if value.plain:
                    yield Text.assemble(("  ", ""), (f"{heading}: " if heading else "", "dim"), value)


def print_json(value: Any) -> None:
    """Print plain values (what a `to_dict()` returns) as JSON, for programs."""
    print(json.dumps(value, indent=2))  # noqa: T201


class Terminal:
    """Prints what happens, on the error stream.

    Commands in messages (`haybale.invocation`) are shown as `invocation` has them: by default as the
    repository of the working directory does.
    """

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        invocation: Invocation | None = None,
    ) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._clock, self._invocation = clock, invocation

    @property
    def invocation(self) -> Invocation:
        """How commands are called here, read when a message first names one."""
        if self._invocation is None:
            self._invocation = find_invocation(Path.cwd())
        return self._invocation

    def _with_commands(self, text: str) -> str:
        return self.invocation.render(text) if "`" in text else text

    def say(self, text: str) -> None:
        """Print what is being done."""
        self.console.print(Text.assemble(("• ", "cyan"), self._with_commands(text)))

    def advise(self, text: str) -> None:
        """Print what works as it is, but could be better."""
        self.console.print(Text.assemble(("! ", "yellow"), self._with_commands(text)))

    def state(self, name: str, reason: str, *, skipped: bool = False) -> None:
        """Print a state of the pipeline, and the reason for it."""
        mark, style = ("○ ", "dim") if skipped else ("▸ ", "bold cyan")
        self.console.print(
            Text.assemble((mark, style), (name, style), (f"  {self._with_commands(reason)}", "dim"))
        )

    def done(self, text: str) -> None:
        """Print a result."""
        self.console.print(Text.assemble(("✓ ", "green"), self._with_commands(text)))

    def error(self, error: HaybaleError) -> None:
        """Print a failure: its log first, so that the explanation is what stands at the end."""
        if error.log:
            self.console.print(Text(error.log.rstrip(), style="dim"))
            self.console.print()
        self.console.print(
            Text.assemble(("haybale: ", "bold red"), (self._with_commands(error.message), "bold"))
        )
        if error.cause:
            self.console.print(Text.assemble(("  cause: ", "red"), self._with_commands(error.cause)))
        if error.hint:
            self.console.print(Text.assemble(("  next:  ", "green"), self._with_commands(error.hint)))

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Give a function that takes (model, documents done, documents in all)."""
        if not self.console.is_terminal:
            yield _ProgressLines(self.say, self._clock).advance
            return
        tasks: dict[str, TaskID] = {}
        with Progress(
            TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
        ) as bars:  # fmt: skip

            def advance(model: str, done: int, total: int) -> None:
                if model not in tasks:
                    tasks[model] = bars.add_task(model, total=total, rate="", started=self._clock())
                task = bars.tasks[tasks[model]]
                if task.finished and total:
                    return  # reported twice; its rate was that of the first time
                rate = format_rate(done, self._clock() - task.fields["started"])
                bars.update(tasks[model], completed=done, total=total, rate=rate)

            yield advance


class _ProgressLines:
    """Progress where there is no terminal."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._parts: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def advance(self, model: str, done: int, total: int) -> None:
        started = self._started.setdefault(model, self._clock())
        part = (100 * done // total if total else 100) // LINE_EVERY
        if part <= self._parts.get(model, 0):
            return
        self._parts[model] = part
        rate = format_rate(done, self._clock() - started)
        self._say(f"{model}: {done} of {total} documents {rate}".rstrip())


def format_rate(done: int, seconds: float) -> str:
    """Return documents per second for people; "" where there is no rate yet."""
    return f"{done / seconds:,.0f} docs/s" if done and seconds >= SHORTEST else ""
