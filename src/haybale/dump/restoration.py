"""How a PostgreSQL dump is restored, and what is said of it.

psql and pg_restore go on where a statement fails, and most of what fails then has nothing to do with rows:
owners, privileges, tablespaces, objects that are there already. So (`database.restore = "lenient"`) haybale
lets them go on, compares the tables and their rows with what the dump has, stops where one is missing, and
lists all else.

A dump is code, and runs as a role that owns the database and nothing else: it cannot run programs, read
the server's files or reach a network. What only a superuser can make is made before: the roles that the dump
names, and extensions that are known to give nothing of that away.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from haybale.config import TABLE
from haybale.errors import DumpError
from haybale.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from haybale.dump.psql_script import ScriptContents

SCRIPT = "restore.sh"

# The file that says that a script is one transaction. That is faster, as what it makes goes into no log; but
# going on at errors there takes a savepoint for each statement, which is slow where each row is one.
ONE_TRANSACTION = "one-transaction"

# What blanks the lines of a script that are pg_dump's own \\restrict.
RESTRICTIONS = "restrictions.sed"

# Extensions that need a superuser to be made and, once they are there, let nobody run programs, read files or
# connect anywhere. Those that are trusted (PostgreSQL, "Additional Supplied Modules and Extensions") need
# none: hstore, citext, pg_trgm, unaccent, uuid-ossp, btree_gin, btree_gist, ltree and others.
KNOWN_EXTENSIONS = frozenset(
    b"address_standardizer address_standardizer_data_us bloom earthdistance h3 h3_postgis hll intagg ip4r"
    b" pg_bigm pg_hint_plan pg_similarity pg_stat_statements pgrouting pointcloud pointcloud_postgis postgis"
    b" postgis_raster postgis_sfcgal postgis_tiger_geocoder postgis_topology prefix rum semver vector"
    b" zhparser".split()
)
# The role that makes them, and is gone then: they belong to the site's, as if it had made them.
EXTENSIONS_ROLE = b"haybale_extensions"

# The script's exit code where the database has not what the dump has; the line before what that is.
INCOMPLETE = 9
MISSING_HEADING = "Not restored:"

# Stop at the first error.
STRICT = "strict"

# Lines of the log that go into an error.
TAIL = 25

# So many kinds of errors are listed, and so many characters of a statement.
LISTED = 20
SHOWN = 120

# How psql and pg_restore begin a line about an error, and one about what was sent to the server.
TOOL = r"(?:psql(?::[^:]*:(?P<line>\d+))?|pg_restore): "
ERROR = re.compile(TOOL + r"(?:error|ERROR|FATAL|PANIC): +(?P<text>.*)")
STATEMENT = re.compile(rf"(?:(?:{TOOL})?STATEMENT:  |Command was: )(?P<text>.*)")
SERVER_ERROR = re.compile(r".*?\b(?:ERROR|FATAL|PANIC):  ")
REFUSED_EXTENSION = re.compile(r'permission denied to create extension "([^"]*)"')
ABSENT_EXTENSION = re.compile(r'extension "[^"]*" is not available')
COPY_FAILED = re.compile(r'COPY failed for table "[^"]*"')
MISSING = re.compile(r"the (?:table|materialized view) (.*) (?:is missing|has \d+ of|is empty or missing).*")
OWN_LINE = re.compile(r"(?:psql|pg_restore)[: ]")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A kind of error of psql or pg_restore: its text, how often, and the first statement (None: not known).

    `line` is that statement's in an SQL script (from 1), None in an archive.
    """

    error: str
    count: int
    statement: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = f" at line {self.line}" if self.line else ""
        times = f", {self.count} times" if self.count > 1 else ""
        return f"{self.error} ({self.statement or 'no statement of its own'}{where}{times})"


# What haybale gives the service --------------------------------------------------------------------------


def restore_script() -> str:
    """Return the script that the service `restore` runs."""
    return (resources.files("haybale.dump") / SCRIPT).read_text(encoding="utf-8")


