"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

READABLE_BY_ALL = 0o644


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
