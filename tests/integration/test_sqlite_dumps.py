"""SQLite dumps: what is unpacked is what SQLite's own shell makes of the same dump.

Where a machine has no shell, Python's own dump of the same database takes its place.
"""

from __future__ import annotations

import contextlib
import lzma
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haybale.dump.reference import resolve_dump, unpack
from haybale.tools import process

SHELL = shutil.which("sqlite3")

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=20),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.sampled_from(
        ["a;b", "it''s", "--x", "/*;*/", "line\nbreak", "cr\r\nlf", "BEGIN; END;", "\\u000a", ";\n"]
    ),
)
NAMES = st.sampled_from(["plain", "with space", "se;mi", 'quo"te', "select", "brack]et", "ünïcode"])
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=12)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def all_rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every table's rows, in their order."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f"SELECT * FROM {quoted(name)}").fetchall() for name in tables}  # noqa: S608 - ours


def make_database(file: Path, tables: dict[str, list[tuple[object, object]]], *, wal: bool) -> None:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        if wal:
            database.execute("PRAGMA journal_mode = WAL")
        for name, rows in tables.items():
            database.execute(f"CREATE TABLE {quoted(name)} (a, [b;] DEFAULT ';')")
            database.execute(
                f"CREATE TRIGGER {quoted(name + '_t')} AFTER DELETE ON {quoted(name)}"  # noqa: S608 - ours
                f" BEGIN SELECT ';'; DELETE FROM {quoted(name)} WHERE a = ';END;'; END"
            )
            database.executemany(f"INSERT INTO {quoted(name)} VALUES (?, ?)", rows)  # noqa: S608 - ours


def unpacked(folder: Path) -> Path:
    return unpack(resolve_dump(folder, "dumps/latest"), folder / "unpacked").path


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ROWS, max_size=3), st.booleans())
def test_unpack_makes_of_sql_what_the_shell_makes(
    tables: dict[str, list[tuple[object, object]]], packed: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dumps").mkdir()
        source, expected = folder / "source.db", folder / "expected.db"
        make_database(source, tables, wal=False)
        if SHELL:
            script = subprocess.run([SHELL, source, ".dump"], check=True, capture_output=True).stdout
            subprocess.run([SHELL, expected], input=script, check=True, capture_output=True)
        else:
            with contextlib.closing(sqlite3.connect(source)) as database:
                script = "\n".join(database.iterdump()).encode()
            expected = source
        (folder / "dumps/latest").write_bytes(lzma.compress(script) if packed else script)
        assert all_rows(unpacked(folder)) == all_rows(expected)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ROWS, max_size=3), ROWS)
def test_unpack_makes_of_a_copied_database_what_the_shell_makes(
    tables: dict[str, list[tuple[object, object]]], later: list[tuple[object, object]]
) -> None:
    """A database in WAL mode is copied with what lies beside it, while it is open."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dumps").mkdir()
        live, copied = folder / "live.db", folder / "dumps/latest"
        make_database(live, tables, wal=True)
        with contextlib.closing(sqlite3.connect(live, isolation_level=None)) as database:
            database.execute("PRAGMA wal_autocheckpoint = 0")
            database.execute("CREATE TABLE later (a, b)")
            database.executemany("INSERT INTO later VALUES (?, ?)", later)
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(f"{live}{suffix}", f"{copied}{suffix}")
        found = all_rows(unpacked(folder))
        # Read last: SQLite changes what it reads.
        assert found == all_rows(copied)
        assert found["later"] == later


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("zstd", ["-q", "--long=31", "-c"]),
        ("xz", ["-q", "-c"]),
        ("gzip", ["-c"]),
        ("bzip2", ["-c"]),
    ],
)
def test_unpack_reads_what_the_tools_write_twice_over(
    tmp_path: Path, tool: str, arguments: list[str]
) -> None:
    """Two frames, streams or members, one behind the other, are one file to all of them."""
    if process.find_executable(tool) is None:
        pytest.skip(f"there is no {tool} here")
    script = b"CREATE TABLE a (b);\n" + b"".join(b"INSERT INTO a VALUES (%d);\n" % n for n in range(2000))
    halves = script[:9999], script[9999:]
    compressed = [
        subprocess.run([tool, *arguments], input=half, check=True, capture_output=True).stdout
        for half in halves
    ]
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/latest").write_bytes(b"".join(compressed))
    assert len(all_rows(unpacked(tmp_path))["a"]) == 2000
