"""How much a dump may hold, and how long its SQL may run: some never end."""

from __future__ import annotations

import re
import shutil
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.config import DatabaseSettings

# Powers of 1024, by the letter that a setting has for them.
UNITS = {"m": 1 << 20, "g": 1 << 30}
SIZE = re.compile(r"(?P<number>[0-9]+)(?P<unit>[mg])")

# Of a tar: bytes of one member's further headers. Names and times take less than a tenth of it.
LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a dump may take.

    - `size`: bytes of all that it holds, unpacked, and of the database that its SQL makes.
    - `files`: how many files an archive or a folder has.
    - `seconds`: one statement of an SQLite script.
    - `free`: bytes that stay free on the disk that it is unpacked to, whatever it holds.
    """

    size: int = 64 * UNITS["g"]
    files: int = 100_000
    seconds: float = 900
    free: int = UNITS["g"]


def parse_size(text: str) -> int:
    """Return the bytes of a size such as 500m or 64g; raises `ValueError` for anything else."""
    found = SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size such as 500m or 64g")
    return int(found["number"]) * UNITS[found["unit"]]


def configured_limits(settings: DatabaseSettings) -> Limits:
    """Return what the settings let a dump take."""
    return Limits(size=parse_size(settings.limit))


def raise_if_larger(file: Path, size: int, limits: Limits) -> None:
    """Raise `DumpError` where a dump holds more bytes than it may."""
    if size > limits.size:
        allowed = f"{limits.size / UNITS['g']:g} GiB"
        raise DumpError(
            f"{file} holds more than {allowed}",
            cause="so much is the limit: a small archive can be made to fill a disk",
            hint="where that is right: raise limit in [tool.haybale.database]",
        )


def raise_if_more_files(file: Path, count: int, limits: Limits) -> None:
    """Raise `DumpError` where a dump is of more files than it may."""
    if count > limits.files:
        raise DumpError(
            f"{file} holds more than {limits.files} files",
            cause="no dump has so many: it is another archive, or was made to exhaust whoever reads it",
            hint="dump the database again (pg_dump --format=custom)",
        )


def is_nearly_full(folder: Path, limits: Limits) -> bool:
    """Whether the disk of a folder has no more space than has to stay free."""
    return shutil.disk_usage(folder).free < limits.free


class BoundedTarInfo(tarfile.TarInfo):
    """A member of a tar whose further headers, which are read into memory whole, are of a sensible size."""

    def _bounded(self, tar: tarfile.TarFile, read: Any) -> Any:
        if self.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return read(tar)

    def _proc_pax(self, tar: tarfile.TarFile) -> Any:
        return self._bounded(tar, super()._proc_pax)  # type: ignore[misc]

    def _proc_gnulong(self, tar: tarfile.TarFile) -> Any:
        return self._bounded(tar, super()._proc_gnulong)  # type: ignore[misc]
