"""The reference dump: found through its link, checked, and unpacked, before any container starts.

Everything is streamed; the unpacked database appears under its final name only when it is whole and sound.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import fcntl
import gzip
import hashlib
import json
import lzma
import os
import shutil
import sqlite3
import stat
import struct
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

from haybale.errors import ConfigError, DumpError, MachineError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Bytes read at once.
CHUNK = 1 << 20

# Names that a database has inside an archive, or its SQL.
DATABASES = (".sqlite3", ".sqlite", ".db", ".sql")

# The first bytes of each kind (ZIP appnote 4.3.7, RFC 1952 2.3.1, SQLite file format 1.3).
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
GZIP_MAGIC = b"\x1f\x8b"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SQLITE_MAGIC = b"SQLite format 3\x00"
SQLITE_HEADER = 100

# How a zip's database may be packed. What a newer Python adds to these is refused by all alike: whether a
# dump is sound does not depend on who looks.
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

SCRIPT = "an SQL script"

# What is sometimes there in place of a dump, by its first bytes, in small letters and without blanks.
STRANGERS = (
    ((b"<!doctype", b"<html", b"<?xml", b"<head"), "a page of the web"),
    ((b"{",), "JSON"),
    ((b"7z\xbc\xaf\x27\x1c",), "a 7-Zip archive"),
    ((b"pgdmp", b"-- postgresql", b"--\n-- postgresql"), "a PostgreSQL dump"),
    ((b"-- mysql", b"-- mariadb"), "a MySQL dump"),
    ((b"--", b"/*", b"pragma", b"begin", b"create", b"drop", b"insert"), SCRIPT),
    ((b"pk\x03\x04", GZIP_MAGIC, BZIP2_MAGIC.lower(), XZ_MAGIC.lower(), ZSTD_MAGIC), "another archive"),
)
# How a compressed file is read, by its first bytes.
COMPRESSED: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (GZIP_MAGIC, gzip.open),
    (BZIP2_MAGIC, bz2.open),
    (XZ_MAGIC, lzma.open),
    (ZSTD_MAGIC, zstd.open),
)
LFS_MAGIC = b"version https://git-lfs"

# What the readers of archives raise on damaged ones. zipfile also stumbles over directories that are wrong.
DAMAGED = (
    EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile, gzip.BadGzipFile,
    struct.error, ValueError, IndexError, OverflowError,
)  # fmt: skip

# The file that notes a dump's digest.
DIGEST_NOTE = "digest.json"

# The coarsest time of change that a file system notes (FAT's), in nanoseconds.
GRAIN = 2_000_000_000

AGAIN = "get the dump again and put it in its place"
REPACK = "make the archive again, with the database alone in it"
REDO = "dump it again (sqlite3 DATABASE '.backup FILE')"


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A dump: the link that the setting matches, and the file that it leads to (absolute)."""

    link: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """An unpacked database: where it is, its size in bytes, the SHA-256 (hex) of what was dumped."""

    path: Path
    size: int
    sha256: str


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""


def resolve(root: Path, pattern: str) -> Dump:
    """Return the one dump that the pattern (a glob from `root`) matches.

    The link may lead out of the repository (dumps are often kept elsewhere), but not nowhere. Raises
    `DumpError`, or `ConfigError` where the pattern can't be one.
    """
    try:
        links = sorted(root.glob(pattern))
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"the setting `dump` is {pattern!r}: {error}",
            cause="it is a glob that starts in the repository, such as dumps/*latest.sql*",
        ) from error
    # Without a wildcard, glob finds only what the link leads to.
    if not links and (root / pattern).is_symlink():
        links = [root / pattern]
    if not links:
        raise DumpError(
            f"no dump matches {root / pattern}",
            cause="the link to the latest dump is missing, or is called something else",
            step=f"make it (ln -s FILE {pattern.replace('*', 'SITE_', 1).replace('*', 'ite3.zip')}),"
            " or mend the setting `dump`",
        )
    if len(links) > 1:
        raise DumpError(
            f"several dumps match {root / pattern}: {', '.join(link.name for link in links)}",
            cause="an older link was left in place",
            step="leave one of them",
        )
    (link,) = links
    try:
        target = link.resolve()
        there = target.exists()
    except (OSError, RuntimeError):  # a link that leads back to itself
        target, there = link, False
    if not there:
        raise DumpError(
            f"{link} leads to {link.readlink() if link.is_symlink() else target}, which does not exist",
            cause="the dump was renamed or not fetched, and the link was left behind",
            step="put the file there, or point the link at the newest dump",
        )
    if not target.is_file():
        raise DumpError(
            f"{target} is not a file",
            cause=f"{link.name} leads to a folder or a device",
            step="point the link at the newest dump",
        )
    return Dump(link=link, target=target)


