"""The reference dump: found through its link, checked, and unpacked, before any container starts.

Everything is streamed; the unpacked database appears under its final name only when it is whole and sound.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import sqlite3
import stat
import struct
import time
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from haybale.errors import DumpError, MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes read at once.
CHUNK = 1 << 20

# Names that a database has inside an archive.
DATABASES = (".sqlite3", ".sqlite", ".db")

# The first bytes of each kind (ZIP appnote 4.3.7, RFC 1952 2.3.1, SQLite file format 1.3).
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
GZIP_MAGIC = b"\x1f\x8b"
SQLITE_MAGIC = b"SQLite format 3\x00"

# What is sometimes saved in place of an archive.
LFS_MAGIC = b"version https://git-lfs"

AGAIN = "get the dump again and put it in its place"


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A dump: the link that the setting matches, and the file that it leads to (absolute)."""

    link: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """An unpacked database: where it is, its size in bytes, the SHA-256 of its bytes (hex)."""

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
    `DumpError`.
    """
    links = sorted(root.glob(pattern))
    if not links:
        raise DumpError(
            f"no dump matches {root / pattern}",
            cause="the link to the latest dump is missing, or is called something else",
            step=f"make it (ln -s FILE {pattern.replace('*', 'SITE_')}), or mend the setting `dump`",
        )
    if len(links) > 1:
        raise DumpError(
            f"several dumps match {root / pattern}: {', '.join(link.name for link in links)}",
            cause="an older link was left in place",
            step="leave one of them",
        )
    (link,) = links
    target = link.resolve()
    if not target.exists():
        raise DumpError(
            f"{link} leads to {link.readlink() if link.is_symlink() else target}, which does not exist",
            cause="the dump was renamed or not fetched, and the link was left behind",
            step="put the file there, or point the link at the newest dump",
        )
    if not target.is_file():
        raise DumpError(f"{target} is not a file", cause=f"{link.name} leads to a folder or a device")
    return Dump(link=link, target=target)


def unpack(dump: Dump, into: Path) -> Unpacked:
    """Check the dump and unpack its database into the folder `into`; return it.

    A dump that was unpacked before, and whose file is the same since, costs only a look at its metadata.
    Raises `DumpError` where it is damaged, unsafe or no database, `MachineError` where the disk is full.
    """
    into.mkdir(parents=True, exist_ok=True)
    note = into / "unpacked.json"
    known = _known(note, dump)
    if known is not None:
        return known
    looked = time.time_ns()
    fingerprint = _fingerprint(dump)
    aside = into / f"unpacking.{os.getpid()}"
    try:
        with _opened(dump.target) as source:
            size, digest = _copy(dump.target, source, aside)
        _check_database(dump.target, aside, size)
        path = into / f"{digest}.sqlite3"
        aside.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MachineError(
                f"no space is left in {into} to unpack {dump.target.name}",
                step="make room, or remove .haybale/dump",
            ) from error
        raise
    finally:
        aside.unlink(missing_ok=True)
    unpacked = Unpacked(path=path, size=size, sha256=digest)
    _remember(note, fingerprint, looked, unpacked)
    _drop_others(into, path)
    return unpacked


def _fingerprint(dump: Dump) -> list[str | int]:
    """Return what changes when the dump does: where the link leads, and the file's inode, size and time."""
    found = dump.target.stat()
    return [str(dump.target), found.st_ino, found.st_size, found.st_mtime_ns]


def _remember(note: Path, fingerprint: list[str | int], looked: int, unpacked: Unpacked) -> None:
    aside = note.with_suffix(f".{os.getpid()}")
    fields = asdict(unpacked) | {"path": unpacked.path.name}
    text = json.dumps({"fingerprint": fingerprint, "looked": looked, "unpacked": fields})
    aside.write_text(text, encoding="utf-8")
    aside.replace(note)


def _known(note: Path, dump: Dump) -> Unpacked | None:
    """Return what was unpacked before, where it can be relied on.

    A file that was changed at or after our look may have been changed again within the clock's grain, with
    the same size: then its time says nothing (git, Documentation/technical/racy-git).
    """
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        fields = noted["unpacked"]
        unpacked = Unpacked(path=note.parent / fields["path"], size=fields["size"], sha256=fields["sha256"])
        fresh = noted["fingerprint"] == _fingerprint(dump) and noted["fingerprint"][-1] < noted["looked"]
        whole = unpacked.path.stat().st_size == unpacked.size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return unpacked if fresh and whole else None


