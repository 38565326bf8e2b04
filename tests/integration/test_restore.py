"""What becomes of dumps that are not as smooth as a test's: the judges are psql and pg_restore themselves.

Two servers: one that pg_dump dumps, and one that the service's own script restores to. For each dump, the
standard tool restores it into a database beside, without stopping at errors, and the rows are compared.
"""

from __future__ import annotations

import io
import os
import secrets
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.dump import postgresql
from haybale.dump.postgresql import PostgreSQL
from haybale.dump.psql_script import Name
from haybale.dump.reference import Dump, unpack
from haybale.dump.restoration import INCOMPLETE, describe_failures, read_failures, restore_error
from haybale.dump.service import prepare_restore
from haybale.errors import DumpError
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

RUN = os.environ["HAYBALE_TEST_RUN"]
OPTIONS = ("-c", "fsync=off", "-c", "wal_level=minimal", "-c", "max_wal_senders=0")
NUMBERS = count(1)

# In a server's container: run SQL, make a database.
PSQL = """
sql() { psql -U "$POSTGRES_USER" -XAtq -v ON_ERROR_STOP=1 "$@"; }
make() { sql -d site -c "CREATE DATABASE $1"; }
"""

# A query that lets the roles of dumps do everything.
OTHERS = """
SELECT format('ALTER ROLE %I SUPERUSER', rolname) FROM pg_roles WHERE rolname ~ '^(t[0-9].*|site)$'
\\gexec
"""

# Who the service `restore` runs as.
AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"

# A query for the rows of each table and filled materialized view of a database.
ROWS = r"""
SELECT format('SELECT %L || count(*) FROM ONLY %s', c.oid::regclass::text || ' ', c.oid::regclass)
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE (relkind = 'r' OR relkind = 'm' AND relispopulated)
AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1
\gexec
"""


def run(*command: str, stdin: str | bytes = "", check: bool = True) -> subprocess.CompletedProcess[bytes]:
    content = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(command, capture_output=True, input=content, check=False)
    assert not check or done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done