def code_digest() -> str:
    """Return the digest (SHA-256, hex) of all that decides how a dump is restored, but for its setting."""
    folder = resources.files("haybale.dump")
    names = (SCRIPT, "restoration.py", "psql_script.py")
    return hashlib.sha256(b"\0".join((folder / name).read_bytes() for name in names)).hexdigest()


def write_restore_files(
    folder: Path, contents: ScriptContents | None, extensions: Collection[str] = ()
) -> None:
    """Write what the service `restore` runs into `folder`; `contents` is None for a dump without a server.

    `extensions` are those that the dump may have besides the known ones.
    """
    files = {SCRIPT: restore_script().encode()}
    if contents is not None:
        encoding = f"SET client_encoding = '{contents.encoding}';\n".encode() if contents.encoding else b""
        if not contents.has_inserts:
            files[ONE_TRANSACTION] = b""
        if contents.restrictions:
            files[RESTRICTIONS] = b"".join(b"%ds/.*//\n" % line for line in contents.restrictions)
        files["roles.sql"] = encoding + roles_sql(contents)
        files["extensions.sql"] = encoding + extensions_sql(contents, extensions)
        files["refresh.sql"] = encoding + refresh_sql(contents)
        files["compare.sql"] = encoding + compare_sql(contents)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)
    folder.chmod(0o755)


def roles_sql(contents: ScriptContents) -> bytes:
    """Return SQL that makes the roles that are not there: what is owned, or done, by them must not fail.

    They may nothing, and the owner of the database may be any of them.
    """
    roles = [(role,) for role in contents.roles]
    return b"".join([
        # PostgreSQL keeps names that begin so for itself.
        _for_each(
            roles,
            b"SELECT format('CREATE ROLE %I', a) FROM {} WHERE a !~ '^pg_'"
            b" AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = a)\n\\gexec\n",
        ),
        _for_each(
            roles,
            b"SELECT format('GRANT %I TO %I', a, owner.rolname) FROM {}"
            b" JOIN pg_catalog.pg_roles AS role ON role.rolname = a AND NOT role.rolsuper AND a !~ '^pg_',"
            b" pg_catalog.pg_database JOIN pg_catalog.pg_roles AS owner ON owner.oid = datdba"
            b" WHERE datname = current_database() AND owner.rolname <> a\n\\gexec\n",
        ),
    ])  # fmt: skip


def extensions_sql(contents: ScriptContents, allowed: Collection[str] = ()) -> bytes:
    """Return SQL that makes those of the dump's extensions that need a superuser, and are known or allowed.

    In the site's database they stand where the dump puts them; in template1 too, for the databases that tests
    make.
    """
    names = KNOWN_EXTENSIONS | {name.encode() for name in allowed}
    known = [(name, schema or b"") for name, schema in contents.extensions.items() if name in names]
    if not known:
        return b""
    # A trusted one is left to the dump. Before PostgreSQL 13 there was none.
    available = (
        b" FROM {} JOIN pg_catalog.pg_available_extensions AS e ON e.name = a"
        b" JOIN pg_catalog.pg_available_extension_versions AS v"
        b" ON v.name = a AND v.version = e.default_version AND v.superuser"
        b" AND NOT COALESCE((to_jsonb(v) ->> 'trusted')::boolean, false)"
    )
    made = b"SELECT format('CREATE EXTENSION IF NOT EXISTS %I%s CASCADE', a, {schema})" + available
    placed = b"CASE b WHEN '' THEN '' ELSE format(' SCHEMA %I', b) END"
    owned = (
        b"RESET ROLE;\nSELECT format('REASSIGN OWNED BY {role} TO %I', rolname) FROM pg_catalog.pg_roles"
        b" WHERE oid = :owner\n\\gexec\n"
    ).replace(b"{role}", EXTENSIONS_ROLE)
    role = b"SET ROLE %s;\n" % EXTENSIONS_ROLE
    return b"".join([
        b"SELECT datdba AS owner FROM pg_catalog.pg_database WHERE datname = current_database()\n\\gset\n",
        b"CREATE ROLE %s SUPERUSER;\n" % EXTENSIONS_ROLE,
        role,
        _for_each(
            known,
            b"SELECT format('CREATE SCHEMA IF NOT EXISTS %I', b)"
            + available + b" WHERE b NOT IN ('', 'pg_catalog')\n\\gexec\n",
        ),
        _for_each(known, made.replace(b"{schema}", placed) + b"\n\\gexec\n"),
        owned,
        b"\\connect template1\n",
        role,
        _for_each(known, made.replace(b"{schema}", b"''") + b"\n\\gexec\n"),
        owned,
        b"DROP ROLE %s;\n" % EXTENSIONS_ROLE,
    ])  # fmt: skip