def _drop_others(into: Path, path: Path) -> None:
    """Remove databases of earlier dumps; a container that has one mounted keeps it until it ends."""
    for other in into.glob("*.sqlite3"):
        if other != path:
            other.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Readable]:
    """Open the database in a dump, whatever kind of dump it is by its first bytes."""
    with file.open("rb") as stream:
        start = stream.read(64)
        stream.seek(0)
        try:
            if start.startswith(ZIP_MAGIC):
                with _in_zip(file, stream) as member:
                    yield member
            elif start.startswith(GZIP_MAGIC):
                with gzip.open(stream) as content:
                    yield content
            elif start.startswith(SQLITE_MAGIC):
                yield stream
            else:
                raise _no_dump(file, start)
        except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
            raise DumpError(
                f"{file} is damaged: {error}",
                cause="it was cut off or changed on its way here",
                step=AGAIN,
            ) from error


def _no_dump(file: Path, start: bytes) -> DumpError:
    if start.startswith(LFS_MAGIC):
        return DumpError(
            f"{file} is a Git LFS pointer, not the dump itself",
            cause="it was not fetched",
            step="git lfs pull",
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return DumpError(
            f"{file} is a page, not a dump",
            cause="a download was answered with an error page, and that was saved",
            step=AGAIN,
        )
    return DumpError(
        f"{file} is no archive and no database" if start else f"{file} is empty",
        cause="a dump is an SQLite database: plain, in a zip, or gzipped",
        step=AGAIN,
    )


@contextlib.contextmanager
def _in_zip(file: Path, stream: IO[bytes]) -> Iterator[Readable]:
    with zipfile.ZipFile(stream) as archive:
        member = _member(file, archive)
        _check_sizes(file, stream, member)
        with archive.open(member) as content:
            yield _Bounded(file, content, member.file_size)


def _member(file: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the archive's one database; every name in the archive is checked, not only that one's."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        kind = stat.S_IFMT(member.external_attr >> 16)
        outside = path.is_absolute() or ".." in path.parts or ":" in member.filename
        if outside or kind not in {0, stat.S_IFREG}:
            raise DumpError(
                f"{file} holds the unsafe member {member.filename!r}",
                cause="what leads out of the archive, or is no plain file, does not belong in a dump",
                step="make the archive again, with the database alone in it",
            )
    databases = [member for member in members if member.filename.lower().endswith(DATABASES)]
    if len(databases) != 1:
        names = ", ".join(member.filename for member in databases or members) or "nothing"
        what = "several databases" if databases else "no database"
        raise DumpError(
            f"{file} holds {what}: {names}",
            cause=f"a dump holds exactly one member called {' or '.join('*' + end for end in DATABASES)}",
            step="make the archive again, with the database alone in it",
        )
    (database,) = databases
    if database.flag_bits & 1:
        raise DumpError(f"{file} is encrypted", cause="nobody asks for a password here", step=AGAIN)
    return database


class _Bounded:
    """A member that must be as long as it declares.

    zipfile gives no more than is declared (an archive that unpacks to a lot can't fill the disk) and checks
    the sum of what it gave; that there is less, it does not notice.
    """

    def __init__(self, file: Path, content: IO[bytes], size: int) -> None:
        self._file, self._content, self._size, self._given = file, content, size, 0

    def read(self, size: int, /) -> bytes:
        chunk = self._content.read(size)
        self._given += len(chunk)
        if not chunk and self._given < self._size:
            raise _lies(self._file, self._size, f"holds {self._given}")
        return chunk


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


def _copy(file: Path, source: Readable, target: Path) -> tuple[int, str]:
    """Write what `source` gives to `target`; return its size in bytes and its SHA-256."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as output:
        while chunk := source.read(CHUNK):
            output.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size == len(chunk) and not chunk.startswith(SQLITE_MAGIC):
                raise DumpError(
                    f"{file} holds no SQLite database",
                    cause="its first bytes are not those of one",
                    step="make the archive again, with the database in it",
                )
    if not size:
        raise DumpError(f"{file} holds an empty database", cause="dumping it failed", step=AGAIN)
    return size, digest.hexdigest()


def _check_database(file: Path, path: Path, size: int) -> None:
    """Raise `DumpError` where the unpacked database is not whole or not sound."""
    with path.open("rb") as stream:
        header = stream.read(100)
    # SQLite file format, 1.3: the page size (1 stands for 65536), and the size in pages.
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    if pages and page * pages > size:
        raise DumpError(
            f"the database in {file} is cut off: {size} bytes, where its header says {page * pages}",
            cause="it was copied before it was written whole",
            step="dump it again (sqlite3 DATABASE '.backup FILE')",
        )
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        try:
            ((said,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            said = str(error)
    if said != "ok":
        raise DumpError(
            f"the database in {file} is damaged: {said}",
            cause="it was copied while something wrote to it, or changed on its way here",
            step="dump it again (sqlite3 DATABASE '.backup FILE')",
        )
