r"""An SQL script of pg_dump, read as psql reads it: what it makes, how many rows, and which roles it names.

psql cuts a script into statements itself (PostgreSQL, src/fe_utils/psqlscan.l): strings, quoted names, dollar
quotes, comments, parentheses and the bodies of SQL functions hide a semicolon; after `COPY ... FROM stdin;`
come lines of data up to the line `\.`; a backslash outside of all that begins a command of psql's own. So
data that looks like SQL is data here too. Nothing but the statement at hand is in memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

# What pg_dump writes at the beginning and, where it came to its end, at the end; pg_dumpall at its beginning.
HEADER = b"-- PostgreSQL database dump"
COMPLETE = b"-- PostgreSQL database dump complete"
CLUSTER_HEADER = b"-- PostgreSQL database cluster dump"
DUMPED_FROM = re.compile(rb"-- Dumped (?:from database|by pg_dump) version (\d+)")

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# The tokens of SQL (PostgreSQL, "Lexical Structure"); of what may have several lines, only the start.
TOKEN = re.compile(
    rb"(?P<space>[ \t\r\n\f\v]+)"
    rb"|(?P<comment>--[^\r\n]*)"
    rb"|(?P<block>/\*)"
    rb"|(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z_0-9\x80-\xff]*)?\$)"
    rb"|(?P<escaped>[eE]')"
    rb"|(?P<string>(?:[uU]&|[bBnNxX])?')"
    rb"|(?P<name>(?:[uU]&)?\")"
    rb"|(?P<word>[A-Za-z_\x80-\xff][A-Za-z_0-9$\x80-\xff]*)"
    rb"|(?P<number>[0-9][A-Za-z_0-9.]*)"
    rb"|(?P<command>\\[^\r\n]*)"
    rb"|(?P<other>.)",
    re.DOTALL,
)
BLOCK_EDGE = re.compile(rb"/\*|\*/")
STRING_EDGE = re.compile(rb"''|'")
ESCAPED_EDGE = re.compile(rb"\\.|''|'", re.DOTALL)
NAME_EDGE = re.compile(rb'""|"')

# A row, and a statement that inserts some: nearly all of a dump that has INSERTs, in one step. What may be
# something else than it seems (an escape string, a comment, a parenthesis) does not match.
ROW = re.compile(rb"\((?:[^'()\"$;\\/\-eE]++|[eE](?!')|-(?!-)|'[^']*+')*+\)")
INSERT = re.compile(
    rb"INSERT INTO (?P<table>(?:[a-z_][a-z_0-9]*\.)?[a-z_][a-z_0-9]*) (?:\([a-z_0-9, \"]*\) )?"
    rb"(?:OVERRIDING SYSTEM VALUE )?VALUES\s++(?P<rows>"
    + ROW.pattern
    + rb"(?:,\s*+"
    + ROW.pattern
    + rb")*+);\r?\n"
)

# What of a token is kept, and how many tokens of a statement: more is never looked at.
KEPT = 256
MOST_TOKENS = 100_000

# The longest line in bytes: neither a row nor a query can be longer (PostgreSQL, MaxAllocSize).
LONGEST_LINE = 1 << 30

# Words that stand where a role may, and name none.
NO_ROLES = frozenset({b"public", b"current_user", b"current_role", b"session_user", b"none", b"default"})

# What stands before the kind of an object.
ADJECTIVES = frozenset({b"unlogged", b"temp", b"temporary", b"global", b"local", b"materialized"})

# What pg_dump writes around a script since August 2025 (psql, "\\restrict"), each on a line of its own; and
# how many of them a script may have, where two are usual.
RESTRICTION = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+[ \t]*")
MOST_RESTRICTIONS = 100

# How a command of SQL begins (PostgreSQL, "SQL Commands").
COMMANDS = frozenset(
    b"abort alter analyze begin call checkpoint close cluster comment commit copy create deallocate"
    b" declare delete discard do drop end execute explain fetch grant import insert listen load lock merge"
    b" move notify prepare reassign refresh reindex release reset revoke rollback savepoint security select"
    b" set show start table truncate unlisten update vacuum values with".split()
)

# Statements that change rows in ways that only a server knows. pg_dump writes none of them.
UNKNOWN_EFFECTS = frozenset({b"call", b"do", b"execute", b"merge", b"with"})


class LineError(ValueError):
    """A line that is too long to be one of a dump; `line` is its number (from 1)."""

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} has more than {LONGEST_LINE} bytes")
        self.line = line


class Token(NamedTuple):
    """A token: its kind (word, in small letters; name; string; other), its text, its depth in parentheses."""

    kind: str
    text: bytes
    depth: int


class Stray(NamedTuple):
    """Text that is no SQL: its line (from 1), and how it begins."""

    line: int
    text: str


class Name(NamedTuple):
    """The name of a relation in its schema, as the script has them, in its encoding."""

    schema: bytes
    name: bytes


@dataclass(kw_only=True)
class ScriptContents:
    r"""What a script makes.

    - `tables`: each table that it makes or fills, with its number of rows; None where only a server can know.
    - `views`: the materialized views that it fills.
    - `roles`: those that it names, and does not make.
    - `extensions`: those that it asks for, each with the schema that it asks for (None: it leaves that open).
    - `stray`: text that psql reads as one with a table or rows behind it, which are lost so.
    - `command`: the first of psql's own commands, but for those of `restrictions`.
    - `restrictions`: the lines (from 1) that are `\restrict KEY` or `\unrestrict KEY`, as pg_dump writes it.
    - `encoding`: PostgreSQL's name of the script's encoding, where it has one.
    - `server`: the newest major version of server and pg_dump that it names.
    """

    tables: dict[Name, int | None] = field(default_factory=dict)
    created: set[Name] = field(default_factory=set)
    views: set[Name] = field(default_factory=set)
    roles: set[bytes] = field(default_factory=set)
    extensions: dict[bytes, bytes | None] = field(default_factory=dict)
    stray: list[Stray] = field(default_factory=list)
    command: Stray | None = None
    restrictions: list[int] = field(default_factory=list)
    encoding: str | None = None
    server: int | None = None
    has_inserts: bool = False
    is_dump: bool = False
    is_complete: bool = False
    is_cluster: bool = False
    other_database: bool = False

    @property
    def rows(self) -> int:
        """How many rows it has, as far as that is known."""
        return sum(rows or 0 for rows in self.tables.values())


class ScriptReader:
    """Reads a script in pieces of any size; `contents` has what was found up to now."""

    def __init__(self) -> None:
        self.contents = ScriptContents()
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._is_start = True
        self._copying: Name | None = None
        self._copied = 0
        self._line = 0
        self._schema = b"public"
        self._has_backslashes = False
        self._made_roles: set[bytes] = set()
        self._are_rows_known = True
        # What a line begins within: the token that was opened, its first bytes, and how it ends.
        self._open = ""
        self._text = b""
        self._edge = re.compile(b"")
        self._blocks = 0
        self._begin_statement()

    def feed(self, chunk: bytes) -> None:
        """Read the next piece; raises `LineError` for a line that no server takes."""
        self._pending.append(chunk)
        if b"\n" not in chunk:
            self._pending_size += len(chunk)
            if self._pending_size > LONGEST_LINE:
                raise LineError(self._line + self._copied + 1)
            return  # a long line
        self._pending_size = 0
        data, position = b"".join(self._pending), 0
        if self._is_start and len(data) >= len(BYTE_ORDER_MARK):
            data, self._is_start = data.removeprefix(BYTE_ORDER_MARK), False
        while position < len(data):
            if self._copying is not None:
                after = self._read_copied(self._copying, data, position)
            elif self._is_between and (found := INSERT.match(data, position)):
                self._read_insert(found)
                after = found.end()
            else:
                after = data.find(b"\n", position) + 1
                if after:
                    self._read_line(data[position:after])
            if after <= position:
                break
            position = after
        self._pending = [data[position:]]

    def finish(self) -> ScriptContents:
        """Read what is left at the end, and return everything."""
        if any(self._pending):
            self.feed(b"\n")
        if self._tokens:
            self._end_statement()  # psql sends what has no semicolon
        self.contents.roles -= self._made_roles
        if not self._are_rows_known:
            self.contents.tables = dict.fromkeys(self.contents.tables)
        return self.contents

    @property
    def is_within(self) -> bool:
        """Whether the script ends within rows, a string, a name or a comment."""
        return self._copying is not None or bool(self._open)

    # Data ---------------------------------------------------------------------------------------------------

    def _read_copied(self, table: Name, data: bytes, start: int) -> int:
        """Count a table's rows from `start`, the beginning of a line; return where reading goes on."""
        while True:
            end = start if data.startswith(b"\\.", start) else data.find(b"\n\\.", start) + 1
            if not end and not data.startswith(b"\\.", start):
                end = data.rfind(b"\n", start) + 1 or start
                self._copied += data.count(b"\n", start, end)
                return end
            self._copied += data.count(b"\n", start, end)
            after = data.find(b"\n", end) + 1
            if not after:
                return end
            if data[end:after].rstrip(b"\r\n") == b"\\.":
                self._add_rows(table, self._copied)
                self._line += self._copied + 1
                self._copying, self._copied = None, 0
                return after
            self._copied += 1
            start = after
            if start == len(data):
                return start

    def _add_rows(self, table: Name, rows: int | None) -> None:
        before = self.contents.tables.get(table, 0)
        self.contents.tables[table] = None if rows is None or before is None else before + rows

    # Statements ---------------------------------------------------------------------------------------------

    def _begin_statement(self) -> None:
        self._tokens: list[Token] = []
        self._depth = self._begins = self._start = 0
        self._has_long_string = False
        # Of an INSERT: the rows behind VALUES, where it has come to that.
        self._inserted: int | None = None
        self._is_upsert = False

    @property
    def _is_between(self) -> bool:
        """Whether what follows begins a statement, in which a backslash is nothing special."""
        return not (self._open or self._tokens or self._has_backslashes)

    def _read_insert(self, found: re.Match[bytes]) -> None:
        self.contents.has_inserts = True
        self._line += found[0].count(b"\n")
        self._add_rows(self._plain_name(found["table"]), len(ROW.findall(found["rows"])))

    def _read_line(self, line: bytes) -> None:
        self._line += 1
        position = self._close(line, 0) if self._open else 0
        while position < len(line) and (found := TOKEN.match(line, position)):
            position = found.end()
            kind, text = found.lastgroup or "", found[0]
            if kind in {"word", "number", "other"}:
                self._add_token(kind, text.lower() if kind == "word" else text)
            elif kind == "comment":
                self._read_comment(text)
            elif kind == "command":
                self._read_command(text, is_line=found.start() == 0)
            elif kind != "space":
                self._begin_token(kind, text)
                position = self._close(line, position)

    def _begin_token(self, kind: str, text: bytes) -> None:
        self._open, self._text, self._blocks = kind, b"", 1
        self._opened = self._line
        if kind == "block":
            self._edge = BLOCK_EDGE
        elif kind == "dollar":
            self._edge = re.compile(re.escape(text))
        elif kind == "name":
            self._edge = NAME_EDGE
        else:
            is_escaped = kind == "escaped" or (self._has_backslashes and text == b"'")
            self._edge = ESCAPED_EDGE if is_escaped else STRING_EDGE

    def _close(self, line: bytes, position: int) -> int:
        """Read on within what is open; return where it ends, or the end of the line."""
        while found := self._edge.search(line, position):
            self._keep(line[position : found.start()])
            position, edge = found.end(), found[0]
            if self._open == "block":
                self._blocks += 1 if edge == b"/*" else -1
                is_end = self._blocks == 0
            else:
                is_end = self._open == "dollar" or edge in {b"'", b'"'}
            if is_end:
                kind, self._open = self._open, ""
                self._has_long_string = self._has_long_string or self._opened < self._line
                if kind != "block":
                    self._add_token("name" if kind == "name" else "string", self._text)
                return position
            self._keep(edge[:1] if edge in {b"''", b'""'} else edge)
        self._keep(line[position:])
        return len(line)

    def _keep(self, text: bytes) -> None:
        if len(self._text) < KEPT:
            self._text += text[:KEPT]

    def _read_comment(self, text: bytes) -> None:
        text, contents = text.rstrip(), self.contents
        contents.is_dump = contents.is_dump or text == HEADER
        contents.is_cluster = contents.is_cluster or text == CLUSTER_HEADER
        contents.is_complete = contents.is_complete or text == COMPLETE
        if found := DUMPED_FROM.match(text):
            contents.server = max(int(found[1]), contents.server or 0)

    def _read_command(self, text: bytes, *, is_line: bool) -> None:
        words, contents = text.split(), self.contents
        if is_line and RESTRICTION.fullmatch(text) and len(contents.restrictions) < MOST_RESTRICTIONS:
            contents.is_dump = contents.is_dump or words[0] == b"\\restrict"
            contents.restrictions.append(self._line)
            return
        if words[0] in {b"\\c", b"\\connect"} and len(words) > 1:
            contents.other_database = True
        if words[0] != b"\\." and contents.command is None:
            contents.command = Stray(self._line, text[:KEPT].decode(errors="replace"))

    def _add_token(self, kind: str, text: bytes) -> None:
        tokens = self._tokens
        self._start = self._start or self._line
        if kind == "other":
            if text == b"(":
                if self._inserted is not None and self._depth == 0 and not self._is_upsert:
                    self._inserted += 1
                self._depth += 1
            elif text == b")":
                self._depth = max(0, self._depth - 1)
            elif text == b";" and self._depth == 0 and self._begins == 0:
                self._end_statement()
                return
        if self._inserted is not None:
            self._is_upsert = self._is_upsert or (self._depth == 0 and text in {b"on", b"returning"})
            return
        if kind == "word" and tokens and tokens[0].text == b"create" and self._is_routine():
            self._follow_body(text)
        if len(tokens) < MOST_TOKENS:
            tokens.append(Token(kind, text, self._depth))
        if text == b"values" and tokens[0].text == b"insert" and self._depth == 0:
            self._inserted = 0

    def _is_routine(self) -> bool:
        """Whether this statement makes a function or a procedure (psqlscan.l, identifiers)."""
        words = [each.text for each in self._tokens[:4]]
        if words[:3] == [b"create", b"or", b"replace"]:
            words[1:3] = []
        return words[:1] == [b"create"] and words[1:2] in ([b"function"], [b"procedure"])

    def _follow_body(self, word: bytes) -> None:
        """Count the blocks of a routine whose body is SQL: BEGIN ATOMIC ... END, and CASE ... END within."""
        if self._depth == 0:
            if word == b"begin" or (word == b"case" and self._begins):
                self._begins += 1
            elif word == b"end" and self._begins:
                self._begins -= 1

    def _end_statement(self) -> None:
        tokens, inserted, is_upsert = self._tokens, self._inserted, self._is_upsert
        start, has_long_string = self._start, self._has_long_string
        self._begin_statement()
        if not tokens:
            return
        statement = Statement(tokens, self._schema)
        verb = statement.word(0)
        if verb not in COMMANDS:
            if has_long_string or statement.has_table_or_rows:
                text = b" ".join(each.text for each in tokens[:8]).decode(errors="replace")
                self.contents.stray.append(Stray(start, text))
            return
        if inserted is not None or verb == b"insert":
            self.contents.has_inserts = True
            rows = 1 if statement.has(b"default", b"values") else inserted
            rows = None if is_upsert else rows
            self._add_rows(statement.name_after(b"into"), rows)
        elif verb == b"copy":
            self._read_copy(statement)
        elif verb in UNKNOWN_EFFECTS or (verb == b"truncate" and statement.has(b"cascade")):
            self._are_rows_known = False
        elif verb in {b"delete", b"truncate"}:
            for name in statement.names_after(b"from", b"only", b"table", b"truncate"):
                self.contents.tables[name] = None
        elif verb == b"set" or statement.has(b"set_config"):
            self._read_set(statement)
        else:
            self._read_definition(statement)
        self.contents.roles |= statement.roles()

    def _read_copy(self, statement: Statement) -> None:
        if not statement.has(b"from"):
            return
        table = statement.name_after(b"copy")
        if not statement.has(b"from", b"stdin"):
            self._add_rows(table, None)
            return
        self._copying = table
        if any(each.text in {b"csv", b"header"} for each in statement.tokens):
            self._add_rows(table, None)  # a row may have several lines

    def _read_set(self, statement: Statement) -> None:
        values = [each.text for each in statement.tokens if each.kind in {"word", "name", "string"}]
        if b"search_path" in values:
            self.contents.is_dump = self.contents.is_dump or statement.has(b"set_config")
            path = values[values.index(b"search_path") + 1 :]
            named = [name for name in path if name not in {b"to", b"$user", b"pg_catalog", b"false", b""}]
            self._schema = named[0].partition(b",")[0].strip(b' "') if named else b"public"
        elif b"standard_conforming_strings" in values:
            self._has_backslashes = values[-1] == b"off"
        elif b"client_encoding" in values:
            self.contents.encoding = values[-1].decode("ascii", "replace")

    def _read_definition(self, statement: Statement) -> None:
        contents = self.contents
        match statement.verb:
            case (_, b"table"):
                self._read_table(statement)
            case (b"refresh", b"view"):
                if not statement.has(b"no", b"data"):
                    contents.views.add(statement.name_after(b"view"))
            case (b"create", b"extension"):
                schema = statement.name_after(b"schema").name if statement.has(b"schema") else None
                contents.extensions[statement.name_after(b"extension").name] = schema
            case (b"create", b"database"):
                contents.other_database = True
            case (b"create", b"role" | b"user" | b"group" as kind) if statement.word(2) != b"mapping":
                self._made_roles.add(statement.name_after(kind).name)

    def _read_table(self, statement: Statement) -> None:
        tables, name = self.contents.tables, statement.name_after(b"table")
        verb = statement.word(0)
        if verb == b"create" and not statement.is_temporary:
            self.contents.created.add(name)
            tables[name] = None if statement.has(b"as") else tables.get(name, 0)
        elif verb == b"drop":
            for each in statement.names_after(b"table"):
                tables.pop(each, None)
        elif statement.has(b"rename", b"to") or statement.has(b"set", b"schema"):
            tables.pop(name, None)

    def _plain_name(self, text: bytes) -> Name:
        schema, _, name = text.rpartition(b".")
        return Name(schema or self._schema, name)