def refresh_sql(contents: ScriptContents) -> bytes:
    """Return SQL that fills materialized views that are empty yet, those that need others last."""
    once = _for_each(
        contents.views,
        b"SELECT format('REFRESH MATERIALIZED VIEW %I.%I', a, b) FROM {} JOIN pg_catalog.pg_matviews"
        b" ON schemaname = a AND matviewname = b AND NOT ispopulated\n\\gexec\n",
    )
    return once * 3


def compare_sql(contents: ScriptContents) -> bytes:
    """Return SQL that prints a line for each table that is missing, or has fewer rows than the dump.

    More rows are no error: an extension has rows of its own beside those that a dump adds.
    """
    tables = [(*table, b"" if rows is None else b"%d" % rows) for table, rows in contents.tables.items()]
    return b"".join([
        _for_each(
            tables,
            b"SELECT format('the table %I.%I is missing', a, b) ||"
            b" CASE WHEN c > '0' THEN ', with its ' || c || ' rows' ELSE '' END"
            b" FROM {} WHERE to_regclass(format('%I.%I', a, b)) IS NULL;\n",
        ),
        # Of a table that others inherit from, only its own rows; a partitioned one has those of its parts.
        _for_each(
            [each for each in tables if each[2].strip(b"0")],
            b"SELECT format('SELECT %L || count(*) || %L FROM %s%I.%I HAVING count(*) < %s',"
            b" format('the table %I.%I has ', a, b), ' of ' || c || ' rows',"
            b" CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, a, b, c)"
            b" FROM {} JOIN pg_catalog.pg_class ON oid = to_regclass(format('%I.%I', a, b))\n\\gexec\n",
        ),
        _for_each(
            contents.views,
            b"SELECT format('the materialized view %I.%I is empty or missing', a, b) FROM {}"
            b" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_matviews"
            b" WHERE schemaname = a AND matviewname = b AND ispopulated);\n",
        ),
    ])  # fmt: skip


def _for_each(rows: Iterable[tuple[bytes, ...]], query: bytes) -> bytes:
    """Return a query over rows of texts, whose columns are a, b and c; nothing where there are none."""
    ordered = sorted(rows)
    if not ordered:
        return b""
    quoted = [b", ".join(b"'%s'" % text.replace(b"'", b"''") for text in row) for row in ordered]
    columns = b", ".join((b"a", b"b", b"c")[: len(ordered[0])])
    values = b"(VALUES %s) AS dumped (%s)" % (b",\n".join(b"(%s)" % each for each in quoted), columns)
    return query.replace(b"{}", values)


# What is said of it --------------------------------------------------------------------------------------