def pack(**paths: Path) -> bytes:
    """Return files or folders as a tar, under these names."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, path in paths.items():
            archive.add(path, name)
    return stream.getvalue()


@dataclass(frozen=True, kw_only=True)
class Restored:
    """How the script ended: its exit code, its log, and the rows that are there then, in which database."""

    database: str
    code: int
    log: str
    rows: list[str]

    @property
    def notes(self) -> list[str]:
        return describe_failures(read_failures(self.log))


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where dumps come from, and where they go."""

    source: str
    target: str
    image: ImageRef
    folder: Path

    def shell(
        self, server: str, script: str, stdin: str | bytes = "", *, check: bool = True, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a script in a server's container: one start of docker for all that is to be done there."""
        given = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        start = ("docker", "exec", "-i", *given, server, "sh", "-euc", PSQL + script)
        return run(*start, stdin=stdin, check=check)

    def sql(self, server: str, database: str, text: str | bytes) -> str:
        return self.shell(server, 'sql -d "$NAME"', text, NAME=database).stdout.decode().strip()

    def database(self, text: str) -> str:
        """Make a database of SQL in the source."""
        name = f"made{next(NUMBERS)}"
        self.shell(self.source, 'make "$NAME"; sql -d "$NAME"', text, NAME=name)
        return name

    def dump(self, text: str, *arguments: str) -> Path:
        """Dump a database that this SQL makes."""
        name = f"dump{next(NUMBERS)}"
        script = f"""
        make "$NAME"; sql -d "$NAME" >/dev/null
        cd /tmp; pg_dump -U site -d "$NAME" -f "$NAME" {shlex.join(arguments)}; tar -c "$NAME"
        """
        made = self.shell(self.source, script, text, NAME=name)
        with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
            archive.extractall(self.folder, filter="data")
        return self.folder / name

    def judge(self, file: Path, *, is_script: bool) -> list[str]:
        """Return the rows that psql or pg_restore restore, as they do by themselves."""
        tool = "psql -X -f" if is_script else "pg_restore"
        script = f"""
        rm -rf /judged; tar -xo -C /; make "$NAME"
        # What psql does as another role, it may do.
        printf %s "$OTHERS" | sql -d site
        {tool} /judged -U "$POSTGRES_USER" -d "$NAME" </dev/null >/dev/null 2>&1 || true
        printf %s "$ROWS" | sql -d "$NAME"
        """
        name = f"judge{next(NUMBERS)}"
        found = self.shell(self.target, script, pack(judged=file), NAME=name, ROWS=ROWS, OTHERS=OTHERS)
        return found.stdout.decode().splitlines()

    def restore(self, file: Path, mode: str = "lenient") -> Restored:
        """Restore a dump as haybale does: recognised, unpacked, read, and by the service's script."""
        settings = config.Settings(name="site", registry="r/site", core="site")
        root = self.folder / f"site{next(NUMBERS)}"
        project = config.Project(root=root, settings=settings)
        unpacked = unpack(Dump(link=file, target=file), project.scratch / "dump")
        assert isinstance(unpacked.database, PostgreSQL)
        said: list[str] = []
        folder = prepare_restore(project, unpacked, self.image, said.append)
        name = f"site{next(NUMBERS)}"
        env = {
            "PGUSER": "site", "PGPASSWORD": "only-here", "PGDATABASE": name, "ADMIN": "haybale",
            "FORMAT": unpacked.format, "MODE": mode,
        }  # fmt: skip
        script = (
            f"rm -rf /dump /restore /tmp/[em]*; tar -xo -C /; {AS_NOBODY} sh /restore/restore.sh </dev/null"
        )
        packed = pack(dump=unpacked.path, restore=folder)
        done = self.shell(self.target, script, packed, check=False, **env)
        log = "\n".join([*said, (done.stderr + done.stdout).decode(errors="replace")])
        rows = self.sql(self.target, name, ROWS).splitlines()
        return Restored(database=name, code=done.returncode, log=log, rows=rows)


@pytest.fixture(scope="module")
def servers(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    image = config.load(root, {}).settings.images.postgres
    ensure_base_image(ImageRef.parse(image), "postgres", {}, print)
    names = [f"haybale-test-{RUN}-{each}-{secrets.token_hex(4)}" for each in ("source", "target")]
    try:
        for name, superuser in zip(names, ("site", "haybale"), strict=True):
            run(
                "docker", "run", "--detach", "--name", name, "--network", "none",
                "--tmpfs", "/var/lib/postgresql/data",
                "--label", f"io.haybale.test={RUN}", "--env", f"POSTGRES_USER={superuser}",
                "--env", "POSTGRES_DB=site",
                "--env", "POSTGRES_PASSWORD=only-here", "--env", "POSTGRES_INITDB_ARGS=--no-sync",
                image, "postgres", *OPTIONS,
            )  # fmt: skip
        for name in names:
            # By way of the network: while it is set up, it answers only within its container.
            ready = "until pg_isready -q -h 127.0.0.1 -U site; do sleep 0.2; done"
            run("docker", "exec", name, "timeout", "60", "sh", "-c", ready)
        yield Servers(
            source=names[0], target=names[1], image=ImageRef.parse(image),
            folder=tmp_path_factory.mktemp("restore"),
        )  # fmt: skip
    finally:
        run("docker", "rm", "--force", "--volumes", *names, check=False)


PAGES = """
CREATE TABLE page (id int PRIMARY KEY, text text);
INSERT INTO page SELECT each, 'page ' || each FROM generate_series(1, 50) each;
CREATE TABLE place (id int PRIMARY KEY, page int REFERENCES page, name text DEFAULT 'x;y');
INSERT INTO place SELECT each, each, E'first\\nsecond' FROM generate_series(1, 20) each;
"""

TENANT = """
CREATE ROLE {0}; CREATE ROLE "{0} Reader";
ALTER TABLE page OWNER TO {0};
GRANT SELECT ON place TO "{0} Reader";
ALTER TABLE page ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON page TO {0}, "{0} Reader" USING (true);
"""


OBJECTS = r"""
CREATE TABLE snippet (text text);
INSERT INTO snippet VALUES ('GRANT ALL ON t TO user;'), (E'\'\nALTER TABLE x OWNER TO user;\n-- ''x'), ('/*');
CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
CREATE PUBLICATION p FOR ALL TABLES;
CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false);
CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE away (a int) SERVER far; CREATE USER MAPPING FOR site SERVER far;
CREATE MATERIALIZED VIEW a AS SELECT * FROM page; CREATE MATERIALIZED VIEW b AS SELECT * FROM a;
CREATE MATERIALIZED VIEW never AS SELECT * FROM page WITH NO DATA;
CREATE FUNCTION two() RETURNS int LANGUAGE sql
BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
CREATE TABLE part (a int) PARTITION BY RANGE (a);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (9); INSERT INTO part VALUES (1), (2);
CREATE TABLE more () INHERITS (page); INSERT INTO more VALUES (1, 'x');
CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."a.b""c" (
    id int GENERATED ALWAYS AS IDENTITY, d int GENERATED ALWAYS AS (1) STORED, e int
);
INSERT INTO "My Schema"."a.b""c" (e) VALUES (3);
SELECT lo_from_bytea(0, 'GRANT ALL ON t TO lob;');
CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'no'; END$$;
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION noted();
"""


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (["--clean"], ""),
        (["--clean", "--if-exists"], ""),
        (["--schema=public"], ""),
        (["--schema=public", "--format=custom"], ""),
        (["--clean", "--format=tar"], ""),
        (["--column-inserts", "--rows-per-insert=7"], ""),
        (["--inserts", "--on-conflict-do-nothing", "--format=directory"], ""),
        ([], TENANT.format("t1")),
        (["--format=custom"], TENANT.format("t2")),
        (["--use-set-session-authorization"], TENANT.format("t3")),
        (["--encoding=LATIN1"], "INSERT INTO page VALUES (100, 'Käse')"),
        ([], OBJECTS),
        (["--inserts", "--disable-triggers"], OBJECTS),
        (["--format=custom"], OBJECTS),
        (["--load-via-partition-root", "--no-owner", "--no-privileges"], OBJECTS),
    ],
)
def test_restore_keeps_every_row_that_the_standard_tool_keeps(
    servers: Servers, arguments: list[str], made: str
) -> None:
    file = servers.dump(PAGES + made, *arguments)
    is_script = not any("--format" in each for each in arguments)
    restored = servers.restore(file)
    assert restored.code == 0, restored.log
    assert restored.rows == servers.judge(file, is_script=is_script), restored.log
    assert any(row in {"page 50", "page 51"} for row in restored.rows)
    known = servers.sql(servers.target, "site", "SELECT rolname FROM pg_roles")
    assert not {"user", "lob", "t"} & set(known.splitlines())


