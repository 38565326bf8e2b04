"""What a run of the pipeline comes to: for a terminal, for CI's page of the run, and for machines.

Everything here makes text of values, but for `write_step_summary`. What people wrote (reasons, messages of
commits, names) is shown as it is and can't become markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from haybale.pipeline import graph as states
from haybale.pipeline.graph import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from haybale.errors import HaybaleError

# The version of the document that `as_json` gives.
FORMAT = 1

# The environment variable that names the file which GitHub (Gitea, Forgejo too) shows on the run's page.
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"

Outcome: TypeAlias = Literal["done", "skipped", "resumed", "failed", "reused"]

# How an outcome is marked: a sign, and the terminal's colour. "resumed" was done before this run died,
# "reused" is what some other run made.
MARKS: Mapping[str, tuple[str, str]] = {
    "done": ("✓", "green"),
    "reused": ("✓", "green"),
    "resumed": ("✓", "green"),
    "skipped": ("○", "dim"),
    "failed": ("✗", "bold red"),
}

# GitHub shows no summary of more than 1 MiB. A text of more characters is cut, a table of more rows too; so
# many of each stay far below that.
LONGEST_CELL = 500
LONGEST_ERROR = 20_000
MOST_ROWS = 100

MINUTE, HOUR = 60, 3600
LESS_THAN_TEN, WORTH_TELLING = 9.95, 0.05

# Control characters (a terminal's escape sequences begin with one), and those that change what a reader sees:
# the directions of writing and the invisible ones.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|.)")
# What GitHub's Markdown takes for markup inside a line; $ begins a formula there, & an entity.
MARKUP = re.compile(r"([\\`*_~\[\]<>|$&])")


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What became of a state: how it went, the seconds it took, and why it was taken or passed by."""

    state: State
    outcome: Outcome
    seconds: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run of the pipeline that ended.

    `event` is what was pushed and `evidence` how that is known; `images` maps an image's name to its digest;
    `counts` has the documents of each model (app.model -> number), `advice` what would make the index sooner;
    `error` is what it failed with, None where it passed.
    """

    run: str
    version: str
    key: str
    event: str
    evidence: str
    strategy: str
    steps: tuple[StepResult, ...]
    images: Mapping[str, str]
    counts: Mapping[str, int]
    advice: tuple[str, ...] = ()
    error: HaybaleError | None = None

    @property
    def failed(self) -> bool:
        """Whether the run failed."""
        return self.error is not None or any(step.outcome == "failed" for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long its steps took, together."""
        return sum(step.seconds for step in self.steps)

    @property
    def untested(self) -> StepResult | None:
        """The step that should have tested, where it was skipped."""
        found = (step for step in self.steps if step.state is State.RUN_TESTS and step.outcome == "skipped")
        return next(found, None)

    @property
    def published(self) -> bool:
        """Whether the version was published."""
        return any(
            step.state is State.PUBLISH and step.outcome in {"done", "resumed", "reused"}
            for step in self.steps
        )

    @property
    def title(self) -> str:
        """The outcome in a line."""
        if self.failed:
            where = next((f" at {step.state}" for step in self.steps if step.outcome == "failed"), "")
            return f"{self.version} failed{where}"
        tested = "was NOT tested" if self.untested else "passed"
        return f"{self.version} {tested}{' and is published' if self.published else ''}"

    @property
    def facts(self) -> Mapping[str, str]:
        """What a reader looks for first: name -> value."""
        return {
            "version": self.version,
            "index key": self.key,
            "event": f"{self.event}: {self.evidence}" if self.evidence else self.event,
            "strategy": self.strategy,
            "run": self.run,
            "time": duration(self.seconds),
        }


def duration(seconds: float) -> str:
    """Return a time for people: 0.4 s, 42 s, 3 min 07 s, 1 h 02 min."""
    if seconds < LESS_THAN_TEN:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    minutes = round(seconds / MINUTE)
    return f"{minutes // MINUTE} h {minutes % MINUTE:02d} min"


def _took(step: StepResult) -> str:
    """Return what a step took, "" where that is nothing worth a look."""
    return duration(step.seconds) if step.seconds >= WORTH_TELLING else ""


