"""SQL is cut and run as the shell sqlite3 does it.

What it gives was seen with sqlite3 3.40.1 (`sqlite3 new.sqlite3 <FILE`, `.dump`), the values of unistr and
unistr_quote with SQLite 3.54.1.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haybale.dump import sql_script
from haybale.dump.limits import Limits
from haybale.dump.sql_script import ScriptError, add_functions, read_statements
from haybale.dump.sqlite import execute_sql
from haybale.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path


def rows(tmp_path: Path, script: str) -> list[tuple[object, ...]]:
    path = tmp_path / "script"
    path.write_text(script, encoding="utf-8", newline="")
    execute_sql(path, path, Limits())
    with contextlib.closing(sqlite3.connect(path)) as made:
        return made.execute("SELECT * FROM a").fetchall()


def test_execute_sql_holds_no_statement_that_sqlite_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_script, "LONGEST_STATEMENT", 10_000)
    with pytest.raises(DumpError, match="at line 2: it has more than 10000 characters"):
        rows(tmp_path, "CREATE TABLE a(b);\nINSERT INTO a VALUES ('" + "x" * 3_000_000)


TRIGGER = """CREATE TABLE a(b); CREATE TABLE c(d);
CREATE TRIGGER t AFTER INSERT ON c BEGIN INSERT INTO a VALUES(';'); INSERT INTO a VALUES(new.d); END; """


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("CREATE TABLE a(b);INSERT INTO a VALUES('x;');INSERT INTO a VALUES(2);\n", ["x;", 2]),
        ("CREATE TABLE a(b); INSERT INTO a VALUES(1)", [1]),
        ("CREATE TABLE a(b);\r\nINSERT INTO a VALUES('x\r\ny\rz');\r\n", ["x\ny\rz"]),
        ("\ufeffCREATE TABLE a(b);INSERT INTO a VALUES(1); /* never closed", [1]),
        (".bail on\n# note\n.headers on\nCREATE TABLE a(b);\nINSERT INTO a VALUES(2)\ngo\n-- end", [2]),
        ("CREATE TABLE a(b);;; ;\nINSERT INTO a VALUES(1),(2) RETURNING b; SELECT 1;VACUUM;", [1, 2]),
        (TRIGGER + "INSERT INTO c VALUES(3);", [";", 3]),
        ("CREATE TABLE a(b CHECK (b REGEXP '^x'));INSERT INTO a VALUES('xy');", ["xy"]),
        ("CREATE TABLE a(b);\nINSERT INTO a VALUES(unistr('first\\u000asecond'));\n", ["first\nsecond"]),
    ],
)
def test_execute_sql_gives_what_the_shell_gives(tmp_path: Path, script: str, wanted: list[object]) -> None:
    assert rows(tmp_path, script) == [(each,) for each in wanted]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("CREATE TABLE a(b);\n/* two\nlines */ INSERT INTO c VALUES(1);", "refused at line 3: no such table"),
        ("CREATE TABLE a(b); SELECT 1;\nSELECT 1; INSERT INTO c VALUES(1);", "refused at line 2: no such"),
        ("CREATE TABLE a(b);\n.read other.sql\n", r"line 2: \.read is a command of the shell"),
        ("CREATE TABLE a(b);\nINSERT INTO a VALUES('x\0y');\n", "line 2: it holds a NUL"),
        ("BEGIN;\nCREATE TABLE a(b);\nROLLBACK; -- due to errors\n", "takes back what it made at line 3"),
        ("CREATE TABLE a(b);\n/****** CORRUPTION ERROR *******/\nCOMMIT;", "line 2: .*CORRUPTION ERROR"),
        ("CREATE TABLE a(b);\n/**** ERROR: (11) malformed *****/\n", r"line 2: .*ERROR: \(11\) malformed"),
        ("CREATE TABLE a(b);\nINSERT INTO a VALUES('half", "ends within the statement that begins at line 2"),
    ],
)
def test_execute_sql_names_the_line(tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(DumpError, match=words):
        rows(tmp_path, script)


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary() | st.text(
    st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])
)  # fmt: skip


@given(st.lists(st.tuples(VALUES, VALUES)), st.booleans())
def test_read_statements_gives_back_what_was_dumped(
    content: list[tuple[object, object]],
    is_one_line: bool,
) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as old:
        old.execute('CREATE TABLE a ("b;", `c--`)')
        old.executemany("INSERT INTO a VALUES (?, ?)", content)
        script = ("" if is_one_line else "\n").join(old.iterdump())
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as new:
        for each in read_statements(io.StringIO(script, newline="\n")):
            new.execute(each.text)
        assert new.execute("SELECT * FROM a").fetchall() == content


def test_read_statements_refuses_no_harmless_command() -> None:
    assert list(read_statements(io.StringIO(".mode insert\n"))) == []
    with pytest.raises(ScriptError):
        list(read_statements(io.StringIO(".import FILE a\n")))


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (r"unistr('\0041\+01F600\u00e9\U0001F600')", "A\U0001f600\u00e9\U0001f600"),
        (r"unistr('a\\b\005C')", "a\\b\\"),
        ("unistr(NULL)", None),
        ("unistr(1.5)", "1.5"),
        ("unistr_quote('a''b')", "'a''b'"),
        (r"unistr_quote('a' || char(10) || 'b''\')", r"unistr('a\u000ab''\\')"),
        ("unistr_quote(x'61620A')", "X'61620A'"),
        ("unistr_quote(NULL)", "NULL"),
    ],
)
def test_add_functions_adds_what_newer_shells_write(call: str, wanted: object) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        add_functions(database)
        assert database.execute(f"SELECT {call}").fetchall() == [(wanted,)]


@pytest.mark.parametrize("text", [r"\x", "end\\", r"\u12", r"\+00004"])
def test_unistr_refuses_other_escapes(text: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        add_functions(database)
        with pytest.raises(sqlite3.Error):
            database.execute("SELECT unistr(?)", (text,))
