"""Renders releases for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from haybale.release.notes import MEANING, UNRELEASED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from haybale.release.notes import IndexChange, ReleaseNotes
    from haybale.release.verification import Check

# Digits of a commit that are shown.
SHORT = 9


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
