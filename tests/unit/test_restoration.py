"""What is said of a restored dump. The logs are what psql 17 and pg_restore 17 printed."""

from __future__ import annotations

from haybale.dump.psql_script import Name, ScriptContents
from haybale.dump.restoration import (
    INCOMPLETE,
    Failure,
    compare_sql,
    describe_failures,
    extensions_sql,
    read_failures,
    restore_error,
    roles_sql,
)

PSQL_LOG = """\
psql:/dump:420: WARNING:  there is already a transaction in progress
psql:/dump:484: ERROR:  relation "public.page" does not exist
psql:/dump:484: STATEMENT:  ALTER TABLE ONLY
    public.page DROP CONSTRAINT a;
psql:/dump:485: ERROR:  duplicate key
DETAIL:  Key (id)=(1) already exists.
psql:/dump:485: STATEMENT:  INSERT INTO page VALUES (1, 'ERROR:  x');
psql:/dump:486: ERROR:  duplicate key
psql:/dump:486: STATEMENT:  INSERT INTO page VALUES (1);
psql:/dump:490: error: invalid command \\N
"""

ARCHIVE_LOG = """\
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 6; 2615 2200 SCHEMA public site
pg_restore: error: could not execute query: ERROR:  schema "public" already exists
Command was: CREATE SCHEMA public;


pg_restore: error: COPY failed for table "page": ERROR:  invalid input syntax for type integer: "x"
CONTEXT:  COPY page, line 1, column id: "x"
pg_restore: warning: errors ignored on restore: 2
"""


def test_read_failures_of_psql_groups_them_in_order() -> None:
    assert read_failures(PSQL_LOG) == [
        Failure(
            error='relation "public.page" does not exist',
            count=1,
            statement="ALTER TABLE ONLY public.page DROP CONSTRAINT a;",
            line=484,
        ),
        Failure(
            error="duplicate key", count=2, statement="INSERT INTO page VALUES (1, 'ERROR: x');",
            line=485,
        ),
        Failure(error="invalid command \\N", count=1, line=490),
    ]  # fmt: skip


def test_read_failures_of_pg_restore() -> None:
    assert read_failures(ARCHIVE_LOG) == [
        Failure(error='schema "public" already exists', count=1, statement="CREATE SCHEMA public;"),
        Failure(
            error='invalid input syntax for type integer: "x"',
            count=1,
            statement='COPY failed for table "page"',
        ),
    ]


def test_describe_failures_counts_statements_and_lists_kinds() -> None:
    assert describe_failures([]) == []
    many = [Failure(error=f"e{number}", count=2, statement="S;") for number in range(30)]
    heading, *listed = describe_failures(many)
    assert heading == "the dump's tables and rows are restored; 60 of its statements failed:"
    assert listed[0] == "not restored: e0 (S;, 2 times)"
    assert listed[-1] == "not restored: 20 more, all in the log of the service restore"


def test_restore_error_names_what_is_missing_and_the_extension_it_needs() -> None:
    log = 'psql:/dump:1: ERROR:  extension "postgis" is not available\n'
    log += "Not restored:\nthe table a.b is missing\n"
    error = restore_error(INCOMPLETE, log, "lenient")
    assert error.message == "the dump was not restored whole: the table a.b is missing"
    assert error.cause == 'extension "postgis" is not available'
    assert "images.postgres" in error.hint


def test_refused_extensions_are_told_with_the_setting_that_allows_them() -> None:
    log = 'psql:<stdin>:9: ERROR:  permission denied to create extension "dblink"\n'
    setting = 'extensions = ["dblink"] in [tool.haybale.database]'
    assert describe_failures(read_failures(log))[-1].endswith(setting)
    error = restore_error(INCOMPLETE, f"{log}Not restored:\nthe table a.b is missing\n", "lenient")
    assert error.cause == 'permission denied to create extension "dblink"'
    assert error.hint.endswith(setting)


def test_extensions_sql_makes_those_that_are_known_or_allowed() -> None:
    contents = ScriptContents(extensions={b"dblink": None, b"postgis": b"geo"})
    assert b"('postgis', 'geo')" in extensions_sql(contents)
    assert b"dblink" not in extensions_sql(contents)
    assert b"('dblink', ''),\n('postgis', 'geo')" in extensions_sql(contents, ["dblink"])
    assert extensions_sql(ScriptContents(extensions={b"dblink": None, b"citext": b"public"})) == b""


def test_restore_error_names_the_cause_that_has_to_do_with_it() -> None:
    missing = "Not restored:\nthe table public.page has 0 of 3 rows\n"
    error = restore_error(INCOMPLETE, ARCHIVE_LOG + missing, "lenient")
    assert error.cause == 'invalid input syntax for type integer: "x"'
    other = restore_error(
        INCOMPLETE, f"{ARCHIVE_LOG}Not restored:\nthe table public.b_c is missing\n", "lenient"
    )
    assert other.cause == "which of these statements it was is not known"
    none = restore_error(INCOMPLETE, "Not restored:\nthe table public.b_c is missing\n", "lenient")
    assert none.cause == "no statement failed"


def test_restore_error_advises_to_go_on_only_where_it_did_not() -> None:
    for mode, hinted in (("strict", True), ("lenient", False)):
        error = restore_error(2, "out of memory", mode)
        assert error.cause == "what was seen is the end of its log"
        assert ("database.restore" in error.hint) is hinted


def test_sql_quotes_names() -> None:
    contents = ScriptContents(tables={Name(b"s", b"it's', 'x"): 3}, roles={b"a'b"})
    assert b"('s', 'it''s'', ''x', '3')) AS dumped (a, b, c)" in compare_sql(contents)
    assert b"(VALUES ('a''b')) AS dumped (a)" in roles_sql(contents)
    assert compare_sql(ScriptContents()) == roles_sql(ScriptContents()) == b""
