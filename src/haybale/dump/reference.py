"""The reference dump: found through its link, checked, and unpacked, before any container starts.

Everything is streamed; what was unpacked appears under its final name only when it is whole and sound.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from haybale.dump import archive, postgresql, sqlite
from haybale.errors import ConfigError, DumpError, PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The file that notes a dump's digest.
DIGEST_NOTE = "digest.json"

# The coarsest time of change that a file system notes (FAT's), in nanoseconds.
GRAIN = 2_000_000_000

# The files of a PostgreSQL dump in a folder have such names (pg_backup_directory.c).
MEMBER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class Format(enum.StrEnum):
    """What a dump is, whatever it is packed in.

    `SQL` is SQLite's; the others but `SQLITE` are what pg_dump calls its formats.
    """

    SQLITE = "sqlite"
    SQL = "sql"
    PLAIN = "plain"
    CUSTOM = "custom"
    TAR = "tar"
    DIRECTORY = "directory"

    @property
    def database(self) -> str:
        """The kind of database that it is a dump of."""
        return "sqlite" if self in {Format.SQLITE, Format.SQL} else "postgresql"


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A dump: the link that the setting matches, and the file or folder that it leads to (absolute)."""

    link: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a dump holds: its format, the SHA-256 (hex) of what was dumped, and the server that it needs.

    `server` is a major version of PostgreSQL's, 0 where none is known or needed. The digest is the same
    whatever the dump is packed in; of a folder it is that of its files' names and digests.
    """

    format: Format
    sha256: str
    server: int = 0


@dataclass(frozen=True, kw_only=True)
class Unpacked(Content):
    """An unpacked dump: where it is, a file or a folder, and its size in bytes.

    Of SQLite's SQL it is the database that it makes (and so is the format).
    """

    path: Path
    size: int


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
            hint=f"make it (ln -s FILE {pattern.replace('*', 'SITE_', 1).replace('*', 'ite3.zip')}),"
            " or mend the setting `dump`",
        )
    if len(links) > 1:
        raise DumpError(
            f"several dumps match {root / pattern}: {', '.join(link.name for link in links)}",
            cause="an older link was left in place",
            hint="leave one of them",
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
            hint="put the file there, or point the link at the newest dump",
        )
    if not (target.is_file() or (target / archive.CONTENTS).is_file()):
        raise DumpError(
            f"{target} is not a file",
            cause=f"{link.name} leads to a device, or to a folder that is no PostgreSQL dump's",
            hint="point the link at the newest dump",
        )
    return Dump(link=link, target=target)


def identify(dump: Dump, into: Path) -> Content:
    """Return what is in the dump, without writing it anywhere.

    It is noted in the folder `into`: a dump whose file is the same since costs only a look at its metadata.
    Raises as `unpack` does, but for what only the unpacked database shows.
    """
    note = into / DIGEST_NOTE
    known = _known_content(note, dump)
    if known is not None:
        return known
    looked, packed = time.time_ns(), _fingerprint(dump.target)
    with _explained(dump, into):
        with archive.opened(dump.target) as held:
            found = _read(held)
        into.mkdir(parents=True, exist_ok=True)
        _write_note(note, {"archive": packed, "looked": looked, **asdict(found.content)})
    return found.content


def unpack(dump: Dump, into: Path) -> Unpacked:
    """Check the dump and unpack it into the folder `into`; return what is there then.

    A dump that was unpacked before, and whose file is the same since, costs only a look at its metadata.
    Whoever else unpacks into the same folder at that time is waited for. Raises `DumpError` where the dump is
    damaged, unsafe or no database, `PrerequisiteError` where it can't be read or written, as on a full disk.
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
        raise PrerequisiteError(
            f"{dump.target} can't be unpacked into {into}: {error}",
            cause="there is no space left" if full else "",
            hint=f"make room, or remove {into}" if full else "mend that and try again",
        ) from error


def _unpack(dump: Dump, into: Path, note: Path) -> Unpacked:
    looked, packed = time.time_ns(), _fingerprint(dump.target)
    aside = into / "unpacking"
    _remove(aside)
    try:
        with archive.opened(dump.target) as held:
            found = _read(held, aside)
        content, size = found.content, found.size
        if content.format is Format.SQL:
            size = sqlite.execute(dump.target, aside)
        if content.format.database == "sqlite":
            sqlite.check(dump.target, aside)
        # The site's user reads it, whatever the umask of whoever unpacked it.
        for each in (aside, *(aside.iterdir() if aside.is_dir() else ())):
            each.chmod(0o755 if each.is_dir() else 0o644)
        path = into / _name(content)
        _remove(path)
        aside.replace(path)
    finally:
        _remove(aside)
    unpacked = Unpacked(**{**vars(content), "format": _becomes(content.format)}, path=path, size=size)
    fields = {"archive": packed, "looked": looked}
    _write_note(
        note, {**fields, "unpacked": _fingerprint(path), "size": size, **asdict(content)}
    )  # fmt: skip
    _write_note(into / DIGEST_NOTE, {**fields, **asdict(content)})
    _drop_others(into, path)
    return unpacked


def _becomes(format_: Format) -> Format:
    return Format.SQLITE if format_ is Format.SQL else format_


