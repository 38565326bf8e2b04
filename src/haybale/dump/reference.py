"""The reference dump: found through its link, checked, and unpacked, before any container starts.

Everything is streamed; what was unpacked appears under its final name only when it is whole and sound.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from haybale.dump.archive import open_content
from haybale.dump.content import REPACK_HINT, Folder, Stream, WithSidecars
from haybale.dump.database import Recognised
from haybale.dump.limits import Limits, is_nearly_full, raise_if_larger
from haybale.dump.recognition import DATABASES, FOLDER_MARKERS, recognise
from haybale.dump.sqlite import SHARED_MEMORY, SIDECARS
from haybale.errors import ConfigError, DumpError, PrerequisiteError
from haybale.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# The files that note a dump's content, and what it was unpacked to.
CONTENT_NOTE = "digest.json"
UNPACKED_NOTE = "unpacked.json"
# What reading a missing or damaged note raises.
NOTE_ERRORS = (OSError, ValueError, LookupError, TypeError)

DEFAULT_LIMITS = Limits()

# After so many bytes that were written, it is looked how much of the disk is left.
WATCHED = 1 << 26

# The coarsest time of change that a file system notes (FAT's), in nanoseconds.
CLOCK_GRAIN = 2_000_000_000

# How the files of a dump in a folder are called (PostgreSQL, pg_backup_directory.c).
MEMBER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A dump: the link that the setting matches, and the file or folder that it points to (absolute)."""

    link: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Content(Recognised):
    """What a dump holds: what it is, and the SHA-256 (hex) of what was dumped.

    The digest is the same whatever the dump is packed in; of a folder it is that of its files' names and
    digests.
    """

    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a note."""
        return {**vars(self), "database": self.database.name}

    @classmethod
    def from_dict(cls, noted: Mapping[str, Any]) -> Content:
        """Return what `to_dict` noted; raises `LookupError`, `TypeError`, `ValueError` for anything else."""
        return cls(
            database={each.name: each for each in DATABASES}[noted["database"]],
            format=str(noted["format"]),
            server=None if noted["server"] is None else int(noted["server"]),
            sha256=str(noted["sha256"]),
        )


@dataclass(frozen=True, kw_only=True)
class Unpacked(Content):
    """An unpacked dump, and where it is: a file or a folder.

    SQLite's SQL has become a database file (and so its format); its digest is still that of the SQL.
    """

    path: Path


def resolve_dump(root: Path, pattern: str) -> Dump:
    """Return the one dump that the pattern (a glob from `root`) matches.

    The link may lead out of the repository (dumps are often kept elsewhere), but must lead somewhere. Raises
    `DumpError`, or `ConfigError` where the pattern is not a glob.
    """
    try:
        links = _without_sidecars(sorted(root.glob(pattern)))
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(
            f"the setting `dump` is {pattern!r}: {error}",
            cause="it is a glob that starts in the repository, such as dumps/*latest.sql*",
            hint="correct the setting `dump`",
        ) from error
    # Without a wildcard, glob finds only what the link points to.
    if not links and (root / pattern).is_symlink():
        links = [root / pattern]
    if not links:
        folder, _, name = pattern.replace("*", "SITE_", 1).replace("*", "ite3.zip").rpartition("/")
        command = f"{f'cd {folder} && ' if folder else ''}ln -s FILE {name}"
        raise DumpError(
            f"no dump matches {root / pattern}",
            cause="neither a dump nor a link to one is there by such a name",
            hint=f"put it there, or a link to it: {command}; or correct the setting `dump`",
        )
    if len(links) > 1:
        raise DumpError(
            f"several dumps match {root / pattern}: {', '.join(link.name for link in links)}",
            cause="the setting `dump` means one, the newest",
            hint="leave one of them there",
        )
    (link,) = links
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise DumpError(
            f"{link} leads to {link.readlink()}, which does not exist",
            cause="there is nothing where the link leads",
            hint="put the file there, or point the link at the newest dump",
        ) from error
    if not (target.is_file() or any((target / marker).is_file() for marker in FOLDER_MARKERS)):
        raise DumpError(
            f"{target} is not a file",
            cause=f"{link.name} leads there; a folder is a dump with {' or '.join(FOLDER_MARKERS)} in it",
            hint="point the link at the newest dump",
        )
    _check_sidecars(link, target)
    return Dump(link=link, target=target)


def _without_sidecars(links: Sequence[Path]) -> list[Path]:
    """Return these files without what a database among them keeps beside it."""
    suffixes = (*SIDECARS, SHARED_MEMORY)
    beside = {each.with_name(each.name + suffix) for each in links for suffix in suffixes}
    return [each for each in links if each not in beside]


def _check_sidecars(link: Path, target: Path) -> None:
    """Raise `DumpError` for a file beside the link that SQLite, which follows links, does not find."""
    for suffix in SIDECARS:
        beside, wanted = link.with_name(link.name + suffix), target.with_name(target.name + suffix)
        is_there = beside.is_file() and beside.stat().st_size
        if is_there and beside.resolve() != wanted.resolve():
            raise DumpError(
                f"{beside} lies beside the link, not beside the database",
                cause=f"SQLite follows the link, and reads {wanted}",
                hint="move it there, or remove it",
            )


def identify_dump(dump: Dump, folder: Path, limits: Limits = DEFAULT_LIMITS) -> Content:
    """Return what is in the dump, without writing it anywhere.

    The answer is noted in `folder`: a dump whose file has not changed costs only a look at its metadata.
    Raises as `unpack` does, but for what only the unpacked database shows.
    """
    if noted := _noted_content(folder, dump):
        return noted
    with _explain_os_error(dump, folder):
        content, _ = _read_and_note(dump, folder, limits)
    return content


def unpack(dump: Dump, folder: Path, limits: Limits = DEFAULT_LIMITS) -> Unpacked:
    """Check the dump and unpack it into `folder`, which only its owner may enter; return what is there then.

    A dump that was unpacked before and has not changed costs only a look at its metadata. Waits for whoever
    else unpacks into the same folder. Raises `DumpError` where the dump is damaged, unsafe, larger than
    `limits` or not a database, `PrerequisiteError` where it cannot be read or written, as on a full disk.
    """
    if noted := _noted_unpacked(folder, dump):
        return noted
    with _explain_os_error(dump, folder):
        folder.mkdir(parents=True, exist_ok=True)
        # A dump is often readable by nobody else, and what it holds has to be readable in containers.
        folder.chmod(0o700)
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return _noted_unpacked(folder, dump) or _unpack(dump, folder, limits)


@contextlib.contextmanager
def _explain_os_error(dump: Dump, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise PrerequisiteError(
            f"{dump.target} cannot be unpacked into {folder}: {error}",
            cause="there is no space left" if is_full else "",
            hint=f"make room, or remove {folder}" if is_full else "fix that and try again",
        ) from error


def _unpack(dump: Dump, folder: Path, limits: Limits) -> Unpacked:
    temporary = folder / "unpacking"
    _remove_unpacking(temporary)
    try:
        content, note = _read_and_note(dump, folder, limits, temporary)
        format_ = content.database.prepare(dump.target, temporary, content.format, limits)
        # The site's user reads it, whatever the umask of whoever unpacked it.
        for each in {temporary, *_files(temporary)}:
            each.chmod(0o755 if each.is_dir() else 0o644)
        path = folder / f"{content.sha256}.{format_}"
        _remove(path)
        temporary.replace(path)
    finally:
        _remove_unpacking(temporary)
    unpacked = {**note, "format": format_, "unpacked": _fingerprint(*_files(path))}
    write_atomically(folder / UNPACKED_NOTE, json.dumps(unpacked))
    # What earlier dumps became; a container that has one mounted keeps it until it ends.
    formats = {f".{each}" for database in DATABASES for each in database.formats}
    for other in folder.iterdir():
        if other.suffix in formats and other != path:
            _remove(other)
    return Unpacked(**{**vars(content), "format": format_}, path=path)


def _remove_unpacking(temporary: Path) -> None:
    """Remove what was being unpacked, with what lies beside it."""
    for path in temporary.parent.glob(f"{temporary.name}*"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read_and_note(
    dump: Dump, folder: Path, limits: Limits, target: Path | None = None
) -> tuple[Content, dict[str, Any]]:
    """Read a dump, and write it to `target` where that is not None; return its content and its note."""
    note: dict[str, Any] = {"looked": time.time_ns(), "archive": _fingerprint(*_dump_files(dump))}
    with open_content(dump.target, limits) as opened:
        content = _read(opened, target, limits)
    note |= content.to_dict()
    write_atomically(folder / CONTENT_NOTE, json.dumps(note))
    return content, note


def _read(opened: Stream | Folder | WithSidecars, target: Path | None, limits: Limits) -> Content:
    if isinstance(opened, Folder):
        return _read_folder(opened, target, limits)
    if isinstance(opened, WithSidecars):
        return _read_with_sidecars(opened, target, limits)
    found = recognise(opened)
    expected = found.database.expected_size(opened, found.format)
    raise_if_larger(opened.file, expected or 0, limits)
    if target is not None and expected is not None and expected > shutil.disk_usage(target.parent).free:
        raise OSError(errno.ENOSPC, f"its database has {expected} bytes")
    sha256 = _copy(found.database.read(opened, found.format), target, limits)
    return Content(**vars(found), sha256=sha256)


def _read_with_sidecars(opened: WithSidecars, target: Path | None, limits: Limits) -> Content:
    """Read a database and what lies beside it: what it holds is all of them together."""
    found: Recognised | None = None
    digests: dict[str, str] = {}
    for suffix, stream in opened.members:
        if not suffix:
            found = recognise(stream)
        digests[suffix] = _copy(
            stream.chunks(), target.with_name(target.name + suffix) if target else None, limits
        )
    if found is None:
        raise DumpError(f"{opened.file} has changed while it was read", hint="try again")
    return Content(**vars(found), sha256=_digest_of_files(digests))


def _digest_of_files(digests: Mapping[str, str]) -> str:
    hashed = hashlib.sha256()
    for name, digest in sorted(digests.items()):
        hashed.update(f"{name}\0{digest}\n".encode())
    return hashed.hexdigest()


def _read_folder(opened: Folder, target: Path | None, limits: Limits) -> Content:
    """Read a dump that is a folder; its files lie side by side."""
    found: Recognised | None = None
    digests: dict[str, str] = {}
    parents: set[PurePosixPath] = set()
    if target is not None:
        target.mkdir()
    for path, stream in opened.members:
        name = PurePosixPath(path).name
        parents.add(PurePosixPath(path).parent)
        if not MEMBER_NAME.fullmatch(name) or name in digests or len(parents) > 1:
            raise _not_a_folder(opened.file, f"{path!r} is not one of its files")
        for database in DATABASES:
            if name == database.folder_marker:
                found = database.recognise(opened.file, stream.peek(), is_folder=True)
                if found is None:
                    raise _not_a_folder(opened.file, f"its {name} is not {database.name}'s")
        digests[name] = _copy(stream.chunks(), target / name if target else None, limits)
    if found is None:
        raise _not_a_folder(opened.file, f"there is no {' or '.join(FOLDER_MARKERS)}")
    return Content(**vars(found), sha256=_digest_of_files(digests))


def _not_a_folder(file: Path, why: str) -> DumpError:
    message = f"{file} holds several files, which are not a dump: {why}"
    cause = "a dump of several files is what pg_dump --format=directory makes, and nothing else"
    return DumpError(message, cause=cause, hint=REPACK_HINT)


def _copy(pieces: Iterator[bytes], target: Path | None, limits: Limits) -> str:
    """Write the pieces to `target` where that is not None; return their SHA-256.

    What is large leaves some of the disk free, for everything else on it.
    """
    hashed, unwatched = hashlib.sha256(), 0
    with (target or Path(os.devnull)).open("wb") as output:
        for piece in pieces:
            unwatched += len(piece)
            if target is not None and unwatched > WATCHED:
                if is_nearly_full(target.parent, limits):
                    raise OSError(errno.ENOSPC, "the rest of the disk is left free")
                unwatched = 0
            output.write(piece)
            hashed.update(piece)
    return hashed.hexdigest()


# Notes: what is known of a dump whose file has not changed ------------------------------------------------


def _files(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]


def _dump_files(dump: Dump) -> list[Path]:
    """Return the files of a dump, with those beside it that may belong to it."""
    suffixes = {
        each for database in DATABASES for form in database.formats for each in database.sidecars(form)
    }
    names = (dump.target.name, dump.target.stem)
    beside = (dump.target.with_name(name + suffix) for name in names for suffix in sorted(suffixes))
    return [*_files(dump.target), *(path for path in beside if path.is_file())]


def _fingerprint(*files: Path) -> list[list[str | int]]:
    """Return what changes when one of these files does: path, inode, size and two times.

    The inode's time cannot be set back, as `touch` and `cp --preserve` do with the file's.
    """
    found = ((file, file.stat()) for file in files)
    return [[str(file), s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for file, s in found]


def _is_unchanged(noted: Mapping[str, Any], dump: Dump) -> bool:
    """Return whether a dump's file is what it was when it was noted, as far as that can be relied on.

    A file that was changed shortly before it was read, or later, may have been changed once more within the
    grain of the file system's clock, with the same size: then its time says nothing (git,
    Documentation/technical/racy-git).
    """
    is_settled = all(max(file[-2:]) + CLOCK_GRAIN < noted["looked"] for file in noted["archive"])
    return bool(is_settled and noted["archive"] == _fingerprint(*_dump_files(dump)))


def _noted_content(folder: Path, dump: Dump) -> Content | None:
    """Return what was noted of a dump, None where it cannot be relied on."""
    with contextlib.suppress(*NOTE_ERRORS):
        noted = json.loads((folder / CONTENT_NOTE).read_text(encoding="utf-8"))
        if _is_unchanged(noted, dump):
            return Content.from_dict(noted)
    return None


def _noted_unpacked(folder: Path, dump: Dump) -> Unpacked | None:
    """Return what was unpacked before, None where it cannot be relied on."""
    with contextlib.suppress(*NOTE_ERRORS):
        noted = json.loads((folder / UNPACKED_NOTE).read_text(encoding="utf-8"))
        content = Content.from_dict(noted)
        path = folder / f"{content.sha256}.{content.format}"
        if noted["unpacked"] == _fingerprint(*_files(path)) and _is_unchanged(noted, dump):
            return Unpacked(**vars(content), path=path)
    return None