def digest(dump: Dump, into: Path) -> str:
    """Return the SHA-256 (hex) of the database in the dump, without writing it anywhere.

    It is noted in the folder `into`: a dump whose file is the same since costs only a look at its metadata.
    Two archives of the same database have the same digest. Raises as `unpack` does, but for what only the
    unpacked database shows.
    """
    note = into / DIGEST_NOTE
    known = _known_digest(note, dump)
    if known is not None:
        return known
    looked, archive = time.time_ns(), _fingerprint(dump.target)
    hashed = hashlib.sha256()
    with _explained(dump, into):
        with dump.target.open("rb") as stream, _opened(dump.target, stream) as source:
            for chunk in _database(source):
                hashed.update(chunk)
        into.mkdir(parents=True, exist_ok=True)
        _write_note(note, {"archive": archive, "looked": looked, "sha256": hashed.hexdigest()})
    return hashed.hexdigest()


def unpack(dump: Dump, into: Path) -> Unpacked:
    """Check the dump and unpack its database into the folder `into`; return it.

    A dump that was unpacked before, and whose file is the same since, costs only a look at its metadata.
    Whoever else unpacks into the same folder at that time is waited for. Raises `DumpError` where the dump is
    damaged, unsafe or no database, `MachineError` where it can't be read or written, as on a full disk.
    """
    note = into / "unpacked.json"
    known = _known(note, dump)
    if known is not None:
        return known
    with _explained(dump, into):
        into.mkdir(parents=True, exist_ok=True)
        with (into / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _known(note, dump) or _unpack(dump, into, note)


@contextlib.contextmanager
def _explained(dump: Dump, into: Path) -> Iterator[None]:
    """Explain what the file system refuses."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise MachineError(
            f"{dump.target} can't be unpacked into {into}: {error}",
            cause="there is no space left" if full else "",
            step=f"make room, or remove {into}" if full else "mend that and try again",
        ) from error


def _unpack(dump: Dump, into: Path, note: Path) -> Unpacked:
    looked = time.time_ns()
    archive = _fingerprint(dump.target)
    aside = into / "unpacking"
    try:
        with dump.target.open("rb") as stream, _opened(dump.target, stream) as source:
            size, hashed = _copy(source, aside)
        if not _is_database(aside):
            size = _execute(dump.target, aside)
        _check_database(dump.target, aside)
        # The site's user reads it, whatever the umask of whoever unpacked it.
        aside.chmod(0o644)
        path = into / f"{hashed}.sqlite3"
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    unpacked = Unpacked(path=path, size=size, sha256=hashed)
    _remember(note, archive, looked, unpacked)
    _write_note(into / DIGEST_NOTE, {"archive": archive, "looked": looked, "sha256": hashed})
    _drop_others(into, path)
    return unpacked


def _is_database(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC


def _execute(file: Path, path: Path) -> int:
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
                    step="dump it again (sqlite3 DATABASE .dump)",
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
        step="dump it again (sqlite3 DATABASE .dump)",
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
                f"the SQL in {file} is no UTF-8 after line {start}", cause=str(error), step=AGAIN
            ) from error
    if statement.strip():
        raise DumpError(
            f"the SQL in {file} ends within the statement that begins at line {start}",
            cause="it was cut off",
            step="dump it again (sqlite3 DATABASE .dump)",
        )


def _fingerprint(file: Path) -> list[str | int]:
    """Return what changes when the file does: its path, inode and size, and when it and its inode changed.

    The inode's time can't be set back, as `touch` and `cp --preserve` do with the file's.
    """
    found = file.stat()
    return [str(file), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _remember(note: Path, archive: list[str | int], looked: int, unpacked: Unpacked) -> None:
    fields = {
        "archive": archive, "looked": looked, "unpacked": _fingerprint(unpacked.path),
        "size": unpacked.size, "sha256": unpacked.sha256,
    }  # fmt: skip
    _write_note(note, fields)


def _write_note(note: Path, fields: Mapping[str, Any]) -> None:
    """Write a note, whole or not at all."""
    aside = note.with_name(f"{note.name}.{os.getpid()}.new")
    aside.write_text(json.dumps(fields), encoding="utf-8")
    aside.replace(note)


def _same(noted: Mapping[str, Any], dump: Dump) -> bool:
    """Return whether a dump's file is what it was when it was noted, as far as that can be relied on.

    A file that was changed shortly before our look, or later, may have been changed once more within the
    grain of the file system's time, with the same size: then its time says nothing (git,
    Documentation/technical/racy-git).
    """
    settled = max(noted["archive"][-2:]) + GRAIN < noted["looked"]
    return bool(settled and noted["archive"] == _fingerprint(dump.target))


def _known_digest(note: Path, dump: Dump) -> str | None:
    """Return the digest that was noted, where it can be relied on."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        return str(noted["sha256"]) if _same(noted, dump) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _known(note: Path, dump: Dump) -> Unpacked | None:
    """Return what was unpacked before, where it can be relied on."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        unpacked = Unpacked(
            path=note.parent / f"{noted['sha256']}.sqlite3", size=noted["size"], sha256=noted["sha256"]
        )
        whole = noted["unpacked"] == _fingerprint(unpacked.path)
        return unpacked if whole and _same(noted, dump) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _drop_others(into: Path, path: Path) -> None:
    """Remove databases of earlier dumps; a container that has one mounted keeps it until it ends."""
    for other in into.glob("*.sqlite3"):
        if other != path:
            other.unlink(missing_ok=True)


class _Source:
    """The database in a dump, read in pieces; `size` is its declared size in bytes, None where it has none.

    zipfile gives no more than is declared (an archive that unpacks to a lot can't fill the disk) and checks
    the sum of what it gave; that there is less, it does not notice.
    """

    def __init__(self, file: Path, content: Readable, size: int | None) -> None:
        self.file, self.size = file, size
        self._content, self._given = content, 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end; raises `DumpError` where the dump is damaged."""
        with _damage(self.file):
            chunk = self._content.read(size)
        self._given += len(chunk)
        if not chunk and self.size is not None and self._given < self.size:
            raise _lies(self.file, self.size, f"holds {self._given}")
        return chunk


@contextlib.contextmanager
def _damage(file: Path) -> Iterator[None]:
    """Explain what a reader of archives raises."""
    try:
        yield
    except NotImplementedError as error:
        raise DumpError(
            f"{file} can't be read: {error}",
            cause="it was packed in an unusual way, or changed on its way here",
            step=f"{REPACK} (zip -9)",
        ) from error
    except (*DAMAGED, OSError) as error:
        # bz2 and negative offsets give an OSError too; a real one has another number.
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        raise DumpError(
            f"{file} is damaged: {error}", cause="it was cut off or changed on its way here", step=AGAIN
        ) from error


@contextlib.contextmanager
def _opened(file: Path, stream: IO[bytes]) -> Iterator[_Source]:
    """Open the database in a dump, whatever kind of dump it is by its first bytes."""
    start = stream.read(64)
    stream.seek(0)
    with contextlib.ExitStack() as stack:
        if start.startswith(ZIP_MAGIC):
            with _damage(file):
                archive = stack.enter_context(zipfile.ZipFile(stream))
                member = _member(file, archive)
                _check_sizes(file, stream, member)
                content = stack.enter_context(archive.open(member))
            yield _Source(file, content, member.file_size)
            return
        for magic, opened in COMPRESSED:
            if start.startswith(magic):
                yield _Source(file, stack.enter_context(opened(stream)), None)
                return
        if not start.startswith(SQLITE_MAGIC) and stranger(start) != SCRIPT:
            raise _no_dump(file, start)
        yield _Source(file, stream, file.stat().st_size)


def _no_dump(file: Path, start: bytes) -> DumpError:
    if start.startswith(LFS_MAGIC):
        return DumpError(
            f"{file} is a Git LFS pointer, not the dump itself",
            cause="it was not fetched",
            step="git lfs pull",
        )
    if stranger(start) == STRANGERS[0][1]:
        return DumpError(
            f"{file} is {stranger(start)}, not a dump",
            cause="a download was answered with an error page, and that was saved",
            step=AGAIN,
        )
    return DumpError(
        f"{file} is {stranger(start) or 'no archive and no database'}" if start else f"{file} is empty",
        cause="a dump is an SQLite database or its SQL, as it is or packed by zip, gzip, bzip2, xz or zstd",
        step=AGAIN,
    )


def stranger(start: bytes) -> str:
    """Return what something is by its first bytes, "" where that is not known."""
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((what for magics, what in STRANGERS if start.startswith(magics)), "")


def _member(file: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the archive's one database; every name in the archive is checked, not only that one's."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in archive.infolist():
        path = PurePosixPath(member.filename.replace("\\", "/"))
        kind = stat.S_IFMT(member.external_attr >> 16)
        outside = path.is_absolute() or ".." in path.parts or ":" in member.filename
        if outside or kind not in {0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG}:
            raise DumpError(
                f"{file} holds the unsafe member {member.filename!r}",
                cause="what leads out of the archive, or is neither file nor folder, belongs in no dump",
                step=REPACK,
            )
    # macOS puts what it knows about each file beside it, as ._NAME.
    named = [member for member in members if not PurePosixPath(member.filename).name.startswith("._")]
    databases = [member for member in named if member.filename.lower().endswith(DATABASES)]
    if len(databases) != 1:
        names = ", ".join(member.filename for member in databases or members) or "nothing"
        what = "several databases" if databases else "no database"
        raise DumpError(
            f"{file} holds {what}: {names}",
            cause=f"a dump holds exactly one member called {' or '.join('*' + end for end in DATABASES)}",
            step=REPACK,
        )
    (database,) = databases
    if database.flag_bits & 1:
        raise DumpError(f"{file} is encrypted", cause="nobody asks for a password here", step=REPACK)
    if database.compress_type not in PACKED:
        raise DumpError(
            f"{file} can't be read: its compression, method {database.compress_type}, is not known here",
            cause="it was packed in an unusual way, or changed on its way here",
            step=f"{REPACK} (zip -9)",
        )
    return database


def _check_sizes(file: Path, stream: IO[bytes], member: zipfile.ZipInfo) -> None:
    """Compare the size in the archive's directory with the one before the member (appnote 4.3.7)."""
    stream.seek(member.header_offset)
    header = stream.read(30)
    (declared,) = struct.unpack("<I", header[22:26].ljust(4, b"\0"))
    # Bit 3: the size follows the member; all ones: it stands in a ZIP64 field.
    if not member.flag_bits & 8 and declared not in {member.file_size, 0xFFFFFFFF}:
        raise _lies(file, member.file_size, f"declares {declared} in another place")


def _lies(file: Path, declared: int, but: str) -> DumpError:
    return DumpError(
        f"{file} lies about its size: it declares {declared} bytes, and {but}",
        cause="it is damaged, or was made to fill a disk",
        step=AGAIN,
    )


def _copy(source: _Source, target: Path) -> tuple[int, str]:
    """Write the database to `target`; return its size in bytes and its SHA-256."""
    hashed, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        output: IO[bytes] | None = None
        for chunk in _database(source, room=target.parent):
            # Opened only now: what is no database is not written.
            output = output or stack.enter_context(target.open("wb"))
            output.write(chunk)
            hashed.update(chunk)
            size += len(chunk)
    return size, hashed.hexdigest()


def _database(source: _Source, room: Path | None = None) -> Iterator[bytes]:
    """Yield the database in pieces, its header first, and check on the way that it is as long as it says.

    SQL says nothing of its length. `room` is where it is going to be written.
    """
    header = _exactly(source, SQLITE_HEADER)
    script = stranger(header) == SCRIPT
    expected = (source.size or 0) if script else _expected(source, header)
    if source.size not in {None, expected}:
        raise _wrong_size(source.file, source.size or 0, expected)
    if room is not None and expected > shutil.disk_usage(room).free:
        raise OSError(errno.ENOSPC, f"its database has {expected} bytes")
    size, chunk = 0, header
    while chunk:
        size += len(chunk)
        if expected and size > expected:
            raise _wrong_size(source.file, size, expected)
        yield chunk
        chunk = source.read(CHUNK)
    if size < expected:
        raise _wrong_size(source.file, size, expected)


def _exactly(source: _Source, size: int) -> bytes:
    read = b""
    while len(read) < size and (chunk := source.read(size - len(read))):
        read += chunk
    return read


def _expected(source: _Source, header: bytes) -> int:
    """Return the size in bytes that a database has by its header; where that is not valid, the declared one.

    That is 0 where there is none. Raises `DumpError` where it is not the header of a database.
    """
    if not header:
        raise DumpError(f"{source.file} holds an empty database", cause="dumping it failed", step=REDO)
    if not header.startswith(SQLITE_MAGIC):
        what = stranger(header)
        raise DumpError(
            f"{source.file} holds no SQLite database",
            cause=f"what it holds is {what}" if what else "its first bytes are not those of one",
            step=REPACK,
        )
    # SQLite file format, 1.3: the page size (1 stands for 65536), the size in pages, and the two counters of
    # changes that are equal where that size is valid.
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    if not pages or header[24:28] != header[92:96]:
        return source.size or 0
    return (65536 if page == 1 else page) * pages


def _wrong_size(file: Path, size: int, expected: int) -> DumpError:
    if size > expected:
        return DumpError(
            f"the database in {file} is too long: {size} bytes, where its header says {expected}",
            cause="something was added to it, or its header is damaged",
            step=REDO,
        )
    return DumpError(
        f"the database in {file} is cut off: {size} bytes, where its header says {expected}",
        cause="it was copied before it was written whole",
        step=REDO,
    )


def _check_database(file: Path, path: Path) -> None:
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
            step=REDO,
        )
