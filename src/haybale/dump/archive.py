"""The content of a dump's file, whatever it is packed in: recognised by its first bytes, read in pieces."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol

from haybale.errors import DumpError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Bytes read at once.
CHUNK = 1 << 20

# Bytes looked at to tell what something is.
START = 8192

# Names that a database has inside an archive, or its SQL.
DATABASES = (".sqlite3", ".sqlite", ".db", ".sql", ".dump", ".pgdump", ".backup")

# The file that tells what a PostgreSQL dump in a folder holds (pg_dump, --format=directory).
CONTENTS = "toc.dat"

# The first bytes of each kind (ZIP appnote 4.3.7, RFC 1952 2.3.1, SQLite file format 1.3).
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
GZIP_MAGIC = b"\x1f\x8b"
BZIP2_MAGIC = b"BZh"
XZ_MAGIC = b"\xfd7zXZ\x00"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SQLITE_MAGIC = b"SQLite format 3\x00"
POSTGRESQL_MAGIC = b"PGDMP"
# A tar has no magic at its start (POSIX, pax, "ustar Interchange Format").
TAR_MAGIC, TAR_AT = b"ustar", 257

# How a zip's database may be packed. What a newer Python adds to these is refused by all alike: whether a
# dump is sound does not depend on who looks.
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)

SCRIPT = "an SQL script"
SQL_POSTGRESQL = "a PostgreSQL dump"

# What is sometimes there in place of a dump, by its first bytes, in small letters and without blanks.
STRANGERS = (
    ((b"<!doctype", b"<html", b"<?xml", b"<head"), "a page of the web"),
    ((b"{",), "JSON"),
    ((b"7z\xbc\xaf\x27\x1c",), "a 7-Zip archive"),
    ((b"--\n-- postgresql database cluster",), "a PostgreSQL dump of a whole server (pg_dumpall)"),
    ((b"-- postgresql", b"--\n-- postgresql"), SQL_POSTGRESQL),
    ((b"-- mysql", b"-- mariadb", b"/*m!", b"/*!"), "a MySQL dump"),
    ((b"--", b"/*", b"pragma", b"begin", b"create", b"drop", b"insert"), SCRIPT),
    ((b"pk\x03\x04", GZIP_MAGIC, BZIP2_MAGIC.lower(), XZ_MAGIC.lower(), ZSTD_MAGIC), "another archive"),
)
# What of these is a dump.
SCRIPTS = (SCRIPT, SQL_POSTGRESQL)

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
    tarfile.TarError, struct.error, ValueError, IndexError, OverflowError,
)  # fmt: skip

AGAIN = "get the dump again and put it in its place"
REPACK = "make the archive again, with the database alone in it"


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end."""


