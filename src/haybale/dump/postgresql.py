"""PostgreSQL dumps: as SQL, as pg_dump's own archive, as a tar, as a folder.

What an archive says of itself stands at its beginning (PostgreSQL, src/bin/pg_dump/pg_backup_archiver.c,
WriteHead): a number is a byte for the sign and as many bytes as the header says, a text is a number and so
many bytes.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from haybale.dump.archive import AGAIN, POSTGRESQL_MAGIC, Source
from haybale.errors import DumpError
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The formats of archives (pg_backup.h, ArchiveFormat).
CUSTOM, TAR, DIRECTORY = 1, 3, 5

# The version of archives since which a byte, not a number, tells how they are compressed (pg_dump 16).
BYTE_OF_COMPRESSION = (1, 15)

# What pg_dump says at the beginning and, where it came to its end, at the end of an SQL script.
_FROM = re.compile(rb"^-- Dumped (?:from database|by pg_dump) version (\d+)", re.MULTILINE)
_DONE = b"-- PostgreSQL database dump complete"
_END = 512
_CREATES = re.compile(rb"^CREATE DATABASE ", re.MULTILINE)

REDO = "dump it again (pg_dump --format=custom)"


def kind(file: Path, start: bytes) -> int:
    """Return the format of an archive that begins with these bytes; raises `DumpError`."""
    found = start[len(POSTGRESQL_MAGIC) + 5] if len(start) > len(POSTGRESQL_MAGIC) + 5 else 0
    if found not in {CUSTOM, TAR, DIRECTORY}:
        raise DumpError(
            f"{file} is damaged: it begins as a PostgreSQL archive and goes on as none",
            cause="it was cut off or changed on its way here",
            hint=AGAIN,
        )
    return found


def version(file: Path, start: bytes) -> int:
    """Return the major version that a server needs to have for an archive that begins with these bytes.

    That is the newer one of the server that it came from and the pg_dump that made it. Raises `DumpError`
    where the bytes are damaged.
    """
    try:
        said = _versions(io.BytesIO(start[len(POSTGRESQL_MAGIC) :]))
        return max(int(found[1]) for each in said if (found := re.match(r"(\d+)", each)))
    except (ValueError, IndexError) as error:
        raise DumpError(
            f"{file} is damaged: its beginning does not tell which PostgreSQL it is of",
            cause="it was cut off or changed on its way here",
            hint=AGAIN,
        ) from error


def _versions(header: io.BytesIO) -> tuple[str, str]:
    major, minor, _revision, width, _offsets, _format = _bytes(header, 6)

    def number() -> int:
        sign, *digits = _bytes(header, 1 + width)
        return -int.from_bytes(bytes(digits), "little") if sign else int.from_bytes(bytes(digits), "little")

    def text() -> str:
        length = number()
        return _bytes(header, length).decode("utf-8", "replace") if length > 0 else ""

    if (major, minor) >= BYTE_OF_COMPRESSION:
        _bytes(header, 1)
    else:
        number()
    for _ in range(7):  # when it was made: second to year, and whether in summer time
        number()
    text()  # the database's name
    return text(), text()


def _bytes(header: io.BytesIO, size: int) -> bytes:
    read = header.read(size)
    if len(read) < size:
        raise ValueError(size)
    return read


def script_version(file: Path, start: bytes) -> int:
    """Return what `version` does, for an SQL script; 0 where it does not say.

    Raises `DumpError` where the script makes a database of its own.
    """
    if _CREATES.search(start):
        raise DumpError(
            f"{file} makes a database of its own",
            cause="it was made with --create: what it holds would not be where the site looks",
            hint="dump it again without --create (pg_dump --format=custom)",
        )
    return max((int(found) for found in _FROM.findall(start)), default=0)


def script(source: Source) -> Iterator[bytes]:
    """Yield an SQL script in pieces, and check that it came to its end; raises `DumpError`."""
    end = b""
    for chunk in source.chunks():
        end = (end + chunk)[-_END:]
        yield chunk
    if _DONE not in end:
        raise DumpError(
            f"the SQL in {source.file} is cut off: it does not end as pg_dump ends",
            cause="dumping it failed midway, or it was cut off on its way here",
            hint=REDO,
        )


def check_server(wanted: int, image: str) -> None:
    """Raise `DumpError` where the server in an image is older than the version that a dump needs."""
    code, said = sdk.run_container(image, ["postgres", "--version"])
    found = re.search(r"PostgreSQL\) (\d+)", said)
    if code or not found:
        raise DumpError(
            f"{image} has no PostgreSQL server: {said or 'it says nothing'}",
            cause="the dump is PostgreSQL's, and images.postgres is no image of it",
            hint="set images.postgres (docs/configuration.md)",
        )
    if int(found[1]) < wanted:
        raise DumpError(
            f"the dump is of PostgreSQL {wanted}, and {image} is PostgreSQL {found[1]}",
            cause="a server takes no dump of a newer one",
            hint=f'set images.postgres = "postgres:{wanted}" (or POSTGRES_IMAGE)',
        )
