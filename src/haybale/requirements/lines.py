"""The lines of requirements files, as pip reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from haybale.errors import RequirementsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"

# pip documentation, "Requirements File Format".
INCLUDE = re.compile(r"^(?:-r|--requirement|-c|--constraint)[\s=]*(?P<file>\S+)")
REQUIREMENT = re.compile(rf"^(?P<name>{NAME})")


def read_text(file: Path) -> str:
    """Return the text of a requirements file, "" where there is none."""
    try:
        return file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    except UnicodeDecodeError as error:
        raise RequirementsError(f"{file} is not UTF-8: {error}", hint="save it as UTF-8") from error


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of an input without comments, numbered (by the first, where one is continued).

    As in pip, req/req_file.py: a backslash at the end continues a line.
    """
    start, joined = 1, ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if joined else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1]
            continue
        if requirement := re.split(r"(?:^|\s)#", joined + line)[0].strip():
            yield start, requirement
        joined = ""
    if joined.strip():
        yield start, joined.strip()


def with_included(files: list[Path]) -> list[Path]:
    """Return files, and what they include with -r and -c, each once."""
    found = list(files)  # appended to while it is gone through
    for file in found:
        for _, line in logical_lines(read_text(file)):
            if included := INCLUDE.match(line):
                more = file.parent / included["file"]
                if more.is_file() and more not in found:
                    found.append(more)
    return found
