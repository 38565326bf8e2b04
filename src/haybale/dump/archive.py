"""What a dump's file is packed in: recognised by its first bytes, and opened."""

from __future__ import annotations

import contextlib
import itertools
import re
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from haybale.dump.compression import Decompressed, find_compression
from haybale.dump.content import (
    REPACK_HINT,
    START,
    Folder,
    Stream,
    WithSidecars,
    explain_damage,
    unusual_packing,
    wrong_declared_size,
)
from haybale.dump.limits import BoundedTarInfo, Limits, raise_if_larger, raise_if_more_files
from haybale.dump.recognition import FOLDER_MARKERS, SUFFIXES, find_database
from haybale.dump.sqlite import is_prose
from haybale.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from haybale.dump.database import Recognised

DEFAULT_LIMITS = Limits()

# The first bytes of a zip (ZIP appnote 4.3.7).
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# A tar has no magic at its start (POSIX, pax, "ustar Interchange Format").
TAR_MAGIC, TAR_MAGIC_OFFSET = b"ustar", 257

# A drive of Windows.
DRIVE = re.compile(r"[A-Za-z]:")

# How a zip's members may be packed. What a newer Python adds to these is refused by every Python: whether a
# dump is sound does not depend on who reads it.
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@contextlib.contextmanager
def open_content(file: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Stream | Folder | WithSidecars]:
    """Open what a dump's file holds, whatever it is packed in; `file` may be a folder.

    Raises `DumpError` where it is damaged, unsafe, larger than `limits`, or has not exactly one dump.
    """
    if file.is_dir():
        yield Folder(file=file, members=_read_folder(file, limits))
        return
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(file.open("rb"))
        start = raw.read(START)
        raw.seek(0)
        if start.startswith(ZIP_MAGIC):
            yield _open_zip(file, raw, stack, limits)
            return
        stream = _unpack_stream(file, raw, limits)
        if _is_tar(stream):
            yield _open_tar(file, stream, stack, limits)
        elif beside := find_sidecars(file, start):
            yield WithSidecars(file=file, members=_read_beside(stream, beside, limits))
        else:
            if find_compression(start):
                _refuse_sidecars_outside(file, file.stem, find_database(file, stream.peek()))
            yield stream


def find_sidecars(file: Path, start: bytes) -> dict[str, Path]:
    """Return the files that belong to a database that begins with these bytes, by what their names add."""
    found = None if find_compression(start) else find_database(file, start)
    beside = {suffix: file.with_name(file.name + suffix) for suffix in _sidecars(found)}
    return {suffix: path for suffix, path in beside.items() if path.is_file() and path.stat().st_size}


def _refuse_sidecars_outside(file: Path, packed: str, found: Recognised | None) -> None:
    """Raise `DumpError` where what belongs to a packed database lies beside its archive.

    SQLite would read it beside the unpacked file. Where there is a file of that name, it is that one's.
    """
    if file.with_name(packed).exists():
        return
    for beside in (
        file.with_name(name + suffix) for name in (packed, file.name) for suffix in _sidecars(found)
    ):
        if beside.is_file() and beside.stat().st_size:
            raise DumpError(
                f"{beside} lies beside {file.name}, in which its database is packed alone",
                cause="SQLite keeps rows in such a file that are nowhere else",
                hint="pack both into one archive, or remove it where it belongs to something else",
            )


def _sidecars(found: Recognised | None) -> tuple[str, ...]:
    return found.database.sidecars(found.format) if found else ()


def _unpack_stream(file: Path, raw: IO[bytes], limits: Limits) -> Stream:
    start = raw.read(START)
    raw.seek(0)
    compression = None if find_database(file, start) else find_compression(start)
    if compression is None:
        return Stream(file, raw, file.stat().st_size, limits)
    return Stream(file, Decompressed(raw, compression), None, limits, is_packed=True)


def _read_beside(stream: Stream, beside: Mapping[str, Path], limits: Limits) -> Iterator[tuple[str, Stream]]:
    yield "", stream
    for suffix, path in beside.items():
        with path.open("rb") as content:
            yield suffix, Stream(path, content, path.stat().st_size, limits)