def _name(content: Content) -> str:
    """Return the name that a dump has when it is unpacked."""
    return f"{content.sha256}.{_becomes(content.format)}"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What was read, and its size in bytes."""

    content: Content
    size: int


def _read(held: archive.Source | archive.Folder, target: Path | None = None) -> _Found:
    """Read what a dump's file holds, and write it to `target` where that is not None."""
    if isinstance(held, archive.Folder):
        return _read_folder(held, target)
    start = held.peek()
    format_, server = _recognise(held.file, start)
    if format_ is Format.SQLITE:
        pieces, expected = sqlite.pieces(held), sqlite.expected_size(held, start)
    elif format_ is Format.PLAIN:
        pieces, expected = postgresql.script(held), held.size or 0
    else:
        pieces, expected = held.chunks(), held.size or 0
    if target is not None and expected > shutil.disk_usage(target.parent).free:
        raise OSError(errno.ENOSPC, f"its database has {expected} bytes")
    size, sha256 = _copy(pieces, target)
    return _Found(content=Content(format=format_, sha256=sha256, server=server), size=size)


def _recognise(file: Path, start: bytes) -> tuple[Format, int]:
    """Return what begins so, and the major version of the server that it needs (0: none, or not known)."""
    if archive.is_postgresql_tar(start):
        return Format.TAR, postgresql.version(file, start[512:])
    if start.startswith(archive.POSTGRESQL_MAGIC):
        if postgresql.kind(file, start) != postgresql.CUSTOM:
            raise DumpError(
                f"{file} holds only the table of contents of a PostgreSQL dump",
                cause=f"a dump in a folder is all of it: {archive.CONTENTS} and what is beside it",
                hint=archive.REPACK,
            )
        return Format.CUSTOM, postgresql.version(file, start)
    what = archive.stranger(start)
    if what == archive.SQL_POSTGRESQL:
        return Format.PLAIN, postgresql.script_version(file, start)
    # What is neither is told by whoever reads an SQLite database.
    return (Format.SQL if what == archive.SCRIPT else Format.SQLITE), 0


def _read_folder(held: archive.Folder, target: Path | None) -> _Found:
    """Read a PostgreSQL dump that is a folder; its files lie side by side."""
    digests: dict[str, str] = {}
    parents: set[PurePosixPath] = set()
    size, server = 0, 0
    if target is not None:
        target.mkdir()
    for path, source in held.members:
        name, start = PurePosixPath(path).name, source.peek()
        parents.add(PurePosixPath(path).parent)
        if not MEMBER.fullmatch(name) or name in digests or len(parents) > 1:
            raise _no_folder(held.file, f"{path!r} is none of its files")
        if name == archive.CONTENTS:
            if not start.startswith(archive.POSTGRESQL_MAGIC):
                raise _no_folder(held.file, f"its {archive.CONTENTS} is none of pg_dump's")
            server = postgresql.version(held.file, start)
        written, digests[name] = _copy(source.chunks(), target / name if target else None)
        size += written
    if archive.CONTENTS not in digests:
        raise _no_folder(held.file, f"there is no {archive.CONTENTS}")
    hashed = hashlib.sha256()
    for name, digest in sorted(digests.items()):
        hashed.update(f"{name}\0{digest}\n".encode())
    return _Found(
        content=Content(format=Format.DIRECTORY, sha256=hashed.hexdigest(), server=server), size=size
    )


def _no_folder(file: Path, why: str) -> DumpError:
    return DumpError(
        f"{file} holds several files, and not as a PostgreSQL dump does: {why}",
        cause="what is no single file is what pg_dump --format=directory makes, and nothing else",
        hint=archive.REPACK,
    )


def _copy(pieces: Iterator[bytes], target: Path | None) -> tuple[int, str]:
    """Write the pieces to `target` where that is not None; return their size in bytes and their SHA-256."""
    hashed, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as stack:
        output = None
        for piece in pieces:
            # Opened only now: what is no dump is not written.
            if target is not None and output is None:
                output = stack.enter_context(target.open("wb"))
            if output is not None:
                output.write(piece)
            hashed.update(piece)
            size += len(piece)
    if target is not None and not size:
        target.touch()
    return size, hashed.hexdigest()


# What is noted -------------------------------------------------------------------------------------------


def _fingerprint(path: Path) -> list[list[str | int]]:
    """Return what changes when a file, or one of a folder's, does: path, inode, size and two times.

    The inode's time can't be set back, as `touch` and `cp --preserve` do with the file's.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [(file, file.stat()) for file in files]
    return [
        [str(file), each.st_ino, each.st_size, each.st_mtime_ns, each.st_ctime_ns] for file, each in found
    ]


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
    settled = all(max(file[-2:]) + GRAIN < noted["looked"] for file in noted["archive"])
    return bool(settled and noted["archive"] == _fingerprint(dump.target))


def _content(noted: Mapping[str, Any]) -> Content:
    return Content(
        format=Format(noted["format"]), sha256=str(noted["sha256"]), server=int(noted["server"])
    )  # fmt: skip


def _known_content(note: Path, dump: Dump) -> Content | None:
    """Return what was noted of a dump, where it can be relied on."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        return _content(noted) if _same(noted, dump) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _known(note: Path, dump: Dump) -> Unpacked | None:
    """Return what was unpacked before, where it can be relied on."""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        content = _content(noted)
        path = note.parent / _name(content)
        if noted["unpacked"] != _fingerprint(path) or not _same(noted, dump):
            return None
        return Unpacked(
            **{**vars(content), "format": _becomes(content.format)}, path=path, size=int(noted["size"])
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _drop_others(into: Path, path: Path) -> None:
    """Remove what earlier dumps became; a container that has one mounted keeps it until it ends."""
    for format_ in Format:
        for other in into.glob(f"*.{format_}"):
            if other != path:
                _remove(other)
