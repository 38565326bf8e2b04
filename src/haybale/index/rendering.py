"""What people read of an index key, of what changed in it, and of an index image."""

from __future__ import annotations

import re
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table

from haybale.index.key_diff import SETTINGS_COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haybale.index.contents import IndexContents
    from haybale.index.key import Key
    from haybale.index.key_diff import Baseline, Explanation, FileChange, FileChangeKind

# Columns of the text, and the hexadecimal digits of a digest in it.
WIDTH = 80
DIGEST_LENGTH = 12

DIGEST = re.compile(r"[0-9a-f]{64}")

# What is printed where no commit did it, by what became of the file.
UNTOUCHED: Mapping[FileChangeKind, str] = {
    "added": "no commit since then: it was there, and counts only now",
    "removed": "no commit since then: it counts no more, or was not committed then",
    "changed": "no commit since then: it was not committed as it is when that index was made",
    "renamed": "no commit since then: the one counts only now, the other no more",
}


def component_lines(key: Key) -> list[str]:
    """Return a line for each component: its name, its value or its files' digest, how many files it has."""
    width = max(map(len, key.components), default=0)
    lines = []
    for name, each in sorted(key.components.items()):
        count = f"  {len(each.files)} file{'s' * (len(each.files) != 1)}" if each.value is None else ""
        lines.append(f"{name:<{width}}  {_shorten(each.content)}{count}")
    return lines


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Yield what changed in a key."""
    key, baseline, changes = explanation.key, explanation.baseline, explanation.changes
    if baseline is None:
        yield from (f"index key {key}: nothing was indexed here yet", "", *component_lines(key))
        return
    source = f"{baseline.source}{_commit(baseline)}"
    if not changes:
        yield from (*_wrap(f"index key {key}: the same as {source}"), "", *component_lines(key))
        return
    other = baseline.key.value[:DIGEST_LENGTH]
    names = ", ".join(change.component for change in changes)
    yield from _wrap(f"index key {key}: differs from {other}: {names}")
    yield from _wrap(f"({other} is {source})")
    for change in changes:
        yield from ("", change.component)
        if change.component in SETTINGS_COMPONENTS or not change.files:
            yield from (f"  was {_shorten(change.before)}", f"  is  {_shorten(change.after)}")
        for blame, files in groupby(change.files, _blame):
            for file in files:
                yield f"  {file.path} ({f'renamed from {file.was}' if file.was else file.kind})"
            yield from _wrap(blame, "    ")


def _wrap(line: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        line, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _commit(baseline: Baseline) -> str:
    if baseline.commit is None:
        return ""
    date = f" of {baseline.date}" if baseline.date else ""
    changed = " and what was not committed" if baseline.is_dirty else ""
    return f", of commit {baseline.commit[:DIGEST_LENGTH]}{date}{changed}"


def _shorten(value: str | None) -> str:
    """Return a value whole, of a digest the first digits."""
    if value is None:
        return "nothing"
    return value[:DIGEST_LENGTH] if DIGEST.fullmatch(value) else value


def _blame(file: FileChange) -> str:
    kind, commit = file.blame.kind, file.blame.commit
    if kind == "uncommitted":
        return "not committed"
    if kind == "untouched":
        return UNTOUCHED[file.kind]
    if commit is None:
        return "by no commit that this clone has"
    text = f"{commit.hash[:DIGEST_LENGTH]} {commit.date} {commit.author}: {commit.subject}"
    if kind == "elsewhere":
        return f"{text} (which is not in the history of what is checked out)"
    if kind == "earlier":
        return f"{text} (or one before it, which this shallow clone does not have)"
    return text


def contents_lines(contents: IndexContents) -> list[str]:
    """Return what an index image holds, but for its documents."""
    report = contents.report
    lines = [f"image  {contents.image}", f"key    {contents.key}"]
    lines += [f"         {line}" for line in component_lines(contents.key)]
    lines += [f"served {each}" for each in contents.serving]
    lines += [f"advice {each}" for each in contents.advice]
    if report is None:
        return [*lines, "it carries no report of its verification (an older haybale made it)"]
    how = "all documents" if report.whole else f"a sample (seed {report.seed})"
    lines.append(f"{report.compared:,} documents were compared field by field: {how}")
    if report.not_comparable:
        lines.append(f"Solr does not return these fields: {', '.join(report.not_comparable)}")
    if report.exempt:
        lines.append(f"not compared, by index.verify_ignore: {', '.join(report.exempt)}")
    return lines


def contents_table(contents: IndexContents) -> Table:
    """Return the documents of each model of each core, and how many of them were looked at."""
    table = Table(title=f"{sum(contents.counts.values()):,} documents", title_justify="left")
    by_core = len(contents.cores) > 1
    for heading in ("core", "model") if by_core else ("model",):
        table.add_column(heading)
    for heading in ("rows", "documents", "skipped", "found by Haystack", "compared"):
        table.add_column(heading, justify="right")

    def add_row(core: str, model: str, *numbers: str) -> None:
        table.add_row(*((core, model) if by_core else (model,)), *numbers)

    models = contents.report.models if contents.report else ()
    for each in models:
        numbers = (each.database, each.found, each.skipped, each.queried, each.sample)
        add_row(each.core, each.model, *(f"{number:,}" for number in numbers))
    verified = {(each.core, each.model) for each in models}
    for core, counts in contents.cores.items():
        for name, count in counts.items():
            if (core, name) not in verified:
                add_row(core, name, "", f"{count:,}", "", "", "")
    return table
