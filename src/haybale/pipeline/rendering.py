"""What a run of the pipeline comes to, for people: on a terminal, and on CI's page of the run.

What people wrote (reasons, messages of commits, names) is shown as it is and cannot become markup.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from haybale.pipeline.mermaid import draw_graph
from haybale.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from haybale.errors import HaybaleError
    from haybale.pipeline.plan import Plan
    from haybale.pipeline.summary import Outcome, RunSummary, StepOutcome

# The environment variable that names the file which GitHub (Gitea, Forgejo too) shows on the run's page.
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"

# How an outcome is marked: a sign, and the terminal's colour.
MARKS: Mapping[Outcome, tuple[str, str]] = {
    "done": ("✓", "green"),
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
LESS_THAN_TEN, WORTH_SHOWING = 9.95, 0.05

# Control characters (a terminal's escape sequences begin with one), and those that change what a reader sees:
# the directions of writing and the invisible ones.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
ESCAPES = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|.)")
# What GitHub's Markdown takes for markup inside a line; $ begins a formula there, & an entity.
MARKUP = re.compile(r"([\\`*_~\[\]<>|$&])")


def render_plan(plan: Plan) -> str:
    """Return a plan: a line for each state, with its hooks below; what is skipped is in brackets."""
    names = [f"({step.state})" if step.skip else str(step.state) for step in plan.steps]
    width = max(map(len, names))
    lines = []
    for name, step in zip(names, plan.steps, strict=True):
        lines.append(f"{name:<{width}}  {step.reason}")
        lines += [f"{'':<{width}}  before: {command}" for command in step.before]
        lines += [f"{'':<{width}}  after: {command}" for command in step.after]
    return "\n".join(lines)


def format_duration(seconds: float) -> str:
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


def _format_seconds(step: StepOutcome) -> str:
    """Return what a step took, "" where that is next to nothing."""
    return format_duration(step.seconds) if step.seconds >= WORTH_SHOWING else ""


def strip_controls(text: str) -> str:
    """Return a text without what commands a terminal or hides something from a reader."""
    return CONTROLS.sub("", ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def to_line(text: str) -> str:
    """Return a text as one line of at most `LONGEST_CELL` characters."""
    line = " ".join(strip_controls(text).split())
    return line if len(line) <= LONGEST_CELL else f"{line[: LONGEST_CELL - 1]}…"


def _overview(summary: RunSummary) -> Mapping[str, str]:
    """Return what a reader looks for first: name -> value."""
    facts = summary.facts
    return {
        "version": summary.version, "index key": facts.key, "event": f"{facts.event}: {facts.evidence}",
        "strategy": facts.strategy, "run": summary.run, "time": format_duration(summary.seconds),
    }  # fmt: skip


# For a terminal -----------------------------------------------------------------------------------------


def render_table(summary: RunSummary) -> RenderableType:
    """Return the summary for a terminal."""
    sign, style = MARKS["failed" if summary.has_failed else "skipped" if summary.skipped_tests else "done"]
    title_style = "bold red" if summary.has_failed else "bold yellow" if summary.skipped_tests else "bold"
    parts: list[RenderableType] = [Text.assemble((f"{sign} ", style), (summary.title, title_style))]
    if summary.skipped_tests:
        parts.append(Text(f"  tests were skipped: {to_line(summary.skipped_tests.reason)}", style="yellow"))
    overview = Table.grid(Column(style="dim"), Column(overflow="fold"), padding=(0, 2))
    for name, value in _overview(summary).items():
        overview.add_row(Text(f"  {name}"), Text(to_line(value)))
    parts += [Text(), overview]
    if summary.steps:
        parts += [Text(), _steps(summary.steps)]
    if summary.counts:
        models = _table(Column("  model"), Column("documents", justify="right", no_wrap=True))
        for name, value in _documents(summary.counts):
            models.add_row(Text(f"  {name}"), Text(value))
        parts += [Text(), models]
    if summary.advice:
        parts += [Text(), *(Text(f"  sooner  {to_line(each)}") for each in summary.advice)]
    if summary.images:
        parts.append(Text())
    for name, digest in sorted(summary.images.items()):
        # A digest on a line of its own fits there, and can be copied whole.
        parts += [Text(f"  {name}", style="dim"), Text(f"    {digest}", overflow="fold")]
    return Padding(Group(*parts), (1, 0))


def _table(*columns: Column) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _steps(steps: Sequence[StepOutcome]) -> Table:
    rows = _table(
        Column("  state", no_wrap=True), Column("time", justify="right", no_wrap=True),
        Column("outcome", no_wrap=True), Column("reason", overflow="fold"),
    )  # fmt: skip
    for step in steps:
        sign, style = MARKS[step.outcome]
        quiet = style if step.outcome == "skipped" else ""
        if step.outcome == "skipped" and step.state is State.RUN_TESTS:
            style = quiet = "yellow"
        state = Text.assemble((f"{sign} ", style), (step.state, style if step.outcome == "failed" else quiet))
        outcome, reason = Text(step.outcome, style=style), Text(to_line(step.reason), style=quiet)
        rows.add_row(state, Text(_format_seconds(step)), outcome, reason)
    return rows


def _documents(counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for model, count in sorted(counts.items())[:MOST_ROWS]:
        yield to_line(model), f"{count:,}"
    if len(counts) > MOST_ROWS:
        yield f"and {len(counts) - MOST_ROWS} more models", ""
    if len(counts) > 1:
        yield "together", f"{sum(counts.values()):,}"


# For CI's page of the run -------------------------------------------------------------------------------


def render_markdown(summary: RunSummary) -> str:
    """Return the summary in GitHub's Markdown, with the graph and the path that was taken."""
    sign = "❌" if summary.has_failed else "⚠️" if summary.skipped_tests else "✅"
    parts = [f"## {sign} {escape_markdown(summary.title)}"]
    if summary.skipped_tests:
        parts.append(f"> ⚠️ **Tests were skipped.** {escape_markdown(summary.skipped_tests.reason)}")
    if summary.error is not None:
        parts.append(_fenced(_describe(summary.error)))
    steps = (
        (step.state, f"{MARKS[step.outcome][0]} {step.outcome}", _format_seconds(step), step.reason)
        for step in summary.steps
    )
    parts += [
        _markdown_table(("", ""), _overview(summary).items()),
        "### The way it took",
        _fenced(_graph(summary.steps), "mermaid"),
        _markdown_table(("state", "outcome", "time", "reason"), steps, right=2),
    ]
    if summary.counts:
        documents = _markdown_table(("model", "documents"), _documents(summary.counts), right=1)
        parts += ["### Documents in the index", documents]
    if summary.advice:
        advice = [f"- {escape_markdown(each)}" for each in summary.advice]
        parts += ["### What would make the index sooner", "\n".join(advice)]
    if summary.images:
        images = sorted(summary.images.items())[:MOST_ROWS]
        parts += ["### Images", _markdown_table(("image", "digest"), images)]
    return "\n\n".join(parts) + "\n"