class Source:
    """What a dump's file holds, read in pieces; `size` is its declared size in bytes, None where it has none.

    zipfile gives no more than is declared (an archive that unpacks to a lot can't fill the disk) and checks
    the sum of what it gave; that there is less, it does not notice.
    """

    def __init__(self, file: Path, content: Readable, size: int | None) -> None:
        self.file, self.size = file, size
        self._content, self._given = content, 0
        self._ahead = b""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, b"" at the end; raises `DumpError` where the dump is damaged."""
        if self._ahead:
            chunk, self._ahead = self._ahead[:size], self._ahead[size:]
            return chunk
        with damage(self.file):
            chunk = self._content.read(size)
        self._given += len(chunk)
        if not chunk and self.size is not None and self._given < self.size:
            raise lies(self.file, self.size, f"holds {self._given}")
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """Yield everything in pieces."""
        while chunk := self.read(CHUNK):
            yield chunk

    def peek(self, size: int = START) -> bytes:
        """Return the next `size` bytes, or all that there are; they will be read again."""
        read = b""
        while len(read) < size and (chunk := self.read(size - len(read))):
            read += chunk
        self._ahead = read + self._ahead
        return read


@dataclass(frozen=True, kw_only=True)
class Folder:
    """The files of a dump that is a folder, in the order in which they are packed: name -> content."""

    file: Path
    members: Iterator[tuple[str, Source]]


@contextlib.contextmanager
def damage(file: Path) -> Iterator[None]:
    """Explain what a reader of archives raises."""
    try:
        yield
    except NotImplementedError as error:
        raise DumpError(
            f"{file} can't be read: {error}",
            cause="it was packed in an unusual way, or changed on its way here",
            hint=f"{REPACK} (zip -9)",
        ) from error
    except (*DAMAGED, OSError) as error:
        # bz2 and negative offsets give an OSError too; a real one has another number.
        if isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}:
            raise
        raise DumpError(
            f"{file} is damaged: {error}", cause="it was cut off or changed on its way here", hint=AGAIN
        ) from error


@contextlib.contextmanager
def opened(file: Path) -> Iterator[Source | Folder]:
    """Open what a dump's file holds, whatever it is packed in by its first bytes; `file` may be a folder."""
    with contextlib.ExitStack() as stack:
        if file.is_dir():
            yield Folder(file=file, members=_in_folder(file))
            return
        stream = stack.enter_context(file.open("rb"))
        start = stream.read(START)
        stream.seek(0)
        if start.startswith(ZIP_MAGIC):
            yield _zipped(file, stream, stack)
            return
        for magic, unpacked in COMPRESSED:
            if start.startswith(magic):
                source = Source(file, stack.enter_context(unpacked(stream)), None)
                yield _untarred(source, stack)
                return
        is_tar = _is_tar(start)
        if not (is_tar or start.startswith((SQLITE_MAGIC, POSTGRESQL_MAGIC)) or stranger(start) in SCRIPTS):
            raise _no_dump(file, start)
        source = Source(file, stream, file.stat().st_size)
        yield _untarred(source, stack)


def _zipped(file: Path, stream: IO[bytes], stack: contextlib.ExitStack) -> Source | Folder:
    with damage(file):
        archive = stack.enter_context(zipfile.ZipFile(stream))
        members = _members(file, archive)
        if any(PurePosixPath(member.filename).name == CONTENTS for member in members):
            return Folder(file=file, members=_in_zip(file, stream, archive, members))
        member = _database(file, members)
        _check(file, stream, member)
        content = stack.enter_context(archive.open(member))
    return _untarred(Source(file, content, member.file_size), stack)


def _untarred(source: Source, stack: contextlib.ExitStack) -> Source | Folder:
    """Return the folder that a tar holds; what is no tar, and what pg_dump itself made as a tar, as it is."""
    start = source.peek()
    if not _is_tar(start) or is_postgresql_tar(start):
        return source
    with damage(source.file):
        # The source reads in pieces of any size, which is all that a stream of tar needs.
        archive: tarfile.TarFile = tarfile.open(fileobj=source, mode="r|")  # type: ignore[call-overload] # noqa: SIM115
        stack.enter_context(archive)
    return Folder(file=source.file, members=_in_tar(source.file, archive))


def _is_tar(start: bytes) -> bool:
    return start[TAR_AT : TAR_AT + len(TAR_MAGIC)] == TAR_MAGIC


def is_postgresql_tar(start: bytes) -> bool:
    """Return whether these are the first bytes of what `pg_dump --format=tar` makes.

    Its first member is the table of contents, which says of what format it is (PostgreSQL,
    src/bin/pg_dump/pg_backup_archiver.c, WriteHead: after the magic, the version in three bytes, and two
    sizes; archTar is 3).
    """
    name, body = start[:100].rstrip(b"\0"), start[512:]
    return name == CONTENTS.encode() and body.startswith(POSTGRESQL_MAGIC) and body[10:11] == b"\x03"


def _in_folder(folder: Path) -> Iterator[tuple[str, Source]]:
    for each in sorted(folder.iterdir()):
        if not each.is_file():
            raise _unsafe(folder, each.name)
        with each.open("rb") as stream:
            yield each.name, Source(folder, stream, each.stat().st_size)


def _in_zip(
    file: Path, stream: IO[bytes], archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]
) -> Iterator[tuple[str, Source]]:
    for member in members:
        _check(file, stream, member)
        with damage(file):
            content = archive.open(member)
        with content:
            yield member.filename, Source(file, content, member.file_size)