def plain(text: str) -> str:
    """Return a text without what commands a terminal or hides something from a reader."""
    return CONTROLS.sub("", ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def in_line(text: str, longest: int = LONGEST_CELL) -> str:
    """Return a text as one line of at most so many characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


# For a terminal -----------------------------------------------------------------------------------------


def table(summary: RunSummary) -> RenderableType:
    """Return the summary for a terminal."""
    sign, style = MARKS["failed" if summary.failed else "skipped" if summary.untested else "done"]
    title_style = "bold red" if summary.failed else "bold yellow" if summary.untested else "bold"
    parts: list[RenderableType] = [Text.assemble((f"{sign} ", style), (summary.title, title_style))]
    if summary.untested:
        parts.append(Text(f"  tests were skipped: {in_line(summary.untested.reason)}", style="yellow"))
    parts += [Text(), _rows((name, in_line(value)) for name, value in summary.facts.items())]
    if summary.steps:
        parts += [Text(), _steps(summary.steps)]
    if summary.counts:
        parts += [Text(), _counts(summary.counts)]
    if summary.advice:
        parts += [Text(), *(Text(f"  sooner  {in_line(each)}") for each in summary.advice)]
    if summary.images:
        parts += [Text(), *_images(summary.images)]
    return Padding(Group(*parts), (1, 0))


def _rows(pairs: Iterable[tuple[str, str]]) -> Table:
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim")
    rows.add_column(overflow="fold")
    for name, value in pairs:
        rows.add_row(Text(f"  {name}"), Text(value))
    return rows


def _steps(steps: Sequence[StepResult]) -> Table:
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    rows.add_column("  state", no_wrap=True)
    rows.add_column("time", justify="right", no_wrap=True)
    rows.add_column("outcome", no_wrap=True)
    rows.add_column("reason", overflow="fold")
    for step in steps:
        sign, style = MARKS[step.outcome]
        quiet = style if step.outcome == "skipped" else ""
        if step.outcome == "skipped" and step.state is State.RUN_TESTS:
            style = quiet = "yellow"
        rows.add_row(
            Text.assemble((f"{sign} ", style), (step.state, style if step.outcome == "failed" else quiet)),
            Text(_took(step)),
            Text(step.outcome, style=style),
            Text(in_line(step.reason), style=quiet),
        )
    return rows


def _images(images: Mapping[str, str]) -> Iterator[Text]:
    """Yield each image, and its digest on a line of its own: it fits there, and can be copied whole."""
    for name, digest in sorted(images.items()):
        yield Text(f"  {name}", style="dim")
        yield Text(f"    {digest}", overflow="fold")


def _counts(counts: Mapping[str, int]) -> Table:
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    rows.add_column("  model")
    rows.add_column("documents", justify="right", no_wrap=True)
    for name, value in _documents(counts):
        rows.add_row(Text(f"  {name}"), Text(value))
    return rows


def _documents(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for model, count in sorted(counts.items())[:MOST_ROWS]:
        yield in_line(model), f"{count:,}"
    if len(counts) > MOST_ROWS:
        yield f"and {len(counts) - MOST_ROWS} more models", ""
    if len(counts) > 1:
        yield "together", f"{sum(counts.values()):,}"


# For CI's page of the run -------------------------------------------------------------------------------


def markdown(summary: RunSummary) -> str:
    """Return the summary in GitHub's Markdown, with the graph and the path that was taken."""
    sign = "❌" if summary.failed else "⚠️" if summary.untested else "✅"
    parts = [f"## {sign} {escaped(summary.title)}"]
    if summary.untested:
        parts.append(f"> ⚠️ **Tests were skipped.** {escaped(summary.untested.reason)}")
    if summary.error is not None:
        parts.append(_fenced(_told(summary.error)))
    parts += [
        _markdown_table(("", ""), summary.facts.items()),
        "### The way it took",
        _fenced(_graph(summary.steps), "mermaid"),
        _markdown_table(
            ("state", "outcome", "time", "reason"),
            (
                (
                    step.state,
                    f"{MARKS[step.outcome][0]} {step.outcome}",
                    _took(step),
                    step.reason,
                )
                for step in summary.steps
            ),
            right=2,
        ),
    ]
    if summary.counts:
        parts += [
            "### Documents in the index",
            _markdown_table(("model", "documents"), _documents(summary.counts), right=1),
        ]
    if summary.advice:
        advice = [f"- {escaped(each)}" for each in summary.advice]
        parts += ["### What would make the index sooner", "\n".join(advice)]
    if summary.images:
        parts += [
            "### Images",
            _markdown_table(("image", "digest"), sorted(summary.images.items())[:MOST_ROWS]),
        ]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return a text as one line of Markdown that shows just that text, in a table too."""
    return MARKUP.sub(r"\\\1", in_line(text))


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int | None = None) -> str:
    """Return a table; the cells are escaped, the column `right` (from 0) is aligned to that side."""
    lines = [_markdown_row(head)]
    lines.append(_markdown_row(["---:" if number == right else "---" for number in range(len(head))]))
    lines += [_markdown_row([escaped(cell) for cell in row]) for row in rows]
    return "\n".join(lines)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fenced(text: str, language: str = "text") -> str:
    """Return a block of code; its fence is longer than any in the text, so that it can't end early."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _told(error: HaybaleError) -> str:
    """Return a failure as the terminal shows it, without its log."""
    lines = [error.message]
    lines += [f"cause: {error.cause}"] if error.cause else []
    lines += [f"next:  {error.hint}"] if error.hint else []
    text = plain("\n".join(lines))
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]}\n…"


def _graph(steps: Sequence[StepResult]) -> str:
    def those(*outcomes: Outcome) -> list[State]:
        return [step.state for step in steps if step.outcome in outcomes]

    return states.mermaid(
        taken=those("done", "resumed", "reused"), skipped=those("skipped"), failed=those("failed")
    )


def write_step_summary(text: str, env: Mapping[str, str]) -> str:
    """Append to the summary that CI shows, where it has one; return why it could not be, "" otherwise.

    A run that did its work does not fail because its page could not be written.
    """
    file = env.get(STEP_SUMMARY)
    if not file:
        return ""
    try:
        with Path(file).open("a", encoding="utf-8") as page:
            page.write(text)
    except OSError as error:
        return f"the run's summary could not be written to {file}: {error.strerror}"
    return ""


# For machines -------------------------------------------------------------------------------------------


def as_json(summary: RunSummary) -> dict[str, Any]:
    """Return the summary as a JSON document (docs/pipeline.md says what is in it)."""
    error = summary.error
    return {
        "version": FORMAT,
        "run": summary.run,
        "outcome": "failed" if summary.failed else "passed",
        "release": summary.version,
        "published": summary.published,
        "key": summary.key,
        "event": summary.event,
        "evidence": summary.evidence,
        "strategy": summary.strategy,
        "seconds": round(summary.seconds, 3),
        "steps": [
            {
                "state": step.state,
                "outcome": step.outcome,
                "seconds": round(step.seconds, 3),
                "reason": step.reason,
            }
            for step in summary.steps
        ],
        "images": dict(summary.images),
        "counts": dict(summary.counts),
        "advice": list(summary.advice),
        "error": None
        if error is None
        else {"code": error.exit_code, "message": error.message, "cause": error.cause, "hint": error.hint},
    }
