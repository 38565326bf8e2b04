from __future__ import annotations

import gzip
import hashlib
import io
import os
import sqlite3
import stat
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from haybale.errors import DumpError, MachineError
from haybale.index import dump

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATTERN = "dumps/*latest.sql*"


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database of a few pages."""
    file = tmp_path_factory.mktemp("database") / "db.sqlite3"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT)")
    connection.executemany("INSERT INTO word (text) VALUES (?)", [(f"word {n} " * 20,) for n in range(200)])
    connection.execute("CREATE INDEX by_text ON word (text)")
    connection.commit()
    connection.close()
    return file.read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dumps").mkdir()
    return tmp_path


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def put(root: Path, content: bytes, name: str = "site_2026.sqlite3.zip") -> Path:
    """Put a dump in its place, with the link to it."""
    file = root / "dumps" / name
    file.write_bytes(content)
    link = root / "dumps" / "site_latest.sqlite3.zip"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    return file


def unpack(root: Path) -> dump.Unpacked:
    return dump.unpack(dump.resolve(root, PATTERN), root / "unpacked")


def left(root: Path) -> list[str]:
    """What is in the folder of unpacked databases, apart from the note."""
    return sorted(file.name for file in (root / "unpacked").glob("*") if file.suffix != ".json")


@pytest.mark.parametrize("kind", ["zip", "gzip", "plain"])
def test_each_kind_unpacks_to_the_same_database(root: Path, database: bytes, kind: str) -> None:
    content = {"zip": zipped(("db.sqlite3", database)), "gzip": gzip.compress(database), "plain": database}
    put(root, content[kind])
    found = unpack(root)
    assert found.path.read_bytes() == database
    assert found.size == len(database)
    assert found.sha256 == hashlib.sha256(database).hexdigest()
    assert left(root) == [found.path.name]


def test_a_readme_beside_the_database_does_no_harm(root: Path, database: bytes) -> None:
    put(root, zipped(("README.txt", b"hello"), ("data/", b""), ("data/site.sqlite3", database)))
    assert unpack(root).size == len(database)


def test_nothing_matches(root: Path) -> None:
    with pytest.raises(DumpError, match="no dump matches") as told:
        dump.resolve(root, PATTERN)
    assert told.value.step


def test_a_dangling_link_names_where_it_leads(root: Path) -> None:
    (root / "dumps" / "site_latest.sqlite3.zip").symlink_to("site_2025.sqlite3.zip")
    with pytest.raises(DumpError, match=r"site_latest.*leads to site_2025\.sqlite3\.zip"):
        dump.resolve(root, PATTERN)


def test_two_matches_are_named(root: Path) -> None:
    for name in ("a_latest.sqlite3.zip", "b_latest.sqlite3.zip"):
        (root / "dumps" / name).write_bytes(b"")
    with pytest.raises(DumpError, match=r"a_latest\.sqlite3\.zip, b_latest\.sqlite3\.zip"):
        dump.resolve(root, PATTERN)


def test_a_folder_is_no_dump(root: Path) -> None:
    (root / "dumps" / "site_latest.sqlite3").mkdir()
    with pytest.raises(DumpError, match="is not a file"):
        dump.resolve(root, PATTERN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, hello, hello", "no archive and no database"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "Git LFS pointer"),
        (zipped(), "no database: nothing"),
        (zipped(("readme.txt", b"hello")), "no database: readme.txt"),
        (zipped(("a.sqlite3", b"a"), ("b.sqlite3", b"b")), r"several databases: a\.sqlite3, b\.sqlite3"),
        (zipped(("../db.sqlite3", b"a")), "unsafe member"),
        (zipped(("/etc/db.sqlite3", b"a")), "unsafe member"),
        (zipped(("..\\db.sqlite3", b"a")), "unsafe member"),
        (zipped(("db.sqlite3", b"not a database, whatever its name says")), "holds no SQLite database"),
        (zipped(("db.sqlite3", b"")), "empty database"),
    ],
)
def test_what_is_no_dump_is_named_for_what_it_is(root: Path, content: bytes, words: str) -> None:
    file = put(root, content)
    with pytest.raises(DumpError, match=words) as told:
        unpack(root)
    assert str(file) in told.value.what
    assert told.value.cause
    assert left(root) == []


def test_a_link_inside_the_archive_is_refused(root: Path) -> None:
    member = zipfile.ZipInfo("db.sqlite3")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, "/etc/passwd")
    put(root, file.getvalue())
    with pytest.raises(DumpError, match="unsafe member"):
        unpack(root)


@pytest.mark.parametrize("kind", ["zip", "gzip", "plain"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_dump_that_was_cut_off_is_refused_wherever_it_was_cut(
    root: Path, database: bytes, kind: str, kept: float
) -> None:
    content = {"zip": zipped(("db.sqlite3", database)), "gzip": gzip.compress(database), "plain": database}
    file = put(root, content[kind][: int(len(content[kind]) * kept)])
    with pytest.raises(DumpError) as told:
        unpack(root)
    assert str(file) in told.value.what
    assert left(root) == []


def patched(archive: bytes, offset_from_directory: int, value: int) -> bytes:
    """Return a zip whose central directory says something else (appnote 4.3.12)."""
    directory = archive.rindex(b"PK\x01\x02")
    at = directory + offset_from_directory
    return archive[:at] + struct.pack("<I", value) + archive[at + 4 :]


@pytest.mark.parametrize("declared", [-1, 1])
def test_a_size_that_lies_is_found_out(root: Path, database: bytes, declared: int) -> None:
    put(root, patched(zipped(("db.sqlite3", database)), 24, len(database) + declared))
    with pytest.raises(DumpError, match="lies about its size"):
        unpack(root)
    assert left(root) == []


def test_a_small_archive_that_unpacks_to_a_lot_stops_at_what_it_declares(root: Path) -> None:
    bomb = zipped(("db.sqlite3", dump.SQLITE_MAGIC + bytes(50_000_000)))
    put(root, patched(bomb, 24, 1000))
    with pytest.raises(DumpError, match="lies about its size: it declares 1000 bytes"):
        unpack(root)


def test_a_lie_told_twice_fills_no_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both places agree on 1000 bytes; what they declare is all that is ever written."""
    bomb = patched(zipped(("db.sqlite3", dump.SQLITE_MAGIC + bytes(50_000_000))), 24, 1000)
    put(root, bomb[:22] + struct.pack("<I", 1000) + bomb[26:])
    written = []
    read = zipfile.ZipExtFile.read

    def noting(self: zipfile.ZipExtFile, size: int = -1) -> bytes:
        chunk = read(self, size)
        written.append(len(chunk))
        return chunk

    monkeypatch.setattr(zipfile.ZipExtFile, "read", noting)
    with pytest.raises(DumpError, match="damaged"):
        unpack(root)
    assert sum(written) <= 1000


