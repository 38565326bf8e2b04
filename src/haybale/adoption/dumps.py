"""The dumps of a repository: what is one by its content, and which one is meant."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.dump.archive import open_content
from haybale.dump.content import Stream
from haybale.dump.recognition import find_database
from haybale.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

# How files are called that may be dumps; what they are is told by their content.
DUMP_NAME = re.compile(r"\.(sql|sqlite3?|db|dump|pgdump|backup)(\.|$)|latest", re.IGNORECASE)
# A date in a name: one of several dumps.
DATE = re.compile(r"[0-9]{4}[-_.]?[0-9]{2}[-_.]?[0-9]{2}")


@dataclass(frozen=True, kw_only=True)
class FoundDump:
    """A dump, or the link to one: its path from the root.

    `target` is what a link leads to, from the root too (None: no link, or it leads out of the repository).
    `is_shared`: everybody who clones the repository has it. `database` and `format` are None for a link that
    leads nowhere here; `server` is the version of the PostgreSQL that it was made of, where it says so.
    """

    path: str
    is_link: bool
    target: str | None = None
    is_shared: bool = True
    database: str | None = None
    format: str | None = None
    server: int | None = None

    @property
    def is_here_for_all(self) -> bool:
        """Whether everybody who clones the repository has the dump itself."""
        return self.is_shared and self.database is not None

    @property
    def is_dated(self) -> bool:
        """Whether its name has a date in it."""
        return DATE.search(PurePosixPath(self.path).name) is not None


def find_dumps(
    root: Path, files: Sequence[str], is_shared: Callable[[str], bool] = lambda _: True
) -> tuple[FoundDump, ...]:
    """Return the dumps in the order in which they are likely to be meant; `is_shared` says that of a file.

    A link says which one is meant; of files named by date it is the newest; a database at the site's side is
    most likely somebody's own.
    """
    found = [*_find(root, files, is_shared)]
    found.sort(key=lambda each: each.path, reverse=True)
    found.sort(key=lambda each: (not each.is_link, each.path.count("/") == 0 or "db.sqlite3" in each.path))
    return tuple(found)


def _find(root: Path, files: Sequence[str], is_shared: Callable[[str], bool]) -> Iterator[FoundDump]:
    for file in files:
        if not DUMP_NAME.search(PurePosixPath(file).name):
            continue
        path = root / file
        leads_to = _leads_to(root, file)
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # RuntimeError: a link to itself
            if path.is_symlink():
                yield FoundDump(path=file, is_link=True, target=leads_to)
            continue
        try:
            with open_content(target) as content:
                found = find_database(path, content.peek()) if isinstance(content, Stream) else None
        except (DumpError, OSError):
            continue
        if found:
            yield FoundDump(
                path=file, is_link=path.is_symlink(), target=leads_to, is_shared=is_shared(leads_to or file),
                database=found.database.name, format=found.format, server=found.server,
            )  # fmt: skip


def _leads_to(root: Path, file: str) -> str | None:
    """Return what a link leads to, from the root; None for no link, or one that leads out."""
    path = root / file
    if not path.is_symlink():
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path.readlink().as_posix()))
    return None if target.startswith(("..", "/")) else target
