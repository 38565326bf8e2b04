"""What an SQL script of pg_dump makes, as psql reads it."""

from __future__ import annotations

import pytest

from haybale.dump import psql_script
from haybale.dump.psql_script import LineError, Name, ScriptContents, ScriptReader

# psql reads it as one statement (psqlscan.l).
ATOMIC = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 1; END;"

PAGE = Name(b"public", b"page")


def read(text: str, size: int = 1 << 20) -> ScriptContents:
    script, content = ScriptReader(), text.encode()
    for start in range(0, len(content), size):
        script.feed(content[start : start + size])
    return script.finish()


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_copy_are_lines_up_to_the_end_of_data(size: int, end: str) -> None:
    lines = [
        "CREATE TABLE public.page (id int, text text);",
        "COPY public.page (id, text) FROM stdin;",
        "1\tGRANT ALL ON t TO nobody;",
        "2\t\\\\.",
        "\\\\.",
        "-- PostgreSQL database dump complete",
        "\\.",
        "CREATE TABLE public.empty (id int);",
        "COPY public.empty (id) FROM stdin;",
        "\\.",
        "GRANT ALL ON public.page TO somebody;",
    ]
    contents = read(end.join(lines), size)
    assert contents.tables == {PAGE: 4, Name(b"public", b"empty"): 0}
    assert contents.roles == {b"somebody"}
    assert not contents.is_complete


@pytest.mark.parametrize("size", [3, 1000])
@pytest.mark.parametrize(
    ("rows", "statements"),
    [
        (1, "INSERT INTO public.page VALUES (1, 'GRANT ALL ON t TO user;');"),
        (2, "INSERT INTO public.page (id, text) VALUES (-1, 'a''(');\nINSERT INTO page VALUES (2, E'\\'');"),
        (3, "INSERT INTO public.page VALUES\n\t(1, ''),\n\t(2, ');\n'),\n\t(3, NULL);"),
        (2, "INSERT INTO public.page OVERRIDING SYSTEM VALUE VALUES (1, (SELECT 2)), (2, '/*');"),
        (1, "INSERT INTO public.page DEFAULT VALUES;"),
        (None, "INSERT INTO public.page VALUES (1, '') ON CONFLICT DO NOTHING;"),
        (None, "INSERT INTO public.page SELECT 1;"),
        (None, 'COPY page FROM stdin WITH (FORMAT csv);\n1,"a\nb"\n\\.'),
        (None, "COPY page FROM stdin;\n1\n\\.\nDELETE FROM page WHERE id = 1;"),
        (None, "COPY page FROM stdin;\n1\n\\.\nDO $$ BEGIN DELETE FROM page; END $$;"),
        (2, "COPY public.page FROM stdin;\n1\n\\.\nCOPY page FROM stdin;\n2\n\\.\n"),
    ],
)
def test_rows_of_inserts(rows: int | None, statements: str, size: int) -> None:
    contents = read(f"CREATE TABLE page (id int, text text);\n{statements}\n", size)
    assert contents.tables == {PAGE: rows}
    assert not contents.roles


@pytest.mark.parametrize(
    ("statement", "roles"),
    [
        ("ALTER TABLE public.page OWNER TO owner;", {"owner"}),
        ('ALTER TABLE page OWNER TO "The ""Owner";', {'The "Owner'}),
        ("GRANT SELECT(a, b),INSERT ON TABLE page TO Some, GROUP more WITH GRANT OPTION;", {"some", "more"}),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", set()),
        ("GRANT ALL ON SCHEMA s TO a GRANTED BY b;", {"a", "b"}),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT ALL ON TABLES TO b;", {"a", "b"}),
        ("CREATE POLICY own ON page FOR ALL TO tenant, CURRENT_USER USING (a = 'to x');", {"tenant"}),
        ("CREATE SCHEMA s AUTHORIZATION a;", {"a"}),
        ("CREATE USER MAPPING FOR a SERVER far OPTIONS (\"user\" 'x');", {"a"}),
        ("SET SESSION AUTHORIZATION 'a';", {"a"}),
        ("SET SESSION AUTHORIZATION DEFAULT;", set()),
        ("CREATE ROLE a; GRANT a TO b;", {"b"}),
        ("COMMENT ON TABLE page IS 'GRANT x TO y; ALTER TABLE a OWNER TO b';", set()),
        ("CREATE FUNCTION f() RETURNS void AS $_$; GRANT x TO y; $_$ LANGUAGE sql;", set()),
        (f"{ATOMIC}\nALTER FUNCTION f() OWNER TO a;", {"a"}),
        ("/* /* GRANT x TO y; */ GRANT x TO y; */ GRANT x TO z;", {"z"}),
        ("SET standard_conforming_strings = off;\nSELECT '\\'; GRANT x TO y;';", set()),
        ("\\restrict abc'\nGRANT x TO y;\n\\unrestrict abc'", {"y"}),
    ],
)
def test_roles_are_those_of_statements(statement: str, roles: set[str]) -> None:
    assert read(statement).roles == {role.encode() for role in roles}