def test_restore_takes_what_went_through_a_terminal(servers: Servers) -> None:
    """A terminal ends lines with CRLF and shows what goes to the error stream; more may follow the end."""
    file = servers.dump(PAGES + TENANT.format("t5"))
    lines = file.read_bytes().replace(b"\n", b"\r\n")
    before = b"Password: \r\npg_dump: warning: there are circular foreign-key constraints\r\nSET a.b = 1;\r\n"
    file.write_bytes(before + lines + b"\r\n-- the end of it\r\n" * 100 + b"pg_dump: detail: page\r\n")
    restored = servers.restore(file)
    assert restored.code == 0, restored.log
    assert restored.rows == servers.judge(file, is_script=True) == ["page 50", "place 20"]


def test_restore_puts_a_table_of_a_missing_tablespace_into_the_default_one(servers: Servers) -> None:
    servers.sql(
        servers.source, "site", "SET allow_in_place_tablespaces = on; CREATE TABLESPACE fast LOCATION ''"
    )
    for arguments in ([], ["--format=custom"]):
        file = servers.dump(PAGES + "ALTER TABLE page SET TABLESPACE fast", *arguments)
        restored = servers.restore(file)
        assert restored.code == 0, restored.log
        assert restored.rows == servers.judge(file, is_script=not arguments) == ["page 50", "place 20"]


