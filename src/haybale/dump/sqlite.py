"""SQLite dumps: the database file as it is, or the SQL that makes it."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from typing import TYPE_CHECKING

from haybale.dump.archive import AGAIN, REPACK, SQLITE_MAGIC, Source, stranger
from haybale.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Bytes of a database's header (SQLite file format, 1.3).
HEADER = 100

REDO = "dump it again (sqlite3 DATABASE '.backup FILE')"


def is_database(file: Path) -> bool:
    """Return whether a file begins as a database does."""
    with file.open("rb") as stream:
        return stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def expected_size(source: Source, header: bytes) -> int:
    """Return the size in bytes that a database has by its header; where that is not valid, the declared one.

    That is 0 where there is none. Raises `DumpError` where it is not the header of a database.
    """
    if not header:
        raise DumpError(f"{source.file} holds an empty database", cause="dumping it failed", hint=REDO)
    if not header.startswith(SQLITE_MAGIC):
        what = stranger(header)
        raise DumpError(
            f"{source.file} holds no database",
            cause=f"what it holds is {what}" if what else "its first bytes are not those of one",
            hint=REPACK,
        )
    # SQLite file format, 1.3: the page size (1 stands for 65536), the size in pages, and the two counters of
    # changes that are equal where that size is valid.
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    if not pages or header[24:28] != header[92:96]:
        return source.size or 0
    return (65536 if page == 1 else page) * pages


def pieces(source: Source) -> Iterator[bytes]:
    """Yield a database in pieces, and check on the way that it is as long as its header says.

    Raises `DumpError`.
    """
    expected = expected_size(source, source.peek(HEADER))
    if source.size not in {None, expected}:
        raise wrong_size(source.file, source.size or 0, expected)
    size = 0
    for chunk in source.chunks():
        size += len(chunk)
        if expected and size > expected:
            raise wrong_size(source.file, size, expected)
        yield chunk
    if size < expected:
        raise wrong_size(source.file, size, expected)


def wrong_size(file: Path, size: int, expected: int) -> DumpError:
    """Return what there is to say of a database that is not as long as its header says."""
    if size > expected:
        return DumpError(
            f"the database in {file} is too long: {size} bytes, where its header says {expected}",
            cause="something was added to it, or its header is damaged",
            hint=REDO,
        )
    return DumpError(
        f"the database in {file} is cut off: {size} bytes, where its header says {expected}",
        cause="it was copied before it was written whole",
        hint=REDO,
    )


def check(file: Path, path: Path) -> None:
    """Raise `DumpError` where the unpacked database is not sound."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        try:
            ((said,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            said = str(error)
    # A collation, function or module of the site's own is no damage; it only ends the check early.
    if said != "ok" and not said.startswith(("no such collation", "no such function", "no such module")):
        raise DumpError(
            f"the database in {file} is damaged: {said}",
            cause="it was copied while something wrote to it, or changed on its way here",
            hint=REDO,
        )


def execute(file: Path, path: Path) -> int:
    """Put the database that the SQL in `path` makes in its place; return its size in bytes.

    Statement by statement: only one of them is in memory. Raises `DumpError` that names the line.
    """
    made = path.with_name("executing")
    made.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as database:
            # Another database file is none of the dump's business.
            database.set_authorizer(_permit)
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            for line, statement in _statements(file, path):
                try:
                    database.execute(statement)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                        raise OSError(errno.ENOSPC, "its database is too large") from error
                    raise _refused(file, line, error) from error
                except sqlite3.Error as error:
                    raise _refused(file, line, error) from error
            if database.in_transaction:
                raise DumpError(
                    f"the SQL in {file} ends within a transaction",
                    cause="it was cut off",
                    hint="dump it again (sqlite3 DATABASE .dump)",
                )
        made.replace(path)
        return path.stat().st_size
    finally:
        made.unlink(missing_ok=True)


def _permit(action: int, *_: object) -> int:
    return (
        sqlite3.SQLITE_DENY if action in {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH} else sqlite3.SQLITE_OK
    )


def _refused(file: Path, line: int, error: sqlite3.Error) -> DumpError:
    return DumpError(
        f"the SQL in {file} is refused at line {line}: {error}",
        cause="it is not SQLite's, or was changed on its way here",
        hint="dump it again (sqlite3 DATABASE .dump)",
    )


def _statements(file: Path, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the statements of the SQL in `path`, each with the line (from 1) at which it begins."""
    statement, start = "", 1
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if not statement.strip():
                    statement, start = "", number
                statement += line
                if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
                    yield start, statement
                    statement = ""
        except UnicodeDecodeError as error:
            raise DumpError(
                f"the SQL in {file} is no UTF-8 after line {start}", cause=str(error), hint=AGAIN
            ) from error
    if statement.strip():
        raise DumpError(
            f"the SQL in {file} ends within the statement that begins at line {start}",
            cause="it was cut off",
            hint="dump it again (sqlite3 DATABASE .dump)",
        )
