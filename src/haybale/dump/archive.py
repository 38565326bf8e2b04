"""What a dump's file is packed in: recognised by its first bytes, and opened."""

from __future__ import annotations

import contextlib
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from haybale.dump.content import (
    COMPRESSIONS,
    REPACK_HINT,
    START,
    Folder,
    Stream,
    explain_damage,
    unusual_packing,
    wrong_declared_size,
)
from haybale.dump.recognition import FOLDER_MARKERS, SUFFIXES, find_database
from haybale.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The first bytes of a zip (ZIP appnote 4.3.7).
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# A tar has no magic at its start (POSIX, pax, "ustar Interchange Format").
TAR_MAGIC, TAR_MAGIC_OFFSET = b"ustar", 257

# How a zip's members may be packed. What a newer Python adds to these is refused by every Python: whether a
# dump is sound does not depend on who reads it.
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@contextlib.contextmanager
def open_content(file: Path) -> Iterator[Stream | Folder]:
    """Open what a dump's file holds, whatever it is packed in; `file` may be a folder.

    Raises `DumpError` where the archive is damaged, unsafe, or has not exactly one dump.
    """
    if file.is_dir():
        yield Folder(file=file, members=_read_folder(file))
        return
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(file.open("rb"))
        start = raw.read(START)
        raw.seek(0)
        decompress = next((opener for magic, opener in COMPRESSIONS if start.startswith(magic)), None)
        if start.startswith(ZIP_MAGIC):
            yield _open_zip(file, raw, stack)
        elif decompress is not None:
            content = stack.enter_context(decompress(raw))
            yield _open_tar(Stream(file, content, None, is_packed=True), stack)
        else:
            yield _open_tar(Stream(file, raw, file.stat().st_size), stack)


def _open_zip(file: Path, raw: IO[bytes], stack: contextlib.ExitStack) -> Stream | Folder:
    with explain_damage(file):
        archive = stack.enter_context(zipfile.ZipFile(raw))
        members = _zip_files(file, archive)
    if any(PurePosixPath(member.filename).name in FOLDER_MARKERS for member in members):
        streams = ((member.filename, _open_member(file, raw, archive, member)) for member in members)
        return Folder(file=file, members=streams)
    return _open_tar(_open_member(file, raw, archive, _only_database(file, members)), stack)


def _open_tar(stream: Stream, stack: contextlib.ExitStack) -> Stream | Folder:
    """Return the folder that a tar holds; what is not a tar, or a tar that is itself a dump, as it is."""
    start = stream.peek()
    is_tar = start[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC
    if not is_tar or find_database(stream.file, start):
        return stream
    with explain_damage(stream.file):
        # The stream reads in pieces of any size, which is all that a stream of tar needs.
        archive: tarfile.TarFile = tarfile.open(fileobj=stream, mode="r|")  # type: ignore[call-overload] # noqa: SIM115
        stack.enter_context(archive)
    return Folder(file=stream.file, members=_read_tar(stream.file, archive))


def _read_folder(folder: Path) -> Iterator[tuple[str, Stream]]:
    for each in sorted(folder.iterdir()):
        if not each.is_file():
            raise _unsafe_member(folder, each.name)
        with each.open("rb") as content:
            yield each.name, Stream(folder, content, each.stat().st_size)


def _read_tar(file: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, Stream]]:
    members = iter(archive)
    while True:
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
            yield member.name, Stream(file, content, member.size, is_packed=True)


def _is_resource_fork(name: str) -> bool:
    """Return whether a member is what macOS adds to each file: ._NAME beside it."""
    return PurePosixPath(name).name.startswith("._")


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name


def _unsafe_member(file: Path, name: str) -> DumpError:
    cause = "a dump's members lie within the archive, and are files and folders"
    return DumpError(f"{file} holds the unsafe member {name!r}", cause=cause, hint=REPACK_HINT)


def _zip_files(file: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return an archive's files; every name in it is checked."""
    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if _leads_out(member.filename) or kind not in {0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG}:
            raise _unsafe_member(file, member.filename)
    members = (member for member in archive.infolist() if not member.is_dir())
    return [member for member in members if not _is_resource_fork(member.filename)]


def _only_database(file: Path, members: Sequence[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    databases = [member for member in members if member.filename.lower().endswith(SUFFIXES)]
    if len(databases) == 1:
        return databases[0]
    names = ", ".join(member.filename for member in databases or members) or "nothing"
    raise DumpError(
        f"{file} holds {'several databases' if databases else 'no database'}: {names}",
        cause=f"a dump holds exactly one file called {' or '.join('*' + suffix for suffix in SUFFIXES)},"
        f" or a folder with {' or '.join(FOLDER_MARKERS)}",
        hint=REPACK_HINT,
    )


def _open_member(file: Path, raw: IO[bytes], archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stream:
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
        return Stream(file, archive.open(member), member.file_size, is_packed=True)
