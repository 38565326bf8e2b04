"""PostgreSQL dumps: as SQL, as pg_dump's own archive, as a tar, as a folder.

An archive describes itself at its beginning (PostgreSQL, src/bin/pg_dump/pg_backup_archiver.c, WriteHead):
after the magic, its version in three bytes, two sizes and its format; then numbers (a byte for the sign, and
as many bytes as the first size says) and texts (a number, and so many bytes).
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from haybale.addresses import POSTGRESQL_HOST, POSTGRESQL_PORT
from haybale.dump.content import FETCH_HINT, REPACK_HINT, Stream, damaged
from haybale.dump.database import Database, Recognised
from haybale.dump.psql_script import LineError, ScriptContents, ScriptReader
from haybale.errors import DumpError, ServiceError
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from haybale.config import DatabaseSettings
    from haybale.image_ref import ImageRef

MAGIC = b"PGDMP"

# What Windows makes of text that goes through PowerShell: UTF-16, with its byte order mark.
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

PLAIN, CUSTOM, TAR, DIRECTORY = "plain", "custom", "tar", "directory"

# Where an archive's format stands, and the formats by their number there (pg_backup.h, ArchiveFormat).
FORMAT_OFFSET = len(MAGIC) + 5
ARCHIVE_FORMATS = {b"\1": CUSTOM, b"\3": TAR, b"\5": DIRECTORY}

# The table of contents: a file of a dump in a folder, the first member of a tar; the size of a tar's header.
CONTENTS = "toc.dat"
TAR_HEADER_SIZE = 512

# The version of archives since which a byte, not a number, tells how they are compressed (pg_dump 16).
BYTE_OF_COMPRESSION = (1, 15)

# Bytes that are read at once.
CHUNK = 1 << 20


class PostgreSQL(Database):
    """PostgreSQL: a server in a container of its own, filled from what pg_dump made."""

    name = "postgresql"
    formats = (PLAIN, CUSTOM, TAR, DIRECTORY)
    suffixes = (".sql", ".dump", ".pgdump", ".backup")
    folder_marker = CONTENTS
    image_setting = "postgres"

    def url(self, settings: DatabaseSettings) -> str:
        parts = (settings.user, settings.password, settings.name)
        user, password, name = (quote(part, safe="") for part in parts)
        return f"postgresql://{user}:{password}@{POSTGRESQL_HOST}:{POSTGRESQL_PORT}/{name}"

    def recognise(self, file: Path, start: bytes, *, is_folder: bool) -> Recognised | None:
        if found := self._recognise_script(file, start):
            return found
        is_tar = start[:100].rstrip(b"\0") == CONTENTS.encode()
        archive = start[TAR_HEADER_SIZE:] if is_tar else start
        if not archive.startswith(MAGIC):
            return None
        format_ = ARCHIVE_FORMATS.get(archive[FORMAT_OFFSET : FORMAT_OFFSET + 1])
        if format_ is None:
            raise damaged(f"{file} is damaged: it begins as a PostgreSQL archive and does not go on as one")
        if is_tar and format_ != TAR:
            return None  # a folder in a tar
        if not (is_tar or is_folder or format_ == CUSTOM):
            raise DumpError(
                f"{file} holds only the table of contents of a PostgreSQL dump",
                cause=f"a dump in a folder is all of it: {CONTENTS} and what is beside it",
                hint=REPACK_HINT,
            )
        version = _archive_version(file, archive)
        return Recognised(database=self, format=DIRECTORY if is_folder else format_, server=version)

    def _recognise_script(self, file: Path, start: bytes) -> Recognised | None:
        """Return what an SQL script is by the comments that pg_dump writes, wherever they stand."""
        if start.startswith(UTF_16_MARKS) and b"PostgreSQL database" in start.replace(b"\0", b""):
            raise DumpError(
                f"{file} is UTF-16, which psql does not read",
                cause="pg_dump's output went through PowerShell",
                hint="let pg_dump write the file itself (pg_dump --file=FILE), and dump it again",
            )
        if b"\0" in start:
            return None  # a tar or an archive, which may hold a script
        script = ScriptReader()
        script.feed(start)
        if script.contents.is_cluster:
            raise DumpError(
                f"{file} is a PostgreSQL dump of a whole server (pg_dumpall)",
                cause="which of its databases is the site's is not known",
                hint="dump the site's database (pg_dump --format=custom)",
            )
        if not script.contents.is_dump:
            return None
        return Recognised(database=self, format=PLAIN, server=script.contents.server)

    def read(self, stream: Stream, format_: str) -> Iterator[bytes]:
        # Of an archive, only pg_restore can say whether it is whole.
        script = ScriptReader()
        for chunk in stream.chunks():
            if format_ == PLAIN:
                _feed(stream.file, script, chunk)
            yield chunk
        if format_ == PLAIN:
            _check_script(stream.file, script)

    def read_contents(self, image: ImageRef, path: Path, format_: str) -> ScriptContents:
        script = ScriptReader()
        if format_ == PLAIN:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    script.feed(chunk)
        else:
            command = ["pg_restore", "--file=-", "--no-owner", "--no-privileges", "--no-tablespaces", "/dump"]
            try:
                for chunk in sdk.stream_container(image, command, {path: "/dump"}):
                    script.feed(chunk)
            except ServiceError as error:
                raise DumpError(
                    "pg_restore does not read the dump to its end",
                    cause=error.log.strip().splitlines()[0] if error.log.strip() else error.message,
                    hint=FETCH_HINT,
                    log=error.log,
                ) from error
        contents = script.finish()
        if contents.rows and not contents.created:
            raise DumpError(
                f"the dump has rows of {len(contents.tables)} tables, and makes none of them",
                cause="it was made with --data-only",
                hint="dump it again without that (pg_dump --format=custom)",
            )
        return contents

    def check_server(self, image: ImageRef, wanted: int | None) -> None:
        code, output = sdk.run_container(image, ["postgres", "--version"])
        found = re.search(r"PostgreSQL\) (\d+)", output)
        if code or not found:
            raise DumpError(
                f"{image} has no PostgreSQL server: {output or 'it prints nothing'}",
                cause="the dump is PostgreSQL's, and images.postgres is another image",
                hint="set images.postgres (docs/configuration.md)",
            )
        if wanted is not None and int(found[1]) < wanted:
            raise DumpError(
                f"the dump is of PostgreSQL {wanted}, and {image} is PostgreSQL {found[1]}",
                cause="a server cannot restore a dump of a newer one",
                hint=f'set images.postgres = "postgres:{wanted}" (or POSTGRES_IMAGE)',
            )


def _feed(file: Path, script: ScriptReader, chunk: bytes) -> None:
    try:
        script.feed(chunk)
    except LineError as error:
        raise damaged(f"the SQL in {file} is damaged: {error}, which no server takes") from error


def _check_script(file: Path, script: ScriptReader) -> None:
    """Raise `DumpError` where a script is not whole, or not of one database."""
    is_within, contents = script.is_within, script.finish()
    if is_within or not contents.is_complete:
        where = (
            "it ends within rows, a string or a comment" if is_within else "it does not end as pg_dump ends"
        )
        raise DumpError(
            f"the SQL in {file} is cut off: {where}",
            cause="what comes after that, if anything, is not in it",
            hint="dump it again (pg_dump --format=custom)",
        )
    if contents.stray:
        line, text = contents.stray[0]
        raise DumpError(
            f"the SQL in {file} is spoiled at line {line}: {text!r} is no SQL",
            cause="psql reads it as one with the statement behind it, whose table or rows are lost",
            hint="dump it again, without a terminal between (pg_dump --file=FILE)",
        )
    if contents.other_database:
        raise DumpError(
            f"{file} makes a database of its own",
            cause="it was made with --create: what it holds would not be where the site looks",
            hint="dump it again without --create (pg_dump --format=custom)",
        )
    if contents.command:
        line, text = contents.command
        raise DumpError(
            f"the SQL in {file} has a command of psql's own at line {line}: {text!r}",
            cause="psql's commands run programs and read files, and pg_dump writes none",
            hint="remove that line, where it is yours; else dump it again (pg_dump --format=custom)",
        )


def _archive_version(file: Path, archive: bytes) -> int:
    """Return the newer one of the server that an archive came from and the pg_dump that made it."""
    header = io.BytesIO(archive[len(MAGIC) :])

    def read(size: int) -> bytes:
        if len(found := header.read(size)) < size:
            raise ValueError(size)
        return found

    def read_text() -> str:
        sign, *digits = read(1 + number_size)
        length = 0 if sign else int.from_bytes(bytes(digits), "little")
        return read(length).decode("utf-8", "replace")

    try:
        major, minor, _revision, number_size, _offset_size, _format = read(6)
        read(1 if (major, minor) >= BYTE_OF_COMPRESSION else 1 + number_size)
        read(7 * (1 + number_size))  # when it was made: second to year, and whether in summer time
        _name, *versions = read_text(), read_text(), read_text()
        return max(int(found[1]) for each in versions if (found := re.match(r"(\d+)", each)))
    except ValueError as error:
        raise damaged(f"{file} is damaged: its beginning does not tell which PostgreSQL it is of") from error