def test_restore_lists_what_failed_and_strict_stops_there(servers: Servers) -> None:
    file = servers.dump(PAGES, "--schema=public")
    lenient = servers.restore(file)
    assert (lenient.code, lenient.rows) == (0, ["page 50", "place 20"])
    heading, *listed = lenient.notes
    assert heading == "the dump's tables and rows are restored; 1 of its statements failed:"
    assert listed[0].startswith(
        'not restored: schema "public" already exists (CREATE SCHEMA public; at line '
    )
    strict = servers.restore(file, "strict")
    assert (strict.code, strict.rows) == (3, [])
    error = restore_error(strict.code, strict.log, "strict")
    assert (error.message, error.cause) == (
        "the dump could not be restored", 'schema "public" already exists'
    )  # fmt: skip


def test_restore_stops_where_an_extension_is_missing_that_a_table_needs(servers: Servers) -> None:
    made = """
    CREATE EXTENSION citext; CREATE EXTENSION pg_stat_statements; CREATE TABLE word (w citext);
    INSERT INTO word VALUES ('a'), ('b');
    """
    file = servers.dump(PAGES + made)
    harmless = file.read_bytes().replace(b"pg_stat_statements", b"somebodys_statistics")
    file.write_bytes(harmless)
    lenient = servers.restore(file)
    assert lenient.code == 0, lenient.log
    assert any('extension "somebodys_statistics" is not available' in each for each in lenient.notes)
    assert "images.postgres" in lenient.notes[-1]
    file.write_bytes(harmless.replace(b"citext", b"geotext"))
    stopped = servers.restore(file)
    assert stopped.code == INCOMPLETE
    error = restore_error(stopped.code, stopped.log, "lenient")
    assert (
        error.message == "the dump was not restored whole: the table public.word is missing, with its 2 rows"
    )
    assert 'extension "geotext" is not available' in error.cause
    assert "images.postgres" in error.hint


@pytest.mark.parametrize("arguments", [[], ["--inserts"]])
def test_restore_stops_where_rows_are_missing(servers: Servers, arguments: list[str]) -> None:
    file = servers.dump(PAGES, "--schema=public", *arguments)
    spoiled = file.read_bytes().replace(b"7\t7\tfirst", b"x\t7\tfirst").replace(b"(7, 7, ", b"('x', 7, ")
    assert spoiled != file.read_bytes()
    file.write_bytes(spoiled)
    stopped = servers.restore(file)
    assert stopped.code == INCOMPLETE
    error = restore_error(stopped.code, stopped.log, "lenient")
    there = "19" if arguments else "0"
    assert error.message == f"the dump was not restored whole: the table public.place has {there} of 20 rows"
    assert error.cause == 'invalid input syntax for type integer: "x"'


def test_unpack_refuses_messages_of_pg_dump_that_cost_rows(servers: Servers) -> None:
    """psql reads such a line as one with the COPY behind it."""
    file = servers.dump(PAGES)
    data = b"--\n-- Data for Name: place"
    lines = file.read_bytes().split(b"\n")
    message = b'pg_dump: dumping contents of table "public.place"\n'
    file.write_bytes(file.read_bytes().replace(data, message + data))
    assert servers.judge(file, is_script=True) == ["page 50", "place 0"]
    line = lines.index(b"-- Data for Name: place; Type: TABLE DATA; Schema: public; Owner: site")
    with pytest.raises(DumpError, match=f"is spoiled at line {line}: 'pg_dump"):
        servers.restore(file)


def test_restore_refuses_what_has_no_tables_or_is_damaged(servers: Servers) -> None:
    with pytest.raises(DumpError, match="has rows of 2 tables, and makes none of them"):
        servers.restore(servers.dump(PAGES, "--data-only", "--format=custom"))
    whole = servers.dump(PAGES, "--format=custom")
    whole.write_bytes(whole.read_bytes()[:-400])
    with pytest.raises(DumpError, match="pg_restore does not read the dump to its end") as damaged:
        servers.restore(whole)
    assert "pg_restore: error:" in damaged.value.log
    empty = servers.restore(servers.dump(PAGES, "--schema-only"))
    assert empty.code == 0
    assert "the dump has tables and no rows" in empty.log


