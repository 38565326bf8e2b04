from __future__ import annotations

import bz2
import concurrent.futures
import contextlib
import errno
import gzip
import hashlib
import io
import lzma
import os
import random
import shutil
import sqlite3
import stat
import struct
import sys
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from haybale.dump import reference, sqlite
from haybale.dump.compression import Decompressed
from haybale.dump.content import CHUNK, Folder, Stream
from haybale.dump.limits import Limits
from haybale.dump.postgresql import CUSTOM, DIRECTORY, PLAIN, TAR
from haybale.dump.reference import Content, Unpacked, identify_dump, resolve_dump
from haybale.errors import ConfigError, DumpError, PrerequisiteError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

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
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


def tarred(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


def put(root: Path, content: bytes, name: str = "site_2026.sqlite3.zip") -> Path:
    """Put a dump in its place, with the link to it."""
    file = root / "dumps" / name
    file.write_bytes(content)
    link = root / "dumps" / "site_latest.sqlite3.zip"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    return file


def unpack(root: Path, limits: Limits | None = None) -> Unpacked:
    return reference.unpack(resolve_dump(root, PATTERN), root / "unpacked", limits or Limits())


def size(found: Unpacked) -> int:
    """The bytes of what was unpacked, a file or a folder."""
    files = found.path.iterdir() if found.path.is_dir() else [found.path]
    return sum(file.stat().st_size for file in files)


def left(root: Path) -> list[str]:
    """What is in the folder of unpacked databases, apart from the notes and the lock."""
    notes = {"unpacked.json", "digest.json", "lock"}
    return sorted({file.name for file in (root / "unpacked").glob("*")} - notes)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "zip": lambda content: zipped(("db.sqlite3", content)),
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_unpack_gives_the_same_database_from_each_archive(root: Path, database: bytes, kind: str) -> None:
    put(root, PACKERS[kind](database))
    found = unpack(root)
    assert found.path.read_bytes() == database
    assert size(found) == len(database)
    assert found.sha256 == hashlib.sha256(database).hexdigest()
    assert left(root) == [found.path.name]


def sql(*statements: str) -> bytes:
    """What sqlite3's .dump writes."""
    return "\n".join(["PRAGMA foreign_keys=OFF;", "BEGIN TRANSACTION;", *statements, "COMMIT;", ""]).encode()


NOTES = sql(
    "CREATE TABLE note (id integer PRIMARY KEY, text);",
    "INSERT INTO note VALUES(1,'one line;",
    "another; and ''quotes''');",
    "INSERT INTO note VALUES(2,'Grün');",
)
WHOLE = b"BEGIN TRANSACTION;\n"


@pytest.mark.parametrize("kind", PACKERS)
def test_unpack_executes_sql(root: Path, kind: str) -> None:
    put(root, PACKERS[kind](NOTES))
    found = unpack(root)
    with contextlib.closing(sqlite3.connect(found.path)) as made:
        rows = made.execute("SELECT id, text FROM note ORDER BY id").fetchall()
    assert rows == [(1, "one line;\nanother; and 'quotes'"), (2, "Grün")]
    assert found.sha256 == hashlib.sha256(NOTES).hexdigest()
    assert found.sha256 == identify_dump(resolve_dump(root, PATTERN), root / "elsewhere").sha256
    assert left(root) == [found.path.name]
    assert unpack(root) == found


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (sql("CREATE TABLE a (b);", "INSERT INTO c VALUES(1);"), "refused at line 4: no such table: c"),
        (sql("CREATE TABLE `a` (b int) ENGINE=InnoDB;"), "refused at line 3"),
        (NOTES.replace(b"COMMIT;\n", b""), "ends within a transaction"),
        (NOTES[: NOTES.rindex(b"Gr")], "ends within the statement that begins at line 6"),
        (NOTES.replace("ü".encode(), b"\xfc"), "is not UTF-8"),
        (sql("ATTACH '{elsewhere}' AS other;"), "refused at line 3"),
        (sql().replace(WHOLE, b"").replace(b"COMMIT;", b"VACUUM INTO '{elsewhere}';"), "refused at line 2"),
    ],
)
def test_unpack_names_the_line_of_wrong_sql(root: Path, script: bytes, words: str) -> None:
    elsewhere = root / "elsewhere.sqlite3"
    file = put(root, script.replace(b"{elsewhere}", str(elsewhere).encode()))
    with pytest.raises(DumpError, match=words) as told:
        unpack(root)
    assert str(file) in told.value.message
    assert not elsewhere.exists()
    assert left(root) == []


def rows_of(found: Unpacked, query: str = "SELECT text FROM note ORDER BY id") -> list[str]:
    with contextlib.closing(sqlite3.connect(found.path)) as made:
        return [text for (text,) in made.execute(query)]


NOTE = "CREATE TABLE note(id, text);"
TRIGGER = """
CREATE TRIGGER t AFTER INSERT ON note BEGIN UPDATE note SET text = text || ';'; SELECT 1; END;
INSERT INTO note VALUES(1,'x');
"""


@pytest.mark.parametrize(
    ("script", "rows"),
    [
        # Two statements on a line (vrana/adminer#1331), comments, and what a semicolon may stand in.
        ("INSERT INTO note VALUES(1,'a;b'); INSERT INTO note VALUES(2,'c');", ["a;b", "c"]),
        ("-- it's; a comment\n/* ; ' */INSERT INTO note VALUES(1,'--');", ["--"]),
        ('CREATE TABLE "a;b"([c;d], `e;f`); INSERT INTO note VALUES(1,"x");', ["x"]),
        # The shell reads lines: it gives LF for CR LF, also in a text (sqlite3 3.40.1).
        ("INSERT INTO note VALUES(1,'a\r\nb');\r\n", ["a\nb"]),
        (TRIGGER, ["x;"]),
        # The shell runs a last statement that no semicolon ends.
        ("INSERT INTO note VALUES(1,'last')", ["last"]),
        ("INSERT INTO note VALUES(1,'last');\n-- the end", ["last"]),
        # Since SQLite 3.50 the shell writes control characters so (cloudflare-docs#26842).
        (r"INSERT INTO note VALUES(1,unistr('a\u000ab\\c\+01F40E'));", ["a\nb\\c\N{HORSE}"]),
        ("INSERT INTO note VALUES(1,unistr_quote('a'));", ["'a'"]),
        ("INSERT INTO note VALUES(1,unistr_quote('a' || char(10)));", [r"unistr('a\u000a')"]),
    ],
)
def test_unpack_executes_sql_as_the_shell_does(root: Path, script: str, rows: list[str]) -> None:
    put(root, f"{NOTE} {script}".encode())
    assert rows_of(unpack(root)) == rows