def _open_zip(
    file: Path, raw: IO[bytes], stack: contextlib.ExitStack, limits: Limits
) -> Stream | Folder | WithSidecars:
    with explain_damage(file):
        archive = stack.enter_context(zipfile.ZipFile(raw))
        members = _zip_files(file, archive, limits)
    if any(PurePosixPath(member.filename).name in FOLDER_MARKERS for member in members):
        streams = ((member.filename, _open_member(file, raw, archive, member, limits)) for member in members)
        return Folder(file=file, members=streams)
    chosen, found = _only_database(file, raw, archive, members, limits)
    names = {member.filename: member for member in members}
    beside = {
        each: names[chosen.filename + each] for each in _sidecars(found) if chosen.filename + each in names
    }
    stream = _open_member(file, raw, archive, chosen, limits)
    if _is_tar(stream):
        return _open_tar(file, stream, stack, limits)
    if not beside:
        packed = PurePosixPath(chosen.filename).name
        _refuse_sidecars_outside(file, packed, find_database(file, stream.peek()))
        return stream
    others = ((suffix, _open_member(file, raw, archive, each, limits)) for suffix, each in beside.items())
    return WithSidecars(file=file, members=itertools.chain([("", stream)], others))


def _is_tar(stream: Stream) -> bool:
    """Return whether a stream is a tar, and not one that is itself a dump."""
    start = stream.peek()
    is_tar = start[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC
    return is_tar and not find_database(stream.file, start)


def _open_tar(
    file: Path, stream: Stream, stack: contextlib.ExitStack, limits: Limits
) -> Stream | Folder | WithSidecars:
    """Return what a tar holds: one database, with what belongs to it, or a folder."""
    database, beside = _find_in_tar(file, limits)
    members = _tar_members(stream, stack, limits)
    if database is None:
        return Folder(file=stream.file, members=members)
    if not beside:
        return next(content for name, content in members if name == database)
    wanted = {database: "", **{database + suffix: suffix for suffix in beside}}
    return WithSidecars(file=file, members=((wanted[n], each) for n, each in members if n in wanted))


def _tar_members(stream: Stream, stack: contextlib.ExitStack, limits: Limits) -> Iterator[tuple[str, Stream]]:
    with explain_damage(stream.file):
        # The stream reads in pieces of any size, which is all that a stream of tar needs.
        archive: tarfile.TarFile = tarfile.open(  # type: ignore[call-overload] # noqa: SIM115
            fileobj=stream, mode="r|", tarinfo=BoundedTarInfo
        )
        stack.enter_context(archive)
    return _read_tar(stream.file, archive, limits)


def _find_in_tar(file: Path, limits: Limits) -> tuple[str | None, list[str]]:
    """Return the name of the only database in a tar, and what belongs to it; None where it is a folder.

    A tar is read from its beginning to its end: its members are looked at before they are read.
    """
    databases: dict[str, Recognised] = {}
    names = []
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(file.open("rb"))
        start = raw.read(START)
        raw.seek(0)
        if start.startswith(ZIP_MAGIC):
            return None, []
        for name, member in _tar_members(_unpack_stream(file, raw, limits), stack, limits):
            if PurePosixPath(name).name in FOLDER_MARKERS:
                return None, []
            names.append(name)
            start = member.peek()
            if (found := find_database(file, start)) and not is_prose(found, start):
                databases[name] = found
    if len(databases) > 1:
        raise _not_one_database(file, "several databases", databases)
    for name, found in databases.items():
        return name, [suffix for suffix in _sidecars(found) if name + suffix in names]
    return None, []


def _read_folder(folder: Path, limits: Limits) -> Iterator[tuple[str, Stream]]:
    for count, each in enumerate(sorted(folder.iterdir()), start=1):
        raise_if_more_files(folder, count, limits)
        if not each.is_file():
            raise _unsafe_member(folder, each.name)
        with each.open("rb") as content:
            yield each.name, Stream(folder, content, each.stat().st_size, limits)


def _read_tar(file: Path, archive: tarfile.TarFile, limits: Limits) -> Iterator[tuple[str, Stream]]:
    members = iter(archive)
    for count in itertools.count(1):
        raise_if_more_files(file, count, limits)
        with explain_damage(file):
            member = next(members, None)
        if member is None:
            return
        if member.isdir():
            continue
        content = archive.extractfile(member) if member.isreg() else None
        if content is None or _leads_out(member.name):
            raise _unsafe_member(file, member.name)
        if not _is_resource_fork(member.name):
            yield member.name, Stream(file, content, member.size, limits, is_packed=True)


def _is_resource_fork(name: str) -> bool:
    """Return whether a member is what macOS adds to each file: ._NAME beside it."""
    return PurePosixPath(name).name.startswith("._")


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(DRIVE.match(name))


def _unsafe_member(file: Path, name: str) -> DumpError:
    cause = "a dump's members lie within the archive, and are files and folders"
    return DumpError(f"{file} holds the unsafe member {name!r}", cause=cause, hint=REPACK_HINT)


def _zip_files(file: Path, archive: zipfile.ZipFile, limits: Limits) -> list[zipfile.ZipInfo]:
    """Return an archive's files; every name in it is checked, and what all of them declare to hold."""
    raise_if_more_files(file, len(archive.infolist()), limits)
    raise_if_larger(file, sum(member.file_size for member in archive.infolist()), limits)
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if _leads_out(member.filename) or kind not in {0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG}:
            raise _unsafe_member(file, member.filename)
    members = (member for member in archive.infolist() if not member.is_dir())
    return [member for member in members if not _is_resource_fork(member.filename)]


def _only_database(
    file: Path,
    raw: IO[bytes],
    archive: zipfile.ZipFile,
    members: Sequence[zipfile.ZipInfo],
    limits: Limits,
) -> tuple[zipfile.ZipInfo, Recognised | None]:
    """Return the only database among a zip's files, by its content; where none is one, by its name."""
    named = [member for member in members if member.filename.lower().endswith(SUFFIXES)]
    if len(members) == 1 and named:
        return named[0], None
    databases = {}
    for member in members:
        start = _open_member(file, raw, archive, member, limits).peek()
        if (found := find_database(file, start)) and not is_prose(found, start):
            databases[member.filename] = found
    if len(databases) == 1:
        return next((member, found) for member in members if (found := databases.get(member.filename)))
    if not databases and len(named) == 1:
        return named[0], None
    several = list(databases) or [member.filename for member in named]
    what = "several databases" if several else "no database"
    raise _not_one_database(file, what, several or [member.filename for member in members])


def _printable(name: str) -> str:
    """Return a name in which no byte is left that is not UTF-8."""
    return name.encode(errors="backslashreplace").decode()


def _not_one_database(file: Path, what: str, names: Iterable[str]) -> DumpError:
    return DumpError(
        f"{file} holds {what}: {', '.join(map(_printable, names)) or 'nothing'}",
        cause=f"a dump holds exactly one database, or a folder with {' or '.join(FOLDER_MARKERS)}",
        hint=REPACK_HINT,
    )


def _open_member(
    file: Path, raw: IO[bytes], archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits
) -> Stream:
    """Open a zip's member; raises `DumpError` where that is not possible, or its two sizes differ."""
    if member.flag_bits & 1:
        raise DumpError(f"{file} is encrypted", cause="haybale asks for no password", hint=REPACK_HINT)
    if member.compress_type not in ZIP_METHODS:
        raise unusual_packing(file, f"its compression, method {member.compress_type}, is not known here")
    with explain_damage(file):
        # The size in the archive's directory, and the one before the member (appnote 4.3.7).
        raw.seek(member.header_offset)
        declared = int.from_bytes(raw.read(30)[22:26], "little")
        # Bit 3: the size follows the member; all ones: it stands in a ZIP64 field.
        if not member.flag_bits & 8 and declared not in {member.file_size, 0xFFFFFFFF}:
            raise wrong_declared_size(file, member.file_size, f"declares {declared} in another place")
        return Stream(file, archive.open(member), member.file_size, limits, is_packed=True)
