"""The lines of requirements files, as pip reads them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import RequirementsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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


def included_by(file: Path) -> list[Path]:
    """Return the files that are there of those that a file includes with -r and -c."""
    matches = [INCLUDE.match(line) for _, line in logical_lines(read_text(file))]
    found = [normal_path(file.parent / match["file"]) for match in matches if match]
    return [each for each in found if each.is_file()]


def with_included(files: Iterable[Path]) -> list[Path]:
    """Return files, and what they include with -r and -c, each once."""
    found = [normal_path(file) for file in files]  # appended to while it is gone through
    for file in found:
        found.extend(more for more in included_by(file) if more not in found)
    return found


def normal_path(path: Path) -> Path:
    """Return an absolute path without `..` in it, as it is written: links are not followed."""
    return Path(os.path.normpath(path))


def redirect_includes(file: Path, text: str, places: Mapping[Path, Path]) -> str:
    """Return the text of a file with -r and -c of other files in place of those that `places` maps."""
    lines = []
    for line in text.splitlines():
        match = INCLUDE.match(line)
        place = places.get(normal_path(file.parent / match["file"])) if match else None
        if match and place:
            start, end = match.span("file")
            line = f"{line[:start]}{Path(match['file']).with_name(place.name)}{line[end:]}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join([*lines, ""])