def test_unpack_names_the_line_within_many_statements_of_a_line(root: Path) -> None:
    put(root, f"{NOTE}\n\nINSERT INTO note VALUES(1,'\n'); INSERT INTO c VALUES(1);\n".encode())
    with pytest.raises(DumpError, match="refused at line 4: no such table: c"):
        unpack(root)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("ROLLBACK; -- due to errors", r"takes back what it made at line 4 \(ROLLBACK\)"),
        ("/****** CORRUPTION ERROR *******/\nROLLBACK; -- due to errors", "at line 4: .*CORRUPTION ERROR"),
        # It may also have found all but a few rows, by reading the table from its end.
        ("/****** CORRUPTION ERROR *******/\nCOMMIT;", "at line 4: .*CORRUPTION ERROR"),
    ],
)
def test_unpack_refuses_what_the_shell_could_not_read_whole(root: Path, end: str, words: str) -> None:
    put(root, sql("CREATE TABLE note(id, text);").replace(b"COMMIT;", end.encode()))
    with pytest.raises(DumpError, match=words):
        unpack(root)


def test_unpack_names_a_null_character_in_sql(root: Path) -> None:
    put(root, b"CREATE TABLE note(id, text);\n" + b"-" * 9000 + b"\nINSERT INTO note VALUES(1,'\0');\n")
    with pytest.raises(DumpError, match="refused at line 3: it holds a NUL"):
        unpack(root)


# What lies beside a database ----------------------------------------------------------------------------


@pytest.fixture
def wal(tmp_path: Path) -> dict[str, bytes]:
    """A database with a row in it and another one in its -wal alone (openScale#1289)."""
    file = tmp_path / "live.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode = WAL")
        live.execute("PRAGMA wal_autocheckpoint = 0")
        live.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text)")
        live.execute("INSERT INTO note VALUES (1, 'one')")
        live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        live.execute("INSERT INTO note VALUES (2, 'two')")
        return {suffix: file.with_name(file.name + suffix).read_bytes() for suffix in ("", "-wal", "-shm")}


def put_beside(root: Path, files: dict[str, bytes], kind: str) -> None:
    if kind == "beside":
        for suffix, content in files.items():
            if suffix:
                put(root, content, f"site.sqlite3{suffix}")
        put(root, files[""], "site.sqlite3")
    elif kind == "zip":
        put(root, zipped(*((f"a/site.db{suffix}", content) for suffix, content in reversed(files.items()))))
    else:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for suffix, content in files.items():
                member = tarfile.TarInfo(f"site{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        put(root, file.getvalue())


@pytest.mark.parametrize("kind", ["beside", "zip", "tar"])
def test_unpack_takes_along_what_is_only_in_the_wal(root: Path, wal: dict[str, bytes], kind: str) -> None:
    put_beside(root, wal, kind)
    found = unpack(root)
    assert rows_of(found) == ["one", "two"]
    assert left(root) == [found.path.name]
    assert identify_dump(resolve_dump(root, PATTERN), root / "elsewhere").sha256 == found.sha256


def test_unpack_follows_a_wal_that_appears_or_changes(root: Path, wal: dict[str, bytes]) -> None:
    put(root, wal[""], "site.sqlite3")
    past = time.time_ns() - 10 * reference.CLOCK_GRAIN
    os.utime(root / "dumps/site.sqlite3", ns=(past, past))
    one = unpack(root)
    (root / "dumps/site.sqlite3-wal").write_bytes(wal["-wal"])
    two = unpack(root)
    assert (rows_of(one) if one.path.exists() else ["one"], rows_of(two)) == (["one"], ["one", "two"])
    assert one.sha256 != two.sha256
    assert (root / "dumps/site.sqlite3-wal").read_bytes() == wal["-wal"]


def test_resolve_dump_takes_no_sidecar_for_another_dump(root: Path, wal: dict[str, bytes]) -> None:
    for suffix, content in wal.items():
        (root / f"dumps/site_latest.sqlite3{suffix}").write_bytes(content)
    assert rows_of(unpack(root)) == ["one", "two"]


def test_resolve_dump_refuses_a_sidecar_beside_the_link(root: Path, wal: dict[str, bytes]) -> None:
    """sqlite3 3.40.1 opens a link's target, and reads what lies beside that."""
    put(root, wal[""], "site.sqlite3")
    beside = root / "dumps/site_latest.sqlite3.zip-wal"
    beside.write_bytes(wal["-wal"])
    with pytest.raises(DumpError, match="lies beside the link, not beside the database"):
        unpack(root)
    beside.replace(root / "dumps/site.sqlite3-wal")
    beside.symlink_to("site.sqlite3-wal")
    assert rows_of(unpack(root)) == ["one", "two"]


@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_unpack_refuses_a_sidecar_beside_the_archive(root: Path, wal: dict[str, bytes], kind: str) -> None:
    """As after `gzip site.sqlite3` of a database that is open: sqlite3 reads it beside the unpacked file."""
    packed = zipped(("site.sqlite3", wal[""])) if kind == "zip" else gzip.compress(wal[""])
    put(root, packed, f"site.sqlite3.{kind}")
    beside = root / "dumps/site.sqlite3-wal"
    beside.write_bytes(wal["-wal"])
    with pytest.raises(DumpError, match=f"site.sqlite3-wal lies beside site.sqlite3.{kind}"):
        unpack(root)
    # Then it is that one's.
    beside.with_name("site.sqlite3").write_bytes(wal[""])
    assert rows_of(unpack(root)) == ["one"]


def test_unpack_gives_a_file_that_needs_none_beside_it(root: Path, wal: dict[str, bytes]) -> None:
    put(root, wal[""], "site.sqlite3")
    path = unpack(root).path
    # The versions in the header: 2 stands for WAL, and can't be read where nothing can be written beside it.
    assert path.read_bytes()[18:20] == b"\1\1"
    put(root, b"PRAGMA journal_mode = WAL; CREATE TABLE note (id, text);", "site.sql")
    assert unpack(root).path.read_bytes()[18:20] == b"\1\1"


def test_unpack_refuses_a_journal_of_several_databases(root: Path, tmp_path: Path) -> None:
    """Its journal names a file of the original's folder, which SQLite would look up and remove."""
    file, other = tmp_path / "live.sqlite3", tmp_path / "other.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as live:
        live.execute("CREATE TABLE note (id, text)")
    content = file.read_bytes()
    name = str(other).encode() + b"-mjABCDEF"
    end = struct.pack(">II8s", len(name), sum(name), sqlite.JOURNAL_MAGIC)
    journal = sqlite.JOURNAL_MAGIC + bytes(504) + bytes(4) + name + end
    put_beside(root, {"": content, "-journal": journal}, "beside")
    with pytest.raises(DumpError, match="within a transaction over several databases"):
        unpack(root)


def test_unpack_refuses_a_wal_of_another_database(root: Path, wal: dict[str, bytes], database: bytes) -> None:
    put_beside(root, {"": database, "-wal": wal["-wal"]}, "beside")
    with pytest.raises(DumpError, match="cannot be recovered from what lies beside it"):
        unpack(root)
    assert left(root) == []


def test_unpack_takes_back_what_was_not_finished(root: Path, tmp_path: Path) -> None:
    """A database that was copied while a transaction was being written: its journal takes that back."""
    file = tmp_path / "live.sqlite3"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as live:
        live.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text)")
        live.executemany("INSERT INTO note (text) VALUES (?)", [("old " * 100,) for _ in range(2000)])
        live.execute("PRAGMA cache_size = 1")
        live.execute("BEGIN")
        live.execute("UPDATE note SET text = 'new'")
        copied = {suffix: file.with_name(file.name + suffix).read_bytes() for suffix in ("", "-journal")}
        live.execute("ROLLBACK")
    put_beside(root, copied, "beside")
    assert set(rows_of(unpack(root))) == {"old " * 100}