def test_read_contents_counts_what_looks_like_sql(servers: Servers) -> None:
    """Every three of these fragments, one behind the other, are a row; the server says how many there are."""
    fragments = (
        "'", '"', "\\", "\\.", "\n", "\r\n", ";", "--", "/*", "*/", "$$", "$_$", "(", ")", "\t", "E'", "COPY",
        "GRANT x TO y;", "-- PostgreSQL database dump complete",
    )  # fmt: skip
    quoted = ", ".join("('" + each.replace("'", "''") + "')" for each in fragments)
    # What pg_dump makes of each: text of its own kind, in COPY as in INSERT.
    name = servers.database(f"""
        CREATE TABLE fragment AS SELECT * FROM (VALUES {quoted}) AS f (text);
        CREATE TABLE "odd ;'name" AS SELECT a.text || b.text || c.text AS text, -1 AS number
        FROM fragment a, fragment b, fragment c;
        COMMENT ON TABLE fragment IS 'GRANT x TO y; -- ';
    """)  # noqa: S608
    for arguments in ([], ["--inserts"], ["--rows-per-insert=9", "--quote-all-identifiers"]):
        file = servers.folder / f"fragments{next(NUMBERS)}"
        dumped = run("docker", "exec", servers.source, "pg_dump", "-U", "site", "-d", name, *arguments)
        file.write_bytes(dumped.stdout)
        contents = PostgreSQL().read_contents(servers.image, file, "plain")
        assert contents.tables == {
            Name(b"public", b"fragment"): len(fragments),
            Name(b"public", b"odd ;'name"): len(fragments) ** 3,
        }
        assert contents.roles == {b"site"}
        assert contents.is_complete


def test_strict_restores_a_dump_whose_owners_are_not_here(servers: Servers) -> None:
    file = servers.dump(PAGES + TENANT.format("t6"))
    restored = servers.restore(file, "strict")
    assert (restored.code, restored.rows, restored.notes) == (0, ["page 50", "place 20"], [])


# What code in a dump does to see whether it may: a file where PostgreSQL runs, or psql.
TRESPASS = "touch /tmp/trespassed"


def has_trespassed(servers: Servers) -> bool:
    return "trespassed" in servers.shell(servers.target, "ls /tmp; rm -f /tmp/trespassed").stdout.decode()