def read_failures(log: str) -> list[Failure]:
    """Return what psql or pg_restore reported, by kind, in the order in which it first came."""
    found: dict[str, Failure] = {}
    error, line, statement = "", None, list[str]()

    def note() -> None:
        if error:
            before = found.get(error)
            text = " ".join(" ".join(statement).split())
            shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            first = before or Failure(error=error, count=0, statement=shown or None, line=line)
            found[error] = Failure(**{**vars(first), "count": first.count + 1})

    is_statement = False
    for each in log.splitlines():
        if match := ERROR.fullmatch(each):
            note()
            error = SERVER_ERROR.sub("", match["text"])
            line = int(match["line"]) if match["line"] else None
            copying = COPY_FAILED.match(match["text"])
            statement, is_statement = [copying[0]] if copying else [], False
        elif match := STATEMENT.match(each):
            statement, is_statement = [match["text"]], True
        elif OWN_LINE.match(each) or each == MISSING_HEADING:
            note()
            error, statement, is_statement = "", [], False
        elif is_statement and len(statement) < LISTED:
            statement.append(each)
    note()
    return list(found.values())


def describe_failures(failures: list[Failure]) -> list[str]:
    """Return the lines about what was not restored, where all tables and rows were."""
    if not failures:
        return []
    count = sum(each.count for each in failures)
    lines = [f"the dump's tables and rows are restored; {count} of its statements failed:"]
    lines += [f"not restored: {each}" for each in failures[:LISTED]]
    if len(failures) > LISTED:
        rest = sum(each.count for each in failures[LISTED:])
        lines.append(f"not restored: {rest} more, all in the log of the service restore")
    if _absent_extensions(failures):
        lines.append("an image that has these extensions can be named by images.postgres (docs/databases.md)")
    if refused := _refused_extensions(failures):
        lines.append(f"where you trust the dump with them: {refused}")
    return lines


def _refused_extensions(failures: list[Failure]) -> str | None:
    """Return the setting that allows the extensions that were refused; None for none."""
    names = [found[1] for each in failures if (found := REFUSED_EXTENSION.fullmatch(each.error))]
    return f"extensions = {json.dumps(names)} in [{TABLE}.database]" if names else None


def _absent_extensions(failures: list[Failure]) -> list[str]:
    return [each.error for each in failures if ABSENT_EXTENSION.fullmatch(each.error)]


def restore_error(code: int, log: str, mode: str) -> DumpError:
    """Return the error for a service `restore` that exited with `code`, and whose whole log is `log`.

    `mode` is the setting `database.restore`.
    """
    failures = read_failures(log)
    listed = "\n".join(f"not restored: {each}" for each in failures[:LISTED])
    absent, refused = _absent_extensions(failures), _refused_extensions(failures)
    if code != INCOMPLETE:
        return DumpError(
            "the dump could not be restored",
            cause=failures[0].error if failures else "what was seen is the end of its log",
            hint='database.restore = "lenient" goes on where psql and pg_restore do'
            if mode == STRICT
            else "",
            log="\n".join(log.splitlines()[-TAIL:]),
        )
    missing = log.rpartition(f"{MISSING_HEADING}\n")[2].strip().splitlines()
    return DumpError(
        f"the dump was not restored whole: {'; '.join(missing[:LISTED])}"
        + (f"; and {len(missing) - LISTED} more" if len(missing) > LISTED else ""),
        cause=_cause(failures, missing),
        hint="set images.postgres to an image that has it (docs/databases.md)"
        if absent
        else f"where you trust the dump: {refused}"
        if refused
        else "dump it again",
        log=listed,
    )


def _cause(failures: list[Failure], missing: list[str]) -> str:
    """Return the errors of statements that name what is missing, or misses rows, and those of extensions."""
    if not failures:
        return "no statement failed"
    tables = [
        match[1].rpartition(".")[2].strip('"') for each in missing if (match := MISSING.fullmatch(each))
    ]
    found = [each for each in failures if any(table in f"{each.statement}" for table in tables)]
    errors = [*(each.error for each in found[:3]), *_absent_extensions(failures)]
    errors += [each.error for each in failures if REFUSED_EXTENSION.fullmatch(each.error)]
    return "; ".join(dict.fromkeys(errors)) or "which of these statements it was is not known"
