"""What a person sees while haybale works: what it does, and how far the loading is.

Everything goes to the error stream: standard output belongs to what a verb prints for other programs. On a
terminal there is a progress bar, elsewhere (CI's log) plain lines.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from haybale.errors import HaybaleError

# Where there is no terminal, a model's progress is a line each time so many percent are done.
LINE_EVERY = 20

# Seconds that a rate is worked out from, at least: a small model's documents come all at once.
SHORTEST = 0.1


def stdout_console() -> Console:
    """Return what results are printed on."""
    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print plain values (what a `to_dict()` returns) as JSON, for programs."""
    print(json.dumps(value, indent=2))  # noqa: T201


class Terminal:
    """Prints what happens, on the error stream."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._clock = clock

    def say(self, text: str) -> None:
        """Print what is being done."""
        self.console.print(Text.assemble(("• ", "cyan"), text))

    def advise(self, text: str) -> None:
        """Print what works as it is and could be better."""
        self.console.print(Text.assemble(("! ", "yellow"), text))

    def state(self, name: str, reason: str, *, skipped: bool = False) -> None:
        """Print a state of the pipeline and why it is there."""
        mark, style = ("○ ", "dim") if skipped else ("▸ ", "bold cyan")
        self.console.print(Text.assemble((mark, style), (name, style), (f"  {reason}", "dim")))

    def done(self, text: str) -> None:
        """Print a result."""
        self.console.print(Text.assemble(("✓ ", "green"), text))

    def error(self, error: HaybaleError) -> None:
        """Print a failure: its log first, so that the explanation is what the eye finds at the end."""
        if error.log:
            self.console.print(Text(error.log.rstrip(), style="dim"))
            self.console.print()
        self.console.print(Text.assemble(("haybale: ", "bold red"), (error.message, "bold")))
        if error.cause:
            self.console.print(Text.assemble(("  cause: ", "red"), error.cause))
        if error.hint:
            self.console.print(Text.assemble(("  next:  ", "green"), error.hint))

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str, int, int], None]]:
        """Give a function that takes (model, documents done, documents in all)."""
        if self.console.is_terminal:
            with self._bars() as advance:
                yield advance
        else:
            yield _ProgressLines(self.say, self._clock).advance

    @contextlib.contextmanager
    def _bars(self) -> Iterator[Callable[[str, int, int], None]]:
        tasks: dict[str, TaskID] = {}
        started: dict[str, float] = {}
        with Progress(
            TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
        ) as bars:  # fmt: skip

            def advance(model: str, done: int, total: int) -> None:
                if model not in tasks:
                    started[model] = self._clock()
                    tasks[model] = bars.add_task(model, total=total, rate="")
                if bars.tasks[tasks[model]].finished and total:
                    return  # reported twice; its rate was that of the first time
                rate = format_rate(done, self._clock() - started[model])
                bars.update(tasks[model], completed=done, total=total, rate=rate)

            yield advance


class _ProgressLines:
    """Progress where there is no terminal."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._say, self._clock = say, clock
        self._next: dict[str, int] = {}
        self._started: dict[str, float] = {}

    def advance(self, model: str, done: int, total: int) -> None:
        started = self._started.setdefault(model, self._clock())
        percent = 100 * done // total if total else 100
        if percent < self._next.get(model, LINE_EVERY):
            return
        # The last line comes wherever the one before was, and once.
        self._next[model] = min(percent + LINE_EVERY, 100) if percent < 100 else 101  # noqa: PLR2004
        rate = format_rate(done, self._clock() - started)
        self._say(f"{model}: {done} of {total} documents {rate}".rstrip())


def format_rate(done: int, seconds: float) -> str:
    """Return documents per second for people, "" before there is a rate."""
    return f"{done / seconds:,.0f} docs/s" if done and seconds >= SHORTEST else ""