def test_a_wrong_checksum_is_found_out(root: Path, database: bytes) -> None:
    put(root, patched(zipped(("db.sqlite3", database)), 16, 12345))
    with pytest.raises(DumpError, match="damaged"):
        unpack(root)


def test_an_encrypted_archive_is_refused(root: Path, database: bytes) -> None:
    archive = zipped(("db.sqlite3", database))
    directory = archive.rindex(b"PK\x01\x02")
    put(root, archive[: directory + 8] + b"\x01" + archive[directory + 9 :])
    with pytest.raises(DumpError, match="encrypted"):
        unpack(root)


def test_a_database_that_is_cut_off_inside_a_sound_archive_is_refused(root: Path, database: bytes) -> None:
    put(root, zipped(("db.sqlite3", database[:-4096])))
    with pytest.raises(DumpError, match="cut off"):
        unpack(root)


def test_a_damaged_database_inside_a_sound_archive_is_refused(root: Path, database: bytes) -> None:
    put(root, zipped(("db.sqlite3", database[:4096] + bytes(4096) + database[8192:])))
    with pytest.raises(DumpError, match="is damaged"):
        unpack(root)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The databases that were really unpacked."""
    made: list[Path] = []
    copy: Callable[..., tuple[int, str]] = dump._copy

    def noting(file: Path, source: dump.Readable, target: Path) -> tuple[int, str]:
        made.append(file)
        return copy(file, source, target)

    monkeypatch.setattr(dump, "_copy", noting)
    return made


def older(file: Path) -> None:
    """Date a file back, out of reach of the clock's grain."""
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns - 10_000_000_000))


def test_an_unchanged_dump_is_unpacked_once(root: Path, database: bytes, copies: list[Path]) -> None:
    older(put(root, zipped(("db.sqlite3", database))))
    assert unpack(root) == unpack(root)
    assert len(copies) == 1


def test_a_dump_changed_in_the_same_instant_is_unpacked_again(
    root: Path, database: bytes, copies: list[Path]
) -> None:
    """Same inode, size and time: only that the time is not older than our look gives it away."""
    file = put(root, zipped(("db.sqlite3", database)))
    os.utime(file, ns=(2**62, 2**62))
    first = unpack(root)
    file.write_bytes(zipped(("eb.sqlite3", database)))
    os.utime(file, ns=(2**62, 2**62))
    assert unpack(root) == first
    assert len(copies) == 2


def test_a_link_that_leads_elsewhere_is_followed_again(
    root: Path, database: bytes, copies: list[Path]
) -> None:
    older(put(root, zipped(("db.sqlite3", database))))
    unpack(root)
    older(put(root, database, "site_2027.sqlite3"))
    unpack(root)
    assert [file.name for file in copies] == ["site_2026.sqlite3.zip", "site_2027.sqlite3"]


def test_a_cached_database_that_is_gone_or_cut_is_made_again(
    root: Path, database: bytes, copies: list[Path]
) -> None:
    older(put(root, zipped(("db.sqlite3", database))))
    unpack(root).path.unlink()
    unpack(root).path.write_bytes(b"short")
    assert unpack(root).path.read_bytes() == database
    assert len(copies) == 3


def test_a_broken_note_is_no_obstacle(root: Path, database: bytes) -> None:
    older(put(root, zipped(("db.sqlite3", database))))
    unpack(root)
    (root / "unpacked" / "unpacked.json").write_text('{"fingerprint": 3', encoding="utf-8")
    assert unpack(root).size == len(database)


def test_an_older_database_is_dropped(root: Path, database: bytes) -> None:
    put(root, database)
    (root / "unpacked").mkdir()
    (root / "unpacked" / "0123.sqlite3").write_bytes(b"old")
    found = unpack(root)
    assert left(root) == [found.path.name]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_midway_leaves_nothing(
    root: Path, database: bytes, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    put(root, zipped(("db.sqlite3", database)))

    def failing(*_: object) -> None:
        raise failure

    monkeypatch.setattr(dump, "_check_database", failing)
    with pytest.raises((KeyboardInterrupt, MachineError)):
        unpack(root)
    assert left(root) == []
