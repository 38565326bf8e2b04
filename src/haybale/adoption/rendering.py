"""What `init` and `upgrade` print, as lines of a width: found, written, left to a person. Nothing is cut."""

from __future__ import annotations

import difflib
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from haybale.files import stamped_writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.adoption.description import Described

# The column in which what was found begins.
COLUMN = 16


def wrap(text: str, width: int, first: str, others: str | None = None) -> list[str]:
    """Return a text in lines of a width; words such as paths and URLs stay whole.

    `first` stands before the first line, `others` before the others, else as many blanks.
    """
    others = " " * len(first) if others is None else others
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def fitted(texts: Sequence[str], width: int) -> Iterator[str]:
    """Yield texts, which may have several lines, in lines of a width; what is indented stays so."""
    for line in (line for text in texts for line in text.splitlines()):
        blanks = line[: len(line) - len(line.lstrip())]
        yield from wrap(line.strip(), width, blanks, f"{blanks}    ") or [""]


def found_lines(found: Sequence[Described], width: int) -> Iterator[str]:
    """Yield what was found; of several of a kind, the kind stands before the first one."""
    for subject, several in groupby(found, key=lambda each: each.subject):
        for number, each in enumerate(several):
            yield from wrap(each.text, width, f"  {'' if number else subject}".ljust(COLUMN))


def note_lines(notes: Sequence[str], width: int) -> Iterator[str]:
    """Yield what is left to a person, under a heading."""
    if notes:
        yield ""
        yield "For you to look at:"
        for each in notes:
            yield from wrap(each, width, "  - ")


def file_lines(
    files: Mapping[str, str], before: Mapping[str, str], width: int, *, shows_all: bool
) -> Iterator[str]:
    """Yield what would be written, as differences; `before` has the texts of the files that are there.

    New files that are the same in every repository are a few words each, unless `shows_all`.
    """
    is_short = {name: name not in before and bool(stamped_writer(text)) for name, text in files.items()}
    for name, text in files.items():
        if shows_all or not is_short[name]:
            names = name if name in before else "/dev/null", name
            yield ""
            yield from difflib.unified_diff(
                before.get(name, "").splitlines(), text.splitlines(), *names, n=1, lineterm=""
            )
    short = [name for name in files if is_short[name] and not shows_all]
    if short:
        sizes = (f"{name} ({len(files[name].splitlines())} lines)" for name in short)
        yield ""
        yield from wrap(f"{', '.join(sizes)}: new, haybale's own (--diff shows them)", width, "+++ ")
