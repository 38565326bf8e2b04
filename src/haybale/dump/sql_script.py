"""SQL as the shell `sqlite3` reads it: a statement at a time, and the functions that a dump calls.

The source of the rules is SQLite, src/shell.c.in (process_input, local_getline) and src/func.c (unistrFunc).
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

# Characters read at once of a line without end.
LONGEST_PIECE = 1 << 20
# Bytes that a statement has at the most (SQLite, "Implementation Limits", SQLITE_MAX_SQL_LENGTH).
LONGEST_STATEMENT = 10**9

# What may hold a semicolon that ends nothing, and how that ends (SQLite, src/complete.c).
TOKEN = re.compile(r"""['"`\[;]|--|/\*""")
TOKEN_ENDS = {"'": "'", '"': '"', "`": "`", "[": "]", "--": "\n", "/*": "*/"}
# Blanks and comments; a byte order mark is a blank (src/tokenize.c).
BLANK = re.compile(r"(?:[ \t\n\f\r\ufeff]+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)

# What .dump writes into the place of rows that it could not read.
DAMAGE_NOTE = re.compile(r"/\*{4,} (?:CORRUPTION )?ERROR")

# The shell's own commands that change nothing in a database.
HARMLESS_COMMANDS = frozenset({
    "bail", "changes", "databases", "echo", "eqp", "explain", "header", "headers", "help", "indexes",
    "indices", "limit", "mode", "nullvalue", "once", "output", "print", "progress", "prompt", "scanstats",
    "schema", "separator", "show", "stats", "tables", "timeout", "timer", "trace", "version", "width",
})  # fmt: skip
# Lines that end a statement, as Oracle's and SQL Server's shells have them.
END_LINES = ("/", "go")

ESCAPE = re.compile(
    r"\\(?:(?P<itself>\\)|(?P<four>[0-9A-Fa-f]{4})|\+(?P<six>[0-9A-Fa-f]{6})|u(?P<u>[0-9A-Fa-f]{4})"
    r"|U(?P<U>[0-9A-Fa-f]{8})|)"
)
CONTROL = re.compile(r"[\x01-\x1f]")


class ScriptError(ValueError):
    """SQL that is not run; the text says why, `line` (from 1) where."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement, the line (from 1) at which it begins, and whether its end is there."""

    text: str
    line: int
    is_ended: bool


def read_statements(script: TextIO) -> Iterator[Statement]:
    r"""Yield the statements of a script, opened with newline="\n"; only one of them is in memory.

    Raises `ScriptError` for what the shell would do and this does not, and for a dump of a damaged database.
    """
    splitter, is_line_start = _Splitter(), True
    for piece in _pieces(script):
        if is_line_start and splitter.is_between_statements() and piece.startswith((".", "#")):
            _check_command(piece, splitter.last_line())
            splitter.skip(piece)
        elif is_line_start and piece.strip().lower() in END_LINES and splitter.can_end():
            yield from splitter.add(";\n")
        else:
            yield from splitter.add(piece)
        is_line_start = piece.endswith("\n")
    if not splitter.is_between_statements():
        yield splitter.rest()
    else:
        splitter.rest()


class _Splitter:
    """Cuts statements off a script that comes in pieces; each character is searched once."""

    def __init__(self) -> None:
        # What is not yet given; the line at which it begins, up to where it was searched, and what ends the
        # token that this is in.
        self._text, self._line, self._position, self._token_end = "", 1, 0, ""

    def is_between_statements(self) -> bool:
        return not self._token_end and BLANK.fullmatch(self._text) is not None

    def can_end(self) -> bool:
        is_open = not self._token_end and not self.is_between_statements()
        return is_open and sqlite3.complete_statement(f"{self._text};")

    def last_line(self) -> int:
        return self._line + self._text.count("\n")

    def skip(self, piece: str) -> None:
        self._line += piece.count("\n")

    def rest(self) -> Statement:
        return _statement(self._text, self._line, is_ended=False)

    def add(self, piece: str) -> Iterator[Statement]:
        if "\0" in piece:
            raise ScriptError(self.last_line(), "it holds a NUL, at which a line ends for SQLite")
        self._text += piece
        if len(self._text) > LONGEST_STATEMENT + LONGEST_PIECE:
            raise ScriptError(
                self.last_line(), f"it has more than {LONGEST_STATEMENT} characters, SQLite's limit"
            )
        begin = 0
        while self._find_semicolon():
            statement = self._text[begin : self._position]
            if sqlite3.complete_statement(statement):
                yield _statement(statement, self._line, is_ended=True)
                self._line += statement.count("\n")
                begin = self._position
        if begin:
            self._text, self._position = self._text[begin:], self._position - begin

    def _find_semicolon(self) -> bool:
        """Go on behind the next semicolon that is in no token; return whether there is one yet."""
        while True:
            if self._token_end:
                found = self._text.find(self._token_end, self._position)
                if found < 0:
                    # The first half of what ends a token may be there.
                    self._position = max(self._position, len(self._text) - len(self._token_end) + 1)
                    return False
                self._position, self._token_end = found + len(self._token_end), ""
            token = TOKEN.search(self._text, self._position)
            if token is None:
                self._position = max(self._position, len(self._text) - 1)
                return False
            self._position = token.end()
            if token[0] == ";":
                return True
            self._token_end = TOKEN_ENDS[token[0]]


def _pieces(script: TextIO) -> Iterator[str]:
    """Yield the lines, of a very long one its pieces; CR LF becomes LF, also in texts, as in the shell."""
    while piece := script.readline(LONGEST_PIECE):
        if piece.endswith("\r"):
            piece += script.readline(1)
        yield f"{piece[:-2]}\n" if piece.endswith("\r\n") else piece


def _check_command(piece: str, line: int) -> None:
    command = piece[1:].split(maxsplit=1)[:1]
    if piece.startswith(".") and not HARMLESS_COMMANDS.issuperset(command):
        name = "".join(command)
        raise ScriptError(line, f".{name} is a command of the shell sqlite3, not SQL")


def _statement(text: str, line: int, *, is_ended: bool) -> Statement:
    blank = BLANK.match(text)
    size = blank.end() if blank else 0
    begins = line + text.count("\n", 0, size)
    if size and (note := DAMAGE_NOTE.search(text, 0, size)):
        noted = text[note.start() : text.index("*/", note.start()) + 2]
        raise ScriptError(line + text.count("\n", 0, note.start()), noted)
    return Statement(text=text, line=begins, is_ended=is_ended)


def add_functions(database: sqlite3.Connection) -> None:
    """Add what the newest shell knows and this SQLite does not: unistr, unistr_quote, REGEXP."""

    def unistr_quote(value: object) -> str:
        if isinstance(value, str) and CONTROL.search(text := value.split("\0", 1)[0]):
            escaped = text.replace("\\", "\\\\").replace("'", "''")
            escaped = CONTROL.sub(lambda found: rf"\u{ord(found[0]):04x}", escaped)
            return f"unistr('{escaped}')"
        # The SQLite that a function belongs to is busy while it runs.
        with contextlib.closing(sqlite3.connect(":memory:")) as quoting:
            ((quoted,),) = quoting.execute("SELECT quote(?)", (value,))
        return str(quoted)

    functions = database.execute("SELECT DISTINCT CAST(name AS BLOB) FROM pragma_function_list")
    known = {bytes(name).decode().lower() for (name,) in functions}
    if "unistr" not in known:
        database.create_function("unistr", 1, unistr, deterministic=True)
        database.create_function("unistr_quote", 1, unistr_quote, deterministic=True)
    if "regexp" not in known:
        database.create_function("regexp", 2, regexp, deterministic=True)


def unistr(value: object) -> str | None:
    r"""Return a text with its escapes resolved: \XXXX, \uXXXX, \+XXXXXX, \UXXXXXXXX, \\.

    Raises `ValueError` where an escape is not one of these.
    """
    if value is None:
        return None

    def resolve(escape: re.Match[str]) -> str:
        if escape["itself"]:
            return "\\"
        digits = escape["four"] or escape["six"] or escape["u"] or escape["U"]
        if not digits:
            raise ValueError("invalid Unicode escape")
        return chr(int(digits, 16))

    text = value.decode() if isinstance(value, bytes) else str(value)
    return ESCAPE.sub(resolve, text)


def regexp(pattern: object, value: object) -> bool | None:
    """Return whether a pattern is found in a value, as Django's own function for SQLite does."""
    return None if pattern is None or value is None else bool(re.search(str(pattern), str(value)))
