"""buildx: which builder it builds with, and which files of a folder it sees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docker.utils.build import PatternMatcher

from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterable

DRIVER = re.compile(r"^Driver:\s*(?P<name>\S+)", re.MULTILINE)


def read_driver() -> str | None:
    """Return the driver of the builder that is chosen, None where buildx does not say it."""
    found = DRIVER.search(process.run(["docker", "buildx", "inspect"]).stdout)
    return found["name"] if found else None


def files_in_context(files: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """Return those of these files (paths from the context) that the lines of a .dockerignore leave in."""
    left_out = PatternMatcher(list(ignored))
    # It takes texts, whatever its types say.
    return [file for file in files if not left_out.matches(file)]  # type: ignore[arg-type]