def _in_tar(file: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, Source]]:
    members = iter(archive)
    while True:
        with damage(file):
            member = next(members, None)
        if member is None:
            return
        if member.isdir():
            continue
        content = archive.extractfile(member) if member.isreg() else None
        if content is None or _leads_out(member.name):
            raise _unsafe(file, member.name)
        if not PurePosixPath(member.name).name.startswith("._"):
            yield member.name, Source(file, content, member.size)


def _no_dump(file: Path, start: bytes) -> DumpError:
    if start.startswith(LFS_MAGIC):
        return DumpError(
            f"{file} is a Git LFS pointer, not the dump itself",
            cause="it was not fetched",
            hint="git lfs pull",
        )
    if stranger(start) == STRANGERS[0][1]:
        return DumpError(
            f"{file} is {stranger(start)}, not a dump",
            cause="a download was answered with an error page, and that was saved",
            hint=AGAIN,
        )
    return DumpError(
        f"{file} is {stranger(start) or 'no archive and no database'}" if start else f"{file} is empty",
        cause="a dump is an SQLite database, its SQL, or what pg_dump makes; as it is, or packed by zip,"
        " gzip, bzip2, xz or zstd",
        hint=AGAIN,
    )


def stranger(start: bytes) -> str:
    """Return what something is by its first bytes, "" where that is not known."""
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((what for magics, what in STRANGERS if start.startswith(magics)), "")


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name


def _unsafe(file: Path, name: str) -> DumpError:
    return DumpError(
        f"{file} holds the unsafe member {name!r}",
        cause="what leads out of the archive, or is neither file nor folder, belongs in no dump",
        hint=REPACK,
    )


def _members(file: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return an archive's files; every name in it is checked."""
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if _leads_out(member.filename) or kind not in {0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG}:
            raise _unsafe(file, member.filename)
    # macOS puts what it knows about each file beside it, as ._NAME.
    return [
        member
        for member in archive.infolist()
        if not member.is_dir() and not PurePosixPath(member.filename).name.startswith("._")
    ]


def _database(file: Path, members: Sequence[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    """Return an archive's one database."""
    databases = [member for member in members if member.filename.lower().endswith(DATABASES)]
    if len(databases) != 1:
        names = ", ".join(member.filename for member in databases or members) or "nothing"
        what = "several databases" if databases else "no database"
        raise DumpError(
            f"{file} holds {what}: {names}",
            cause=f"a dump holds exactly one member called {' or '.join('*' + end for end in DATABASES)},"
            f" or a PostgreSQL dump's folder, with its {CONTENTS}",
            hint=REPACK,
        )
    (database,) = databases
    return database


def _check(file: Path, stream: IO[bytes], member: zipfile.ZipInfo) -> None:
    """Raise `DumpError` where a member can't be read, or its sizes differ."""
    if member.flag_bits & 1:
        raise DumpError(f"{file} is encrypted", cause="nobody asks for a password here", hint=REPACK)
    if member.compress_type not in PACKED:
        raise DumpError(
            f"{file} can't be read: its compression, method {member.compress_type}, is not known here",
            cause="it was packed in an unusual way, or changed on its way here",
            hint=f"{REPACK} (zip -9)",
        )
    # The size in the archive's directory, and the one before the member (appnote 4.3.7).
    back = stream.tell()
    stream.seek(member.header_offset)
    header = stream.read(30)
    stream.seek(back)
    (declared,) = struct.unpack("<I", header[22:26].ljust(4, b"\0"))
    # Bit 3: the size follows the member; all ones: it stands in a ZIP64 field.
    if not member.flag_bits & 8 and declared not in {member.file_size, 0xFFFFFFFF}:
        raise lies(file, member.file_size, f"declares {declared} in another place")


def lies(file: Path, declared: int, but: str) -> DumpError:
    """Return what there is to say of a file that is not as long as it declares."""
    return DumpError(
        f"{file} lies about its size: it declares {declared} bytes, and {but}",
        cause="it is damaged, or was made to fill a disk",
        hint=AGAIN,
    )