def escape_markdown(text: str) -> str:
    """Return a text as one line of Markdown that shows just that text, in a table too."""
    return MARKUP.sub(r"\\\1", to_line(text))


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int | None = None) -> str:
    """Return a table; the cells are escaped, the column `right` (from 0) is aligned to that side."""
    ruler = ["---:" if number == right else "---" for number in range(len(head))]
    lines = [head, ruler, *([escape_markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _fenced(text: str, language: str = "text") -> str:
    """Return a block of code; its fence is longer than any in the text, so that it cannot end early."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _describe(error: HaybaleError) -> str:
    """Return a failure as the terminal shows it, without its log."""
    lines = [error.message]
    lines += [f"cause: {error.cause}"] if error.cause else []
    lines += [f"next:  {error.hint}"] if error.hint else []
    text = strip_controls("\n".join(lines))
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]}\n…"


def _graph(steps: Sequence[StepOutcome]) -> str:
    def those(*outcomes: Outcome) -> list[State]:
        return [step.state for step in steps if step.outcome in outcomes]

    return draw_graph(taken=those("done", "resumed"), skipped=those("skipped"), failed=those("failed"))


def write_step_summary(text: str, env: Mapping[str, str]) -> str | None:
    """Append to the page that CI shows, where it has one; return why that failed, None where it did not.

    A run that did its work does not fail because its page could not be written.
    """
    file = env.get(STEP_SUMMARY)
    if not file:
        return None
    try:
        with Path(file).open("a", encoding="utf-8") as page:
            page.write(text)
    except OSError as error:
        return f"the run's summary could not be written to {file}: {error.strerror}"
    return None