def test_restore_refuses_commands_of_psql_and_runs_none(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = servers.dump(PAGES)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    commands = (f"\\! {TRESPASS}", f"\\copy page FROM PROGRAM '{TRESPASS}'", f"SELECT 1 \\g |{TRESPASS}")
    for command in commands:
        file.write_text("".join([*lines[:20], f"{command}\n", *lines[20:]]), encoding="utf-8")
        with pytest.raises(DumpError, match="has a command of psql's own at line 21"):
            servers.restore(file)
    # An older psql reads the rows of a COPY that fails as SQL, whatever they were meant to be.
    rows = f"COPY public.absent (a) FROM stdin;\n\\! {TRESPASS}\n\\restrict a\n\\.\n"
    file.write_text("".join([*lines[:20], rows, *lines[20:]]), encoding="utf-8")
    assert servers.restore(file).code == INCOMPLETE
    assert not has_trespassed(servers)
    # What the reader did not see, psql refuses.
    monkeypatch.setattr(postgresql, "_check_script", lambda *_: None)
    file.write_text(
        "".join([*lines[:20], *(f"{each}\n" for each in commands), *lines[20:]]), encoding="utf-8"
    )
    restored = servers.restore(file)
    assert "backslash commands are restricted" in restored.log
    assert not has_trespassed(servers)


def test_restore_keeps_rows_that_look_like_the_guard_of_a_script(servers: Servers) -> None:
    file = servers.dump(
        r"CREATE TABLE note (t text); INSERT INTO note VALUES (E'\\restrict a'), (E'\restrict b')"
    )
    assert b"\n\\restrict b\n" in file.read_bytes()
    restored = servers.restore(file, "strict")
    assert (restored.code, restored.rows) == (0, ["note 2"]), restored.log
    assert servers.sql(servers.target, restored.database, "SELECT count(*) FROM note") == "2"


# Code that a CHECK runs for each row, once there are rows; what becomes of it, it hides.
CHECKED = f"""
CREATE FUNCTION refused(command text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE TABLE checked (command text CHECK (refused(command)));
INSERT INTO checked VALUES
    ('COPY public.page FROM PROGRAM ''{TRESPASS}'''), ('COPY public.page TO ''/tmp/trespassed'''),
    ('SET SESSION AUTHORIZATION haybale'), ('ALTER ROLE site SUPERUSER'),
    ('GRANT pg_execute_server_program TO site'), ('CREATE EXTENSION file_fdw SCHEMA public'),
    ('CREATE FUNCTION public.pid() RETURNS int LANGUAGE c AS ''libc'', ''getpid''');
CREATE OR REPLACE FUNCTION refused(command text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN false;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN true;
END $$;
"""  # noqa: S608


@pytest.mark.parametrize("format_", ["plain", "custom"])
def test_restore_lets_the_code_of_a_dump_reach_no_program_and_no_file(servers: Servers, format_: str) -> None:
    restored = servers.restore(servers.dump(PAGES + CHECKED, f"--format={format_}"))
    assert restored.code == 0, restored.log
    assert "checked 7" in restored.rows
    assert not has_trespassed(servers)
    asked = "SELECT rolsuper, pg_has_role('site', 'pg_execute_server_program', 'member') FROM pg_roles"
    assert servers.sql(servers.target, "site", f"{asked} WHERE rolname = 'site'") == "f|f"


ODD_ROLES = ("o'brien", 'a "b"', "semi; colon", r"back\slash", ":owner", "%I")


def test_restore_takes_roles_of_any_name(servers: Servers) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in ODD_ROLES]
    made = "".join(f"CREATE ROLE {name}; GRANT SELECT ON place TO {name};" for name in quoted)
    file = servers.dump(f"{PAGES} {made} ALTER TABLE page OWNER TO {quoted[0]};")
    restored = servers.restore(file, "strict")
    assert (restored.code, restored.rows, restored.notes) == (0, ["page 50", "place 20"], [])
    known = servers.sql(servers.target, "site", "SELECT rolname FROM pg_roles").splitlines()
    assert set(ODD_ROLES) <= set(known)


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_restore_makes_known_extensions_and_lists_what_it_refuses(servers: Servers, mode: str) -> None:
    """Of these, one needs no superuser, one does and is known, one does and lets somebody connect."""
    made = """
    CREATE SCHEMA apart; CREATE EXTENSION citext; CREATE EXTENSION cube;
    CREATE EXTENSION earthdistance; CREATE EXTENSION pg_stat_statements SCHEMA apart;
    CREATE TABLE spot (name citext, place earth); INSERT INTO spot VALUES ('a', ll_to_earth(1, 2));
    """
    refused = "CREATE EXTENSION dblink;" if mode == "lenient" else ""
    if mode == "strict":
        made = made.replace("CREATE SCHEMA apart;", "").replace("SCHEMA apart", "")
    restored = servers.restore(servers.dump(PAGES + made + refused), mode)
    assert (restored.code, restored.rows) == (0, ["page 50", "place 20", "spot 1"]), restored.log
    owners = "SELECT DISTINCT rolname FROM pg_extension JOIN pg_roles ON pg_roles.oid = extowner"
    assert servers.sql(servers.target, restored.database, owners) == "site"
    assert (
        servers.sql(servers.target, "site", "SELECT count(*) FROM pg_roles WHERE rolname ~ '^haybale_'")
        == "0"
    )
    told = [each for each in restored.notes if "permission denied to create extension" in each]
    assert bool(told) == bool(refused)
    if refused:
        assert 'not restored: permission denied to create extension "dblink"' in told[0]
        assert 'schema "apart" already exists' in "".join(restored.notes)
    else:
        assert restored.notes == []
