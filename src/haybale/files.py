"""Writing files so that nobody ever sees half of one, and telling later whether somebody changed them."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

READABLE_BY_ALL = 0o644

# The first line of a file that is written again later, while nobody else has changed it.
STAMP = "# Written by {writer}. Changed by hand it stays as it is: sha256:{digest}\n"
STAMPED = re.compile(r"# Written by (?P<writer>.+)\. Changed by hand .*sha256:(?P<digest>[0-9a-f]{64})\n")


def write_atomically(path: Path, content: str | bytes, *, mode: int = READABLE_BY_ALL) -> None:
    """Write a file whole or not at all, replacing what is there; its folder is made where it is missing.

    Text is written as UTF-8 with its line ends as they are. Raises `OSError`; the old file is untouched then,
    and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: only within one file system is a rename atomic.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_ignored_folder(folder: Path) -> None:
    """Make a folder that git ignores by itself, whatever the repository's .gitignore says.

    Raises `OSError`. What is there stays as it is.
    """
    if not (folder / ".gitignore").exists():
        write_atomically(folder / ".gitignore", "*\n")


def add_stamp(text: str, writer: str) -> str:
    """Return a file with a first line that says who wrote it, and carries the digest of the rest."""
    return STAMP.format(writer=writer, digest=hashlib.sha256(text.encode()).hexdigest()) + text


def stamped_writer(text: str) -> str | None:
    """Return who wrote a file, by its stamp; None for one without."""
    found = STAMPED.match(text)
    return found["writer"] if found else None


def is_as_stamped(text: str) -> bool:
    """Whether a file is just as it was written, by its stamp."""
    found = STAMPED.match(text)
    return found is not None and hashlib.sha256(text[found.end() :].encode()).hexdigest() == found["digest"]