# Names and frames ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "db-2025-06-01T03:00:00.sqlite3",
        "default.psql",
        "db.sqlite3.bak",
        "db",
        "dump of today.backup~",
        "d\u00fcmp",
    ],
)
def test_unpack_goes_by_the_content_of_members_not_by_their_names(
    root: Path, database: bytes, name: str
) -> None:
    """jan-di/docker-database-backup#13, django-dbbackup#241."""
    put(root, zipped(("README.sql", b"how to restore this"), (name, database), ("sums.sha256", b"0")))
    assert unpack(root).path.read_bytes() == database


@pytest.mark.parametrize(
    "text", [b"Create the database so:\n", b"-- Notes --\nInsert it.\n", b"Begin here.\n"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_unpack_takes_no_text_for_a_second_database(
    root: Path, database: bytes, text: bytes, kind: str
) -> None:
    put_beside(root, {".README": text, ".bak": database}, kind)
    assert unpack(root).path.read_bytes() == database


def test_unpack_names_members_whose_names_are_not_utf8(root: Path, database: bytes) -> None:
    put_beside(root, {"/\udce4": database, "/b": database}, "tar")
    with pytest.raises(DumpError, match="several databases") as raised:
        unpack(root)
    assert "site/\\udce4" in raised.value.message


def test_unpack_takes_the_only_database_of_a_tar(root: Path, database: bytes) -> None:
    put_beside(root, {"/README": b"hello", "/db.bak": database, "/sums": b"0"}, "tar")
    assert unpack(root).path.read_bytes() == database


def test_unpack_names_several_databases_of_a_tar(root: Path, database: bytes) -> None:
    put_beside(root, {"/one": database, "/two": database}, "tar")
    with pytest.raises(DumpError, match="several databases: site/one, site/two"):
        unpack(root)


def skippable(content: bytes) -> bytes:
    """A frame of zstd's that readers skip (RFC 8878 3.1.2)."""
    return struct.pack("<II", 0x184D2A53, len(content)) + content


def long_window(content: bytes) -> bytes:
    """What zstd --long=30 makes of a stream whose size it does not know."""
    wanted: dict[int, int] = {
        zstd.CompressionParameter.window_log: 30,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    compressor = zstd.ZstdCompressor(options=wanted)
    return compressor.compress(content) + compressor.flush()


def in_two(compress: Callable[[bytes], bytes], between: bytes = b"") -> Callable[[bytes], bytes]:
    return lambda content: compress(content[:999]) + between + compress(content[999:])


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "zstd --long": long_window,
    "zstd behind a skipped frame": lambda content: skippable(b"note") + zstd.compress(content),
    "zstd frames": in_two(zstd.compress, skippable(b"x")),
    "xz streams": in_two(lzma.compress),
    "xz streams with padding": lambda content: in_two(lzma.compress, bytes(8))(content) + bytes(4),
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "gzip members": lambda content: in_two(gzip.compress)(content) + bytes(512),
    "bzip2 streams": in_two(bz2.compress),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_unpack_reads_every_frame_that_the_standard_tool_reads(
    root: Path, database: bytes, kind: str
) -> None:
    put(root, FRAMES[kind](database))
    assert unpack(root).path.read_bytes() == database


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zstd"])
@pytest.mark.parametrize("kept", [slice(40), slice(-20)], ids=["early", "late"])
def test_unpack_refuses_cut_off_compressed_files(root: Path, database: bytes, kind: str, kept: slice) -> None:
    put(root, PACKERS[kind](database)[kept])
    with pytest.raises(DumpError, match=r"is damaged|is cut off"):
        unpack(root)
    assert left(root) == []


def test_unpack_ignores_a_readme(root: Path, database: bytes) -> None:
    put(root, zipped(("README.txt", b"hello"), ("data/", b""), ("data/site.sqlite3", database)))
    assert size(unpack(root)) == len(database)


def test_unpack_ignores_folders_in_a_zip(root: Path, database: bytes) -> None:
    """As zip -r writes them."""
    folder = zipfile.ZipInfo("data/")
    folder.external_attr = (stat.S_IFDIR | 0o755) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(folder, b"")
        archive.writestr("data/site.sqlite3", database)
    put(root, file.getvalue())
    assert size(unpack(root)) == len(database)


def test_unpack_ignores_resource_forks(root: Path, database: bytes) -> None:
    put(root, zipped(("site.sqlite3", database), ("__MACOSX/._site.sqlite3", b"\x00\x05\x16\x07")))
    assert size(unpack(root)) == len(database)


def test_unpack_accepts_an_unknown_collation(root: Path) -> None:
    file = root / "own.sqlite3"
    connection = sqlite3.connect(file)
    connection.create_collation("own", lambda one, other: (one > other) - (one < other))
    connection.execute("CREATE TABLE word (text TEXT COLLATE own PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT INTO word VALUES (?)", [(f"{n}",) for n in range(300)])
    connection.commit()
    connection.close()
    put(root, file.read_bytes())
    assert size(unpack(root)) == file.stat().st_size


def test_unpack_accepts_url_characters_in_the_path(tmp_path: Path, database: bytes) -> None:
    root = tmp_path / "what? 100% #1 & more"
    (root / "dumps").mkdir(parents=True)
    put(root, database)
    assert unpack(root).path.read_bytes() == database


def test_resolve_dump_finds_nothing(root: Path) -> None:
    with pytest.raises(DumpError, match="no dump matches") as told:
        resolve_dump(root, PATTERN)
    assert told.value.hint


def test_resolve_dump_names_the_target_of_a_broken_link(root: Path) -> None:
    (root / "dumps" / "site_latest.sqlite3.zip").symlink_to("site_2025.sqlite3.zip")
    with pytest.raises(DumpError, match=r"site_latest.*leads to site_2025\.sqlite3\.zip"):
        resolve_dump(root, PATTERN)


def test_resolve_dump_finds_a_broken_link_by_its_own_name(root: Path) -> None:
    (root / "dumps" / "latest.sqlite3").symlink_to("site.sqlite3")
    with pytest.raises(DumpError, match=r"latest.*leads to site\.sqlite3"):
        resolve_dump(root, "dumps/latest.sqlite3")


def test_resolve_dump_refuses_a_link_to_itself(root: Path) -> None:
    (root / "dumps" / "latest.sqlite3").symlink_to("latest.sqlite3")
    with pytest.raises(DumpError, match="which does not exist"):
        resolve_dump(root, PATTERN)


def test_resolve_dump_follows_a_link_out_of_the_repository(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "site.sqlite3"
    elsewhere.write_bytes(b"")
    (root / "dumps" / "latest.sqlite3").symlink_to(elsewhere)
    assert resolve_dump(root, PATTERN).target == elsewhere


@pytest.mark.parametrize("pattern", ["", "/dumps/*"])
def test_resolve_dump_refuses_what_is_no_glob(root: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match="the setting `dump`"):
        resolve_dump(root, pattern)


def test_resolve_dump_names_two_matches(root: Path) -> None:
    for name in ("a_latest.sqlite3.zip", "b_latest.sqlite3.zip"):
        (root / "dumps" / name).write_bytes(b"")
    with pytest.raises(DumpError, match=r"a_latest\.sqlite3\.zip, b_latest\.sqlite3\.zip"):
        resolve_dump(root, PATTERN)


def test_resolve_dump_refuses_a_folder(root: Path) -> None:
    (root / "dumps" / "site_latest.sqlite3").mkdir()
    with pytest.raises(DumpError, match="is not a file"):
        resolve_dump(root, PATTERN)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, hello, hello", "neither an archive nor a database"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page, not a dump"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><Error/>', "is a web page, not a dump"),
        (b'{"message": "Not Found"}', "is JSON"),
        (b"\xfd7zXZ\x00\x00\x04", "is damaged"),
        (b"\x28\xb5\x2f\xfd\x24", "is damaged"),
        (b"BZh91AY", "is damaged"),
        (b"7z\xbc\xaf\x27\x1c\x00", "is a 7-Zip archive"),
        (b"PGDMP\x01", "is damaged"),
        (b"PGDMP\x01\x10\x00\x04\x08\x01\x00", "does not tell which PostgreSQL"),
        (b"PGDMP\x01\x10\x00\x04\x08\x05\x00", "only the table of contents"),
        (b"--\n-- PostgreSQL database dump\n--\n", "is cut off"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", r"of a whole server \(pg_dumpall\)"),
        (b"/*M!999999\\- enable the sandbox mode */\n", "is a MySQL dump"),
        (b"-- MySQL dump 10.13\n", "is a MySQL dump"),
        (b"-- MariaDB dump 10.19\n", "is a MySQL dump"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "Git LFS pointer"),
        (zipped(), "no database: nothing"),
        (zipped(("readme.txt", b"hello")), "no database: readme.txt"),
        (zipped(("a.sqlite3", b"a"), ("b.sqlite3", b"b")), r"several databases: a\.sqlite3, b\.sqlite3"),
        (zipped(("../db.sqlite3", b"a")), "unsafe member"),
        (zipped(("/etc/db.sqlite3", b"a")), "unsafe member"),
        (zipped(("..\\db.sqlite3", b"a")), "unsafe member"),
        (zipped(("db.sqlite3", b"not a database, whatever its name says")), "holds no database"),
        (zipped(("db.sqlite3", b"")), "empty database"),
        (gzip.compress(b"", mtime=0), "empty database"),
        (zipped(("db.sqlite3", sqlite.MAGIC)), "damaged"),
        (zipped(("C:db.sqlite3", b"a")), "unsafe member"),
        (zipped(("db.sqlite3", b"a"), ("../readme", b"a")), "unsafe member"),
        (zipped(("db.sqlite3", b"a"), ("../", b"")), "unsafe member"),
        (zipped(("__MACOSX/._db.sqlite3", b"a")), "no database"),
    ],
)
def test_unpack_names_what_is_no_dump(root: Path, content: bytes, words: str) -> None:
    file = put(root, content)
    with pytest.raises(DumpError, match=words) as told:
        unpack(root)
    assert str(file) in told.value.message
    assert told.value.cause
    assert left(root) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "pg_dumpall"),
        (b"<html>404</html>", "a web page"),
        (gzip.compress(b"twice", mtime=0), "another archive"),
        (b"whatever", "first bytes"),
    ],
)
def test_unpack_names_what_is_in_an_archive(root: Path, content: bytes, words: str) -> None:
    for packed in (zipped(("db.sqlite3", content)), gzip.compress(content)):
        put(root, packed)
        with pytest.raises(DumpError, match="holds no database") as told:
            unpack(root)
        assert words in told.value.cause