class Statement:
    """The tokens of one statement, and what is read from them."""

    def __init__(self, tokens: list[Token], schema: bytes) -> None:
        self.tokens, self._schema = tokens, schema

    def word(self, index: int) -> bytes:
        """Return the word at a place; b"" where there is none."""
        is_word = index < len(self.tokens) and self.tokens[index].kind == "word"
        return self.tokens[index].text if is_word else b""

    def has(self, *words: bytes) -> bool:
        """Return whether these words stand there, one behind the other, outside of parentheses."""
        return self._find(*words) is not None

    @property
    def has_table_or_rows(self) -> bool:
        """Whether what makes or fills a table stands somewhere in it."""
        ways = ((b"create", b"table"), (b"unlogged", b"table"), (b"from", b"stdin"), (b"insert", b"into"))
        return any(self.has(*way) for way in (*ways, (b"refresh", b"materialized"), (b"create", b"schema")))

    @property
    def is_temporary(self) -> bool:
        """Whether what it makes is gone with the session."""
        return any(self.word(index) in {b"temp", b"temporary"} for index in (1, 2))

    @property
    def verb(self) -> tuple[bytes, bytes]:
        """What it does, and to what kind of object."""
        words = [self.word(index) for index in range(1, 4)]
        return self.word(0), next((word for word in words if word not in ADJECTIVES), b"")

    def name_after(self, word: bytes) -> Name:
        """Return the name of the relation behind a word."""
        return next(iter(self.names_after(word)), Name(self._schema, b""))

    def names_after(self, *words: bytes) -> list[Name]:
        """Return the names behind the last of these words, which commas separate."""
        found = [place for word in words if (place := self._find(word)) is not None]
        position, names = max(found, default=0) + 1, list[Name]()
        while self.word(position) in {b"if", b"not", b"exists", b"only", b"concurrently"}:
            position += 1
        while position < len(self.tokens) and self.tokens[position].kind in {"word", "name"}:
            parts = [self.tokens[position].text]
            position += 1
            while self._is(position, b".") and position + 1 < len(self.tokens):
                parts.append(self.tokens[position + 1].text)
                position += 2
            names.append(Name(parts[-2] if len(parts) > 1 else self._schema, parts[-1]))
            if not self._is(position, b","):
                break
            position += 1
        return names

    def roles(self) -> set[bytes]:
        """Return the roles that it names (PostgreSQL, the grammar's RoleSpec), which must be there."""
        match self.word(0), self.word(1):
            case (b"grant" | b"revoke", _):
                places = [self._find(b"to"), self._find(b"from"), self._find(b"granted", b"by")]
            case (b"alter", b"default"):
                ends = [self._find(b"to"), self._find(b"from")]
                places = [self._find(b"for", b"role"), self._find(b"for", b"user"), *ends]
            case (b"alter", _):
                places = [self._find(b"owner", b"to")]
                if self.word(1) == b"policy":
                    places.append(self._find(b"to"))
            case (b"create", b"policy"):
                places = [self._find(b"to")]
            case (b"create", b"schema"):
                places = [self._find(b"authorization")]
            case (b"create", b"user") if self.word(2) == b"mapping":
                places = [self._find(b"for")]
            case (b"set", _):
                places = [self._find(b"authorization"), self._find(b"set", b"role")]
            case _:
                places = []
        return {role for place in places if place is not None for role in self._roles_at(place + 1)}

    def _roles_at(self, position: int) -> set[bytes]:
        roles: set[bytes] = set()
        while position < len(self.tokens):
            if self.word(position) == b"group":
                position += 1
                continue
            kind, text, _ = self.tokens[position]
            if kind in {"name", "string"} or (kind == "word" and text not in NO_ROLES):
                roles.add(text)
            if not self._is(position + 1, b","):
                break
            position += 2
        return roles

    def _find(self, *words: bytes) -> int | None:
        """Return the place of the last of these words, where they follow each other at depth 0."""
        for start in range(len(self.tokens) - len(words) + 1):
            part = self.tokens[start : start + len(words)]
            if all(each == ("word", word, 0) for each, word in zip(part, words, strict=True)):
                return start + len(words) - 1
        return None

    def _is(self, position: int, text: bytes) -> bool:
        return position < len(self.tokens) and self.tokens[position][:2] == ("other", text)
