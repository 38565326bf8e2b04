"""SQLite dumps: the database file as it is, or the SQL that makes it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
import struct
import time
from typing import TYPE_CHECKING

from haybale.dump.content import FETCH_HINT, Stream
from haybale.dump.database import Database, Recognised
from haybale.dump.limits import is_nearly_full
from haybale.dump.sql_script import BLANK, ScriptError, Statement, add_functions, read_statements
from haybale.errors import DumpError
from haybale.images.site_services import SQLITE_URL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from haybale.config import DatabaseSettings
    from haybale.dump.limits import Limits

# The beginning of a database file, and the size of its header in bytes (SQLite file format, 1.3).
MAGIC = b"SQLite format 3\x00"
HEADER_SIZE = 100

# How SQL begins, in small letters and without blanks.
SQL_STARTS = (b"--", b"/*", b"pragma", b"begin", b"create", b"drop", b"insert")

FILE, SQL = "sqlite", "sql"

# What SQL does with other database files.
FOREIGN_FILES = (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)

# After so many of SQLite's own instructions a running statement is looked at: a millisecond or less.
STEPS = 10_000

# What SQLite keeps beside a database while it is written: commits that are not in it yet, or what takes back
# one that was not finished (sqlite.org, "Temporary Files Used By SQLite"). Its -shm is made anew.
SIDECARS = ("-wal", "-journal")
SHARED_MEMORY = "-shm"

# Where the header says how a database is written, and what it says of WAL (SQLite file format, 1.3.3).
WRITE_VERSION, WAL_VERSION = 18, 2
# The end of a journal that names another one, with the length of that name before it (src/pager.c,
# readSuperJournal).
JOURNAL_MAGIC = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
JOURNAL_END = struct.Struct(">II8s")

ROLLBACK = re.compile(BLANK.pattern + r"ROLLBACK\b(?!\s+(?:TRANSACTION\s+)?TO\b)", re.IGNORECASE | re.DOTALL)

# How SQL begins that makes a database, and prose does not.
STATEMENT = re.compile(
    BLANK.pattern
    + r"(?:PRAGMA\s+\w+|BEGIN(?:\s+\w+){0,2}\s*;|SAVEPOINT\s"
    + r"|(?:CREATE|DROP)\s+(?:(?:TEMP|TEMPORARY|UNIQUE|VIRTUAL)\s+)?(?:TABLE|INDEX|VIEW|TRIGGER)\s"
    + r"|INSERT\s+(?:OR\s+\w+\s+)?INTO\s)",
    re.IGNORECASE | re.DOTALL,
)

DUMP_FILE_HINT = "dump it again (sqlite3 DATABASE '.backup FILE')"
DUMP_SQL_HINT = "dump it again (sqlite3 DATABASE .dump)"


class SQLite(Database):
    """SQLite: a file that the site opens itself."""

    name = "sqlite"
    formats = (FILE, SQL)
    suffixes = (".sqlite3", ".sqlite", ".db", ".sql")

    def url(self, settings: DatabaseSettings) -> str:
        del settings
        return SQLITE_URL

    def recognise(self, file: Path, start: bytes, *, is_folder: bool) -> Recognised | None:
        del file, is_folder
        if start.startswith(MAGIC):
            return Recognised(database=self, format=FILE)
        # Text has no NUL: a tar may begin with the name of a file that begins so.
        is_text = b"\0" not in start
        text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return Recognised(database=self, format=SQL) if is_text and text.startswith(SQL_STARTS) else None

    def sidecars(self, format_: str) -> tuple[str, ...]:
        return SIDECARS if format_ == FILE else ()

    def expected_size(self, stream: Stream, format_: str) -> int | None:
        if format_ == SQL:
            return stream.size
        # SQLite file format, 1.3: the page size (1 stands for 65536), the size in pages, and the two counters
        # of changes that are equal where that size is valid.
        header = stream.peek(HEADER_SIZE)
        page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
        if not pages or header[24:28] != header[92:96]:
            return stream.size
        return (65536 if page == 1 else page) * pages

    def read(self, stream: Stream, format_: str) -> Iterator[bytes]:
        expected = self.expected_size(stream, format_)
        if stream.size is not None and expected is not None and stream.size != expected:
            raise _wrong_size(stream.file, stream.size, expected)
        size = 0
        for chunk in stream.chunks():
            size += len(chunk)
            if expected is not None and size > expected:
                raise _wrong_size(stream.file, size, expected)
            yield chunk
        if expected is not None and size < expected:
            raise _wrong_size(stream.file, size, expected)

    def prepare(self, file: Path, path: Path, format_: str, limits: Limits) -> str:
        if format_ == SQL:
            execute_sql(file, path, limits)
        if any(path.with_name(path.name + suffix).exists() for suffix in SIDECARS):
            recover(file, path)
        elif _is_in_wal_mode(path):
            # It could be read only where something can be written beside it.
            raise_if_damaged(file, path)
            recover(file, path)
        raise_if_damaged(file, path)
        return FILE


def is_prose(found: Recognised, start: bytes) -> bool:
    """Return whether what begins with these bytes was taken for SQL, and does not go on as SQL does.

    A text beside a database may begin with "Create" or with dashes.
    """
    return found.format == SQL and STATEMENT.match(start.decode(errors="replace")) is None


def _wrong_size(file: Path, size: int, expected: int) -> DumpError:
    what = "too long" if size > expected else "cut off"
    message = f"the database in {file} is {what}: {size} bytes, where its header says {expected}"
    return DumpError(
        message, cause="SQLite would refuse it, or lose what is behind that", hint=DUMP_FILE_HINT
    )


def _is_in_wal_mode(path: Path) -> bool:
    with path.open("rb") as database:
        return database.read(HEADER_SIZE)[WRITE_VERSION : WRITE_VERSION + 1] == bytes([WAL_VERSION])


def _names_super_journal(path: Path) -> bool:
    """Return whether a journal is one of several: whether it counts depends on another file."""
    if not path.exists() or path.stat().st_size < JOURNAL_END.size:
        return False
    with path.open("rb") as journal:
        is_unused = journal.read(1) == b"\0"
        journal.seek(-JOURNAL_END.size, os.SEEK_END)
        length, _, magic = JOURNAL_END.unpack(journal.read())
    return bool(magic == JOURNAL_MAGIC and length and not is_unused)


def recover(file: Path, path: Path) -> None:
    """Let SQLite bring a database and what lies beside it to one file, as whoever opens it next would.

    Raises `DumpError` where it cannot; `file` is the dump that it comes from.
    """
    if _names_super_journal(path.with_name(f"{path.name}-journal")):
        raise DumpError(
            f"the database in {file} was copied within a transaction over several databases",
            cause="whether that was finished stands in a file beside the original, which its journal names",
            hint=DUMP_FILE_HINT,
        )
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            # Nothing else opens the copy: no shared memory is needed.
            database.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            # Reading takes back what was not finished, writing a checkpoint takes in what was.
            database.execute("SELECT count(*) FROM sqlite_master").fetchall()
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            database.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.DatabaseError as error:
        raise DumpError(
            f"the database in {file} cannot be recovered from what lies beside it: {error}",
            cause="SQLite says that of the two, as it would to the site",
            hint=DUMP_FILE_HINT,
        ) from error
    for suffix in (*SIDECARS, SHARED_MEMORY):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def raise_if_damaged(file: Path, path: Path) -> None:
    """Raise `DumpError` where the database at `path` is damaged; `file` is the dump that it comes from."""
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        try:
            ((answer,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            answer = str(error)
    # A collation, function or module of the site's own is no damage; it only ends the check early.
    if answer != "ok" and not answer.startswith(("no such collation", "no such function", "no such module")):
        raise DumpError(
            f"the database in {file} is damaged: {answer}",
            cause="SQLite says that (PRAGMA quick_check)",
            hint=DUMP_FILE_HINT,
        )


def _authorize(action: int, subject: str | None, *_: str | None) -> int:
    """Let SQL do all but what has no business in a dump.

    That is another database file (VACUUM attaches one without a name), and taking everything back: .dump ends
    so where it could not read the whole database.
    """
    is_foreign = action in FOREIGN_FILES and subject != ""
    is_rollback = action == sqlite3.SQLITE_TRANSACTION and subject == "ROLLBACK"
    return sqlite3.SQLITE_DENY if is_foreign or is_rollback else sqlite3.SQLITE_OK


class _Watch:
    """Stops a statement of SQL that takes too much time or space.

    `why` says which of both it was, `is_full` that it was the disk's; None and False before.
    """

    def __init__(self, made: Path, limits: Limits) -> None:
        self._made, self._limits = made, limits
        self.why: str | None = None
        self.is_full = False
        self.begin()

    def begin(self) -> None:
        """Start the time of the next statement."""
        self._end = time.monotonic() + self._limits.seconds

    def __call__(self) -> int:
        """Return whether the statement has to stop, as SQLite asks it."""
        if time.monotonic() > self._end:
            self.why = f"it runs for more than {self._limits.seconds:g} seconds"
        elif self._made.stat().st_size > self._limits.size:
            self.why = f"the database that it makes has more than {self._limits.size} bytes"
        self.is_full = is_nearly_full(self._made.parent, self._limits)
        return self.is_full or self.why is not None


def execute_sql(file: Path, path: Path, limits: Limits) -> None:
    """Replace the SQL in `path` by the database that it makes.

    Statement by statement: only one of them is in memory. Raises `DumpError` that names the line.
    """
    made = path.with_name("executing")
    made.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(made, isolation_level=None)) as database:
            database.text_factory = bytes
            database.set_authorizer(_authorize)
            # A statement may be taken back (SAVEPOINT), which is not defined without a journal.
            database.execute("PRAGMA journal_mode = MEMORY")
            database.execute("PRAGMA synchronous = OFF")
            add_functions(database)
            watch = _Watch(made, limits)
            database.set_progress_handler(watch, STEPS)
            with path.open(encoding="utf-8", newline="\n") as script:
                _execute(file, database, read_statements(script), watch)
            if database.in_transaction:
                raise _cut_off(file, "a transaction")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _execute(
    file: Path, database: sqlite3.Connection, statements: Iterator[Statement], watch: _Watch
) -> None:
    line = 1
    try:
        for each in statements:
            line = each.line
            watch.begin()
            try:
                # To its end: what a statement returns may be what it does.
                for _ in database.execute(each.text):
                    pass
            except sqlite3.Error as error:
                raise _explain_refusal(file, each, error, watch) from error
    except ScriptError as error:
        raise DumpError(
            f"the SQL in {file} is refused at line {error.line}: {error}",
            cause="running it as it is would not give the whole database",
            hint=DUMP_SQL_HINT,
        ) from error
    except UnicodeDecodeError as error:
        raise DumpError(
            f"the SQL in {file} is not UTF-8 after line {line}", cause=str(error), hint=FETCH_HINT
        ) from error


def _explain_refusal(
    file: Path, statement: Statement, error: sqlite3.Error, watch: _Watch
) -> DumpError | OSError:
    """Return the error for a statement that SQLite does not run to its end."""
    line = statement.line
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, "its database is too large")
    if watch.is_full:
        return OSError(errno.ENOSPC, "the rest of the disk is left free")
    if watch.why:
        return DumpError(
            f"the SQL in {file} is stopped at line {line}: {watch.why}",
            cause="no more is allowed: SQL can be written to exhaust whoever runs it",
            hint="where that is right: dump the file itself (sqlite3 DATABASE '.backup FILE')",
        )
    if ROLLBACK.match(statement.text):
        return DumpError(
            f"the SQL in {file} takes back what it made at line {line} (ROLLBACK)",
            cause="the shell writes that where it cannot read all of a database",
            hint="check the database (sqlite3 DATABASE 'PRAGMA integrity_check')",
        )
    if not statement.is_ended:
        return _cut_off(file, f"the statement that begins at line {line}")
    return DumpError(
        f"the SQL in {file} is refused at line {line}: {error}",
        cause="SQLite says that, and what it refuses would not be in the database",
        hint=DUMP_SQL_HINT,
    )


def _cut_off(file: Path, within: str) -> DumpError:
    return DumpError(f"the SQL in {file} ends within {within}", cause="it was cut off", hint=DUMP_SQL_HINT)