@pytest.mark.parametrize("method", [9, 93], ids=["deflate64", "zstd, which Python knows from 3.14 on"])
def test_unpack_names_an_unknown_compression(root: Path, database: bytes, method: int) -> None:
    archive = zipped(("db.sqlite3", database))
    directory = archive.rindex(b"PK\x01\x02")
    packed = struct.pack("<H", method)
    archive = archive[: directory + 10] + packed + archive[directory + 12 :]
    put(root, archive[:8] + packed + archive[10:])
    with pytest.raises(DumpError, match=f"cannot be read: its compression, method {method},") as told:
        unpack(root)
    assert "zip" in told.value.hint


@pytest.mark.parametrize("name", ["db.sqlite3", "beside", "folder/"])
def test_unpack_refuses_a_link_in_a_zip(root: Path, database: bytes, name: str) -> None:
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, "/etc/passwd")
        archive.writestr("other.sqlite3", database)
    put(root, file.getvalue())
    with pytest.raises(DumpError, match="unsafe member"):
        unpack(root)


@pytest.mark.parametrize("kind", ["zip", "gzip", "plain"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_unpack_refuses_a_cut_off_dump(root: Path, database: bytes, kind: str, kept: float) -> None:
    content = {"zip": zipped(("db.sqlite3", database)), "gzip": gzip.compress(database), "plain": database}
    file = put(root, content[kind][: int(len(content[kind]) * kept)])
    with pytest.raises(DumpError) as told:
        unpack(root)
    assert str(file) in told.value.message
    assert left(root) == []


def patched(archive: bytes, offset_from_directory: int, value: int) -> bytes:
    """Return a zip whose central directory says something else (appnote 4.3.12)."""
    directory = archive.rindex(b"PK\x01\x02")
    at = directory + offset_from_directory
    return archive[:at] + struct.pack("<I", value) + archive[at + 4 :]


@pytest.mark.parametrize("declared", [-1, 1])
def test_unpack_refuses_a_wrong_size(root: Path, database: bytes, declared: int) -> None:
    put(root, patched(zipped(("db.sqlite3", database)), 24, len(database) + declared))
    with pytest.raises(DumpError, match="lies about its size"):
        unpack(root)
    assert left(root) == []


def test_unpack_stops_a_zip_bomb(root: Path) -> None:
    bomb = zipped(("db.sqlite3", sqlite.MAGIC + bytes(50_000_000)))
    put(root, patched(bomb, 24, 1000))
    with pytest.raises(DumpError, match="lies about its size: it declares 1000 bytes"):
        unpack(root)


def test_unpack_writes_no_more_than_is_declared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both places agree on 1000 bytes; what they declare is all that is ever written."""
    bomb = patched(zipped(("db.sqlite3", sqlite.MAGIC + bytes(50_000_000))), 24, 1000)
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


def test_unpack_refuses_a_wrong_checksum(root: Path, database: bytes) -> None:
    put(root, patched(zipped(("db.sqlite3", database)), 16, 12345))
    with pytest.raises(DumpError, match="damaged"):
        unpack(root)


def test_unpack_refuses_an_encrypted_archive(root: Path, database: bytes) -> None:
    archive = zipped(("db.sqlite3", database))
    directory = archive.rindex(b"PK\x01\x02")
    put(root, archive[: directory + 8] + b"\x01" + archive[directory + 9 :])
    with pytest.raises(DumpError, match="encrypted"):
        unpack(root)


@pytest.mark.parametrize("kind", ["zip", "gzip", "plain"])
def test_unpack_refuses_a_cut_off_database_in_a_sound_archive(root: Path, database: bytes, kind: str) -> None:
    content = database[:-4096]
    put(
        root, {"zip": zipped(("db.sqlite3", content)), "gzip": gzip.compress(content), "plain": content}[kind]
    )
    with pytest.raises(DumpError, match="cut off"):
        unpack(root)
    assert left(root) == []


def test_unpack_ignores_an_invalid_size_in_the_header(root: Path, database: bytes) -> None:
    """Where the two counters differ, SQLite itself goes by the file's size (file format, 1.3.7)."""
    old = bytearray(database)
    old[28:32] = (999).to_bytes(4, "big")
    old[92:96] = (int.from_bytes(old[24:28], "big") - 1).to_bytes(4, "big")
    put(root, gzip.compress(bytes(old)))
    assert size(unpack(root)) == len(database)


def test_unpack_makes_files_readable_whatever_the_umask(root: Path, database: bytes) -> None:
    put(root, database)
    before = os.umask(0o077)
    try:
        found = unpack(root)
    finally:
        os.umask(before)
    assert found.path.stat().st_mode & 0o777 == 0o644


def test_unpack_opens_the_content_of_a_secret_dump_to_nobody_else(root: Path, database: bytes) -> None:
    """Containers get the file itself, whoever runs in them."""
    (root / "unpacked").mkdir(mode=0o755)
    put(root, database).chmod(0o600)
    assert unpack(root).path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["zip", "gzip", "plain"])
def test_unpack_refuses_a_database_that_is_too_long(root: Path, database: bytes, kind: str) -> None:
    content = database + bytes(4096)
    put(
        root, {"zip": zipped(("db.sqlite3", content)), "gzip": gzip.compress(content), "plain": content}[kind]
    )
    with pytest.raises(DumpError, match="too long"):
        unpack(root)
    assert left(root) == []


def test_unpack_stops_a_gzip_bomb(root: Path, database: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    read = Decompressed.read

    def noting(self: Decompressed, size: int) -> bytes:
        chunk = read(self, size)
        given.append(len(chunk))
        return chunk

    monkeypatch.setattr(Decompressed, "read", noting)
    put(root, gzip.compress(database + bytes(50_000_000), 1))
    with pytest.raises(DumpError, match="too long"):
        unpack(root)
    assert len(database) < sum(given) <= len(database) + CHUNK


# SQL says nowhere how long it is.
BOMB = b"CREATE TABLE note (id);\n" + b"\n" * 4_000_000
MEBIBYTE = Limits(size=1 << 20, files=10)


def tar_gz(*members: tuple[str, bytes]) -> bytes:
    return gzip.compress(tarred(*members), 1)


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(BOMB, 1),
        gzip.compress(BOMB[: 1 << 19]) * 8,
        bz2.compress(BOMB, 1),
        lzma.compress(BOMB, preset=0),
        lzma.compress(BOMB, lzma.FORMAT_ALONE, preset=0),
        zstd.compress(BOMB),
    ],
    ids=["gzip", "members of gzip", "bzip2", "xz", "lzma", "zstd"],
)
def test_unpack_stops_a_bomb_that_declares_no_size(
    root: Path, bomb: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    read = Decompressed.read

    def noting(self: Decompressed, size: int) -> bytes:
        chunk = read(self, size)
        given.append(len(chunk))
        return chunk

    monkeypatch.setattr(Decompressed, "read", noting)
    put(root, bomb)
    with pytest.raises(DumpError, match="holds more than") as told:
        unpack(root, MEBIBYTE)
    assert sum(given) <= MEBIBYTE.size + CHUNK
    assert "limit" in told.value.hint
    assert left(root) == []
    with pytest.raises(DumpError, match="holds more than"):
        identify_dump(resolve_dump(root, PATTERN), root / "unpacked", MEBIBYTE)


@pytest.mark.parametrize(
    ("bomb", "words"),
    [
        (BOMB[: (1 << 20) + 1], "holds more than"),
        (zipped(("a.sql", BOMB)), "holds more than"),
        (zipped(("a.sql", BOMB[:100]), ("b.txt", BOMB)), "holds more than"),
        (tar_gz(("a.sql", BOMB)), "holds more than"),
        (tar_gz(("b.txt", BOMB), ("a.sql", BOMB[:100])), "holds more than"),
        (zipped(("dump.zip", zipped(("a.sql", BOMB)))), "no database"),
        (gzip.compress(gzip.compress(BOMB)), "holds no database"),
        (zipped(*((f"{number}.txt", b"") for number in range(11))), "holds more than 10 files"),
        (tar_gz(*((f"{number}.txt", b"") for number in range(11))), "holds more than 10 files"),
    ],
    ids=[
        "a file", "a zip", "beside it in a zip", "a tar", "before it in a tar", "a zip in a zip",
        "gzip in gzip", "files in a zip", "files in a tar",
    ],
)  # fmt: skip
def test_unpack_refuses_what_is_too_much(root: Path, bomb: bytes, words: str) -> None:
    put(root, bomb)
    with pytest.raises(DumpError, match=words):
        unpack(root, MEBIBYTE)
    assert left(root) == []


def test_unpack_refuses_a_folder_of_too_many_files(root: Path) -> None:
    put_folder(root)
    with pytest.raises(DumpError, match="holds more than 1 files"):
        unpack(root, Limits(files=1))


def test_unpack_reads_no_header_of_a_tar_that_is_too_long(root: Path) -> None:
    """It would be in memory whole, before anything of it is looked at."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as made:
        member = tarfile.TarInfo("a.sql")
        member.pax_headers = {"comment": "x" * 2_000_000}
        made.addfile(member)
    put(root, gzip.compress(file.getvalue()))
    with pytest.raises(DumpError, match="damaged: a header of 20000"):
        unpack(root)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT {} FROM n;"
ENDLESS_ROWS = "CREATE TABLE a AS " + ENDLESS.format("x, randomblob(100000)")


@pytest.mark.parametrize(
    ("statement", "limits", "words"),
    [
        (ENDLESS.format("count(*)"), Limits(seconds=0.1), "at line 3: it runs for more than 0.1"),
        (ENDLESS.format("x"), Limits(seconds=0.1), "at line 3: it runs for more than 0.1"),
        (
            ENDLESS_ROWS,
            Limits(size=1 << 20),
            "at line 3: the database that it makes has more than 1048576 bytes",
        ),
    ],
)
def test_unpack_stops_sql_without_an_end(root: Path, statement: str, limits: Limits, words: str) -> None:
    put(root, sql(statement))
    with pytest.raises(DumpError, match=words):
        unpack(root, limits)
    assert left(root) == []


@pytest.mark.parametrize("content", [BOMB, sql(ENDLESS_ROWS)])
def test_unpack_leaves_some_of_the_disk_free(
    root: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "WATCHED", 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 29))
    put(root, gzip.compress(content, 1))
    with pytest.raises(PrerequisiteError, match="the rest of the disk is left free"):
        unpack(root)
    assert left(root) == []


def test_unpack_writes_nothing_on_a_full_disk(
    root: Path, database: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, zipped(("db.sqlite3", database)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(PrerequisiteError, match=str(len(database))) as told:
        unpack(root)
    assert "space" in told.value.cause
    assert left(root) == []


def test_unpack_explains_a_read_error(root: Path, database: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(root, database)

    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(reference, "_copy", failing)
    with pytest.raises(PrerequisiteError, match="Input/output error") as told:
        unpack(root)
    assert str(file) in told.value.message
    assert "space" not in told.value.cause


@pytest.mark.parametrize("kind", ["deflated", "stored", "bzip2", "lzma", "gzip", "plain"])
def test_unpack_refuses_random_damage(root: Path, database: bytes, kind: str) -> None:
    """Seeded changes, most of them where the archive's directory is; no other error may come out."""
    methods = {
        "deflated": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED,
        "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA,
    }  # fmt: skip
    draw = random.Random(kind)  # noqa: S311
    if kind in methods:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", methods[kind]) as archive:
            archive.writestr("db.sqlite3", database)
        sound = file.getvalue()
    else:
        sound = gzip.compress(database) if kind == "gzip" else database
    refused = 0
    for _ in range(150):
        changed = bytearray(sound)
        for _ in range(draw.randint(1, 3)):
            size = len(changed)
            at = draw.choice([draw.randrange(size), draw.randrange(80), size - 1 - draw.randrange(120)])
            match draw.randrange(4):
                case 0:
                    del changed[at : at + draw.randint(1, 30)]
                case 1:
                    changed[at:at] = draw.randbytes(draw.randint(1, 10))
                case 2:
                    changed[at] ^= 1 << draw.randrange(8)
                case _:
                    changed[at] = draw.choice([0, 255])
        put(root, bytes(changed))
        try:
            found = unpack(root)
        except (DumpError, PrerequisiteError):
            refused += 1
            continue
        # A plain database has no checksum: there, only its structure can be looked at.
        assert kind == "plain" or found.path.read_bytes() == database
    assert refused


def test_unpack_refuses_a_damaged_database_in_a_sound_archive(root: Path, database: bytes) -> None:
    put(root, zipped(("db.sqlite3", database[:4096] + bytes(4096) + database[8192:])))
    with pytest.raises(DumpError, match="is damaged"):
        unpack(root)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The databases that were really unpacked."""
    made: list[Path] = []
    read = reference._read

    def noting(opened: Stream | Folder, target: Path | None, limits: Limits) -> Content:
        if target is not None:
            made.append(opened.file)
        return read(opened, target, limits)

    monkeypatch.setattr(reference, "_read", noting)
    return made


@pytest.fixture
def _later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at files when they are older than the clock's grain."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10_000_000_000)


@pytest.mark.usefixtures("_later")
def test_unpack_reads_an_unchanged_dump_once(root: Path, database: bytes, copies: list[Path]) -> None:
    put(root, zipped(("db.sqlite3", database)))
    assert unpack(root) == unpack(root)
    assert len(copies) == 1


def test_unpack_repeats_after_a_change_in_the_same_instant(
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


@pytest.mark.parametrize(("ago", "made"), [(reference.CLOCK_GRAIN, 2), (reference.CLOCK_GRAIN + 1, 1)])
def test_unpack_trusts_a_dump_older_than_the_coarsest_clock(
    root: Path, database: bytes, copies: list[Path], monkeypatch: pytest.MonkeyPatch, *, ago: int, made: int
) -> None:
    file = put(root, zipped(("db.sqlite3", database)))
    changed = max(file.stat().st_mtime_ns, file.stat().st_ctime_ns)
    monkeypatch.setattr(time, "time_ns", lambda: changed + ago)
    assert unpack(root) == unpack(root)
    assert len(copies) == made


@pytest.mark.usefixtures("_later")
def test_unpack_repeats_for_a_changed_database(root: Path, database: bytes) -> None:
    put(root, zipped(("db.sqlite3", database)))
    path = unpack(root).path
    path.write_bytes(bytes(len(database)))
    assert unpack(root).path.read_bytes() == database


def test_unpack_removes_what_a_killed_run_left(root: Path, database: bytes) -> None:
    put(root, database)
    (root / "unpacked").mkdir()
    (root / "unpacked" / "unpacking").write_bytes(b"half")
    assert left(root) == ["unpacking"]
    found = unpack(root)
    assert left(root) == [found.path.name]


@pytest.mark.usefixtures("_later")
def test_unpack_waits_for_another_run(root: Path, database: bytes, copies: list[Path]) -> None:
    put(root, zipped(("db.sqlite3", database)))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: unpack(root), range(4)))
    assert len(copies) == 1
    assert len(set(found)) == 1


@pytest.mark.usefixtures("_later")
def test_unpack_follows_a_changed_link(root: Path, database: bytes, copies: list[Path]) -> None:
    put(root, zipped(("db.sqlite3", database)))
    unpack(root)
    put(root, database, "site_2027.sqlite3")
    unpack(root)
    assert [file.name for file in copies] == ["site_2026.sqlite3.zip", "site_2027.sqlite3"]


@pytest.mark.usefixtures("_later")
def test_unpack_repeats_for_a_missing_database(root: Path, database: bytes, copies: list[Path]) -> None:
    put(root, zipped(("db.sqlite3", database)))
    unpack(root).path.unlink()
    unpack(root).path.write_bytes(b"short")
    assert unpack(root).path.read_bytes() == database
    assert len(copies) == 3


@pytest.mark.usefixtures("_later")
def test_unpack_ignores_a_broken_note(root: Path, database: bytes) -> None:
    put(root, zipped(("db.sqlite3", database)))
    unpack(root)
    (root / "unpacked" / "unpacked.json").write_text('{"fingerprint": 3', encoding="utf-8")
    assert size(unpack(root)) == len(database)


def digest(root: Path) -> str:
    return identify_dump(resolve_dump(root, PATTERN), root / "unpacked").sha256


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The dumps whose databases were really read."""
    made: list[Path] = []
    read = reference._read

    def noting(opened: Stream | Folder, target: Path | None, limits: Limits) -> Content:
        made.append(opened.file)
        return read(opened, target, limits)

    monkeypatch.setattr(reference, "_read", noting)
    return made


def test_identify_dump_digests_the_database_not_the_archive(root: Path, database: bytes) -> None:
    expected = hashlib.sha256(database).hexdigest()
    for content in (database, zipped(("db.sqlite3", database)), gzip.compress(database)):
        put(root, content)
        assert digest(root) == unpack(root).sha256 == expected


def test_identify_dump_leaves_only_its_note(root: Path, database: bytes) -> None:
    put(root, zipped(("db.sqlite3", database)))
    digest(root)
    assert [file.name for file in (root / "unpacked").iterdir()] == ["digest.json"]


@pytest.mark.usefixtures("_later")
def test_identify_dump_reads_an_unchanged_dump_once(
    root: Path, database: bytes, readings: list[Path]
) -> None:
    put(root, database)
    assert digest(root) == digest(root)
    assert len(readings) == 1


@pytest.mark.usefixtures("_later")
def test_identify_dump_uses_what_unpack_noted(root: Path, database: bytes, readings: list[Path]) -> None:
    put(root, database)
    assert unpack(root).sha256 == digest(root)
    assert len(readings) == 1


def test_identify_dump_repeats_after_a_change_in_the_same_instant(root: Path, database: bytes) -> None:
    """The other database has the same size, and its file the same inode and time."""
    file = put(root, database)
    first = digest(root)
    stamp = file.stat().st_mtime_ns
    other = database.replace(b"one", b"two", 1) if b"one" in database else bytes([*database[:-1], 1])
    file.write_bytes(other)
    os.utime(file, ns=(stamp, stamp))
    assert digest(root) != first


@pytest.mark.usefixtures("_later")
def test_identify_dump_repeats_for_a_dump_that_was_dated_back(
    root: Path, database: bytes, readings: list[Path]
) -> None:
    file = put(root, database)
    digest(root)
    stamp = file.stat().st_mtime_ns
    file.write_bytes(database)
    os.utime(file, ns=(stamp, stamp))
    digest(root)
    assert len(readings) == 2


@pytest.mark.parametrize("note", ["", "nonsense", "[]", '{"archive": [], "sha256": "0"}'])
def test_identify_dump_ignores_a_broken_note(root: Path, database: bytes, note: str) -> None:
    put(root, database)
    (root / "unpacked").mkdir()
    (root / "unpacked" / "digest.json").write_text(note, encoding="utf-8")
    assert digest(root) == hashlib.sha256(database).hexdigest()


@pytest.mark.parametrize(
    "spoil", [lambda whole: whole[: len(whole) // 2], lambda whole: whole + b"more", lambda _: b""]
)
def test_identify_dump_refuses_a_damaged_dump(
    root: Path, database: bytes, spoil: Callable[[bytes], bytes]
) -> None:
    put(root, spoil(database))
    with pytest.raises(DumpError):
        digest(root)


def test_unpack_removes_older_databases(root: Path, database: bytes) -> None:
    put(root, database)
    (root / "unpacked").mkdir()
    (root / "unpacked" / "0123.sqlite").write_bytes(b"old")
    (root / "unpacked" / "4567.directory").mkdir()
    found = unpack(root)
    assert left(root) == [found.path.name]


@pytest.mark.parametrize(
    "failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota")]
)
def test_unpack_leaves_nothing_after_a_failure(
    root: Path, database: bytes, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    put(root, zipped(("db.sqlite3", database)))

    def failing(*_: object) -> None:
        raise failure

    monkeypatch.setattr(sqlite, "raise_if_damaged", failing)
    with pytest.raises((KeyboardInterrupt, PrerequisiteError)) as told:
        unpack(root)
    if isinstance(told.value, PrerequisiteError):
        assert "space" in told.value.cause
    assert left(root) == []


# PostgreSQL ----------------------------------------------------------------------------------------------


def header(
    format_: int, *, server: str = "16.4 (Debian 16.4-1)", pg_dump: str = "17.2", minor: int = 16
) -> bytes:
    """The beginning of a pg_dump archive, with something after it."""

    def number(value: int) -> bytes:
        return b"\0" + value.to_bytes(4, "little")

    def text(value: str) -> bytes:
        return number(len(value)) + value.encode()

    compression = b"\1" if minor >= 15 else number(6)
    made = b"".join(number(part) for part in (1, 2, 3, 4, 5, 126, 0))
    start = b"PGDMP" + bytes([1, minor, 0, 4, 8, format_])
    return start + compression + made + text("site") + text(server) + text(pg_dump) + b"entries" * 100


def script(*lines: str, server: str = "16.4", pg_dump: str = "17.2") -> bytes:
    """What pg_dump writes as SQL."""
    return "\n".join([
        "--", "-- PostgreSQL database dump", "--", "", "\\restrict x", "",
        f"-- Dumped from database version {server}", f"-- Dumped by pg_dump version {pg_dump}", "", *lines,
        "--", "-- PostgreSQL database dump complete", "--", "", "\\unrestrict x", "",
    ]).encode()  # fmt: skip


FILES = {"toc.dat": header(5), "3001.dat.gz": gzip.compress(b"1\tone\n"), "blobs_12.toc": b"12 blob_12.dat\n"}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize(
    ("content", "format_"),
    [
        (script("CREATE TABLE a (b integer);"), PLAIN),
        (header(1), CUSTOM),
        (tarred(("toc.dat", header(3)), ("restore.sql", b"-- nothing")), TAR),
    ],
)
def test_unpack_recognises_what_pg_dump_makes(root: Path, content: bytes, format_: str, packer: str) -> None:
    put(root, zipped(("db.dump", content)) if packer == "zip" else PACKERS[packer](content))
    found = unpack(root)
    assert (found.format, found.server) == (format_, 17)
    assert found.path.read_bytes() == content
    assert found.sha256 == digest(root) == hashlib.sha256(content).hexdigest()
    assert unpack(root) == found
    assert left(root) == [found.path.name]


def put_folder(root: Path) -> None:
    folder = root / "dumps" / "site_2026"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (root / "dumps" / "site_latest.sqldir").symlink_to("site_2026")


FOLDERS: dict[str, Callable[[Path], object]] = {
    "folder": put_folder,
    "tar": lambda root: put(root, tarred(*FILES.items())),
    "tar.gz": lambda root: put(
        root, gzip.compress(tarred(*((f"site/{name}", FILES[name]) for name in FILES)))
    ),
    "tar.zst": lambda root: put(root, zstd.compress(tarred(("._toc.dat", b"?"), *sorted(FILES.items())))),
    "zip": lambda root: put(root, zipped(*((f"site/{name}", FILES[name]) for name in FILES))),
}


@pytest.mark.parametrize("packed", FOLDERS)
def test_unpack_gives_the_same_folder_from_each_archive(root: Path, packed: str) -> None:
    FOLDERS[packed](root)
    found = unpack(root)
    assert {file.name: file.read_bytes() for file in found.path.iterdir()} == FILES
    assert (found.format, found.server) == (DIRECTORY, 17)
    listed = "".join(f"{name}\0{hashlib.sha256(FILES[name]).hexdigest()}\n" for name in sorted(FILES))
    assert found.sha256 == digest(root) == hashlib.sha256(listed.encode()).hexdigest()
    assert size(found) == sum(map(len, FILES.values()))
    assert unpack(root) == found
    assert left(root) == [found.path.name]


@pytest.mark.usefixtures("_later")
def test_unpack_notices_a_changed_file_of_a_folder(root: Path, copies: list[Path]) -> None:
    put_folder(root)
    first = unpack(root)
    assert unpack(root) == first
    assert len(copies) == 1
    (root / "dumps/site_2026/3002.dat").write_bytes(b"2\ttwo\n")
    assert unpack(root).sha256 != first.sha256
    (root / "dumps/site_2026/3002.dat").unlink()
    assert unpack(root).sha256 == first.sha256
    found = unpack(root)
    (found.path / "3001.dat.gz").write_bytes(b"spoilt")
    assert {file.name: file.read_bytes() for file in unpack(root).path.iterdir()} == FILES


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (tarred(("a.txt", b"1"), ("b.txt", b"2")), r"there is no toc\.dat"),
        (tarred(("toc.dat", header(5)), ("other/1.dat", b"2")), "'other/1.dat' is not one of its files"),
        (tarred(("toc.dat", b"hello" * 9), ("1.dat", b"2")), r"its toc\.dat is not postgresql's"),
        (tarred(("toc.dat", header(5)), ("../1.dat", b"2")), "unsafe member"),
        (tarred(("toc.dat", header(5)), ("1.dat", b"2" * 3000))[:3000], "is damaged"),
        (zipped(("toc.dat", header(5)), ("-rf", b"2")), "'-rf' is not one of its files"),
        (zipped(("a/toc.dat", header(5)), ("b/toc.dat", header(5))), "not one of its files"),
        (script("CREATE DATABASE site;", "\\connect site"), "makes a database of its own"),
        (script()[:-60], "is cut off"),
        (gzip.compress(script()[:-60]), "is cut off"),
        (header(5), "only the table of contents"),
        (header(9), "is damaged"),
        (header(1)[:40], "does not tell which PostgreSQL"),
    ],
)
def test_unpack_names_what_is_wrong_with_a_postgresql_dump(root: Path, content: bytes, words: str) -> None:
    put(root, content)
    with pytest.raises(DumpError, match=words):
        unpack(root)
    with pytest.raises(DumpError, match=words):
        digest(root)
    assert left(root) == []


def test_unpack_refuses_a_link_in_a_tar(root: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        member = tarfile.TarInfo("toc.dat")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(member)
    put(root, file.getvalue())
    with pytest.raises(DumpError, match=r"unsafe member 'toc\.dat'"):
        unpack(root)


@pytest.mark.parametrize(
    ("server", "pg_dump", "minor", "wanted"),
    [("9.6.24", "9.6.24", 12, 9), ("18.1", "17.2", 16, 18), ("13.3", "15.1 (Ubuntu)", 14, 15)],
)
def test_unpack_tells_the_newer_of_two_versions(
    root: Path, server: str, pg_dump: str, minor: int, wanted: int
) -> None:
    put(root, header(1, server=server, pg_dump=pg_dump, minor=minor))
    assert unpack(root).server == wanted
    put(root, script(server=server, pg_dump=pg_dump))
    assert unpack(root).server == wanted