def test_contents_of_what_else_a_script_has() -> None:
    contents = read(
        "\ufeffpg_dump: warning: circular\n--\n-- PostgreSQL database dump\n--\n"
        "-- Dumped from database version 9.6.24\n-- Dumped by pg_dump version 16.1 (Debian)\n"
        "SET statement_timeout = 0;\nSET client_encoding = 'LATIN1';\nSET search_path = s, pg_catalog;\n"
        "CREATE UNLOGGED TABLE a (x int);\nCREATE TEMP TABLE b (x int);\nCREATE FOREIGN TABLE c (x int);\n"
        'CREATE TABLE IF NOT EXISTS "S"."d.e" (x int);\nCREATE TABLE f ();\nDROP TABLE IF EXISTS f, g;\n'
        "CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\nREFRESH MATERIALIZED VIEW s.v;\n"
        "--\n-- PostgreSQL database dump complete\n--\npg_dump: detail: page\n"
    )
    assert contents.tables == {Name(b"s", b"a"): 0, Name(b"S", b"d.e"): 0}
    assert (contents.encoding, contents.server) == ("LATIN1", 16)
    assert (contents.extensions, contents.views) == ({b"postgis": b"public"}, {Name(b"s", b"v")})
    assert (contents.is_dump, contents.is_complete, contents.other_database) == (True, True, False)
    assert contents.command is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT 1;\n\\! id\n", (2, "\\! id")),
        ("\\restrict a1\nSELECT 1 \\g |id\n\\unrestrict a1\n", (2, "\\g |id")),
        ("\\restrict a1 `id`\n", (1, "\\restrict a1 `id`")),
        (" \\restrict a1\n", (1, "\\restrict a1")),
        (
            "/* \\! a */ SELECT '\\! b', $$\\! c$$; -- \\! d\n\\copy a from program 'id'",
            (2, "\\copy a from program 'id'"),
        ),
        ("COPY a FROM stdin;\n\\! no\n\\.\n\\o |id", (4, "\\o |id")),
        ("COPY a FROM stdin;\n\\restrict no\n\\.\n\\.\n", None),
    ],
)
def test_command_is_the_first_of_psql_that_pg_dump_does_not_write(
    text: str, found: tuple[int, str] | None
) -> None:
    assert read(text).command == found


def test_a_line_without_an_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psql_script, "LONGEST_LINE", 1000)
    with pytest.raises(LineError, match="line 3 has more than 1000 bytes"):
        read("SELECT 1;\nSELECT 2;\n" + "x" * 3000, 100)
    assert read("COPY a FROM stdin;\n" + ("x" * 900 + "\n") * 3 + "\\.\n", 100).rows == 3


def test_a_statement_of_many_tokens_is_not_held_whole() -> None:
    reader = ScriptReader()
    reader.feed(b"SELECT " + b"1, " * 150_000 + b"\n")
    assert len(reader._tokens) == psql_script.MOST_TOKENS
    reader.feed(b"2;\nCREATE TABLE a ();\n")
    assert list(reader.finish().tables) == [Name(b"public", b"a")]


def test_restrictions_are_lines_outside_of_data() -> None:
    contents = read(
        "--\n\\restrict aB3\r\nCOPY a FROM stdin;\n\\restrict data\n\\.\n"
        "$$\n\\restrict x\n$$;\n\\unrestrict aB3\n"
    )
    assert contents.restrictions == [2, 9]
    assert contents.tables == {Name(b"public", b"a"): 1}
    assert read("\\restrict a\n" * 101).command == (101, "\\restrict a")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Welcome\n\nSET statement_timeout = 0;\n", None),
        ("SELECT 1;\npg_dump: done\n", None),
        ("COPY page FROM stdin;\npg_dump: x\nCREATE TABLE a\n\\.\nSELECT 1;\n", None),
        ("COPY page FROM stdin;\n1\n\\.\npg_dump: x\n--\nCOPY page (id) FROM stdin;\n1\n\\.\n;\n", 4),
        ("SELECT 1;\npg_dump: x\nCREATE UNLOGGED TABLE a (x int);\n", 2),
        ("SELECT 1;\npg_dump: x\nINSERT INTO page VALUES (1);\n", 2),
        ("pg_dump: the table's\nSELECT 'x';\nSELECT 1;\n", 1),
    ],
)
def test_stray_text_is_what_takes_a_table_or_rows_along(text: str, line: int | None) -> None:
    stray = read(text).stray
    assert [each.line for each in stray][:1] == ([] if line is None else [line])


def test_comments_within_strings_are_none() -> None:
    contents = read("SELECT '\n-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n';\n")
    assert not contents.is_dump
    assert not contents.is_complete


@pytest.mark.parametrize(
    "end", ["COPY page FROM stdin;\n1\n", "SELECT 'x", 'SELECT "x', "/* x", "SELECT $a$ $b$ "]
)
def test_is_within_says_that_a_script_is_cut_off(end: str) -> None:
    script = ScriptReader()
    script.feed(end.encode())
    script.feed(b"\n")
    assert script.is_within


@pytest.mark.parametrize(
    "text", ["CREATE DATABASE x;", "\\connect x", "DROP DATABASE x;\nCREATE DATABASE x;"]
)
def test_other_database_is_one_that_the_script_makes(text: str) -> None:
    assert read(text).other_database
    assert not read(f"COPY page FROM stdin;\n{text}\n\\.\n").other_database
