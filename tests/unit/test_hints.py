"""Next steps in the source: commands that exist, with arguments that they take, and settings that exist."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import shlex
import typing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from haybale import config
from haybale.cli import haybale
from haybale.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(config.__file__).parent

# What stands for a value in a text that is put together.
VALUE = "VALUE"

COMMAND = re.compile(r"`haybale (?P<verb>[a-z-]+)(?P<arguments>[^`]*)`(?P<rest>.?)", re.DOTALL)
# Where a command ends, and other words begin.
ENDS = ("", ";", ",", ")", ".", ":", "\n")

TABLE = re.compile(r"\[tool\.haybale(?:\.(?P<path>[\w.]+))?\]")
# `key = ...` before the table that it belongs to, and behind it.
KEY_IN = re.compile(r"\b(?P<key>[a-z_]+) = \S[^;\n]*? in \[tool\.haybale(?:\.(?P<path>[\w.]+))?\]")
KEY_OF = re.compile(r"\[tool\.haybale(?:\.(?P<path>[\w.]+))?\]:\s(?P<key>[a-z_]+) = ")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """A text in the source: FILE:LINE, its words with `VALUE` for what is put in, whether it is a hint."""

    place: str
    words: str
    is_hint: bool


def join(node: ast.expr) -> str:
    """Return a text as far as it stands in the source."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr():
            return "".join(join(each) for each in node.values)
        case ast.BinOp(op=ast.Add()):
            return join(node.left) + join(node.right)
        case ast.FormattedValue(value=ast.IfExp()):
            return join(node.value)
        case ast.IfExp():
            return join(node.body) or join(node.orelse)
        case _:
            return VALUE


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def hints(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is given as a hint, or as what fixes something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in {"hint", "fix"}:
            yield node.value
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if re.search(r"\b_?hints?\b|HINT", ast.unparse(targets[0])):
                yield node.value


@functools.cache
def texts() -> tuple[Text, ...]:
    """Every text of the package that may be shown."""
    found = []
    for file in sorted(SOURCES.rglob("*.py")):
        if file.name in {"verbs.py", "generated_files.py", "invocation.py"}:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        of_hints = {id(part) for hint in hints(tree) for part in ast.walk(hint)}
        inner = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and is_text(node) and id(node) not in inner | said:
                place = f"{file.relative_to(SOURCES)}:{node.lineno}"
                found.append(Text(place=place, words=join(node), is_hint=id(node) in of_hints))
    return tuple(found)


def commands() -> list[tuple[Text, re.Match[str]]]:
    return [(text, found) for text in texts() for found in COMMAND.finditer(text.words)]


def test_commands_in_messages_are_taken_by_their_verbs() -> None:
    wrong = []
    for text, found in commands():
        command = haybale.commands.get(found["verb"])
        try:
            assert command is not None
            command.make_context(found["verb"], shlex.split(found["arguments"]))
        except (AssertionError, click.ClickException) as error:
            wrong.append(f"{text.place}: {found[0]}: {error}")
    assert wrong == []
    assert len(commands()) > 40


def test_a_command_with_an_option_that_its_verb_has_not_is_found() -> None:
    with pytest.raises(click.ClickException):
        haybale.commands["why"].make_context("why", ["--keep"])


def test_commands_in_hints_end_where_their_clause_ends() -> None:
    """They are shown without quotes: whoever copies one must see where it ends."""
    wrong = [
        f"{text.place}: {found[0]}"
        for text, found in commands()
        if text.is_hint and found["rest"] not in ENDS
    ]
    assert wrong == []


def tables(kind: type, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Yield each table of the settings, with its keys; a name that somebody chooses is *."""
    yield path, frozenset(each.name for each in dataclasses.fields(kind))
    for name, type_ in typing.get_type_hints(kind).items():
        parts = [type_, *typing.get_args(type_)]
        inner = next((each for each in parts if dataclasses.is_dataclass(each)), None)
        if isinstance(inner, type):
            below = () if dataclasses.is_dataclass(type_) else ("*",)
            yield from tables(inner, (*path, name, *below))


def find_table(path: str | None) -> frozenset[str] | None:
    """Return the keys of a table that a text names: None where there is none."""
    wanted = tuple(path.split(".")) if path else ()
    for known, keys in tables(Settings):
        if len(known) == len(wanted) and all(
            one in {"*", two} for one, two in zip(known, wanted, strict=True)
        ):
            return keys
    *above, last = wanted or ("",)
    around = find_table(".".join(above)) if wanted else None
    # A table of variables, or of tables with names of somebody's.
    return frozenset() if around and last in around else None


def test_tables_and_keys_in_messages_are_settings() -> None:
    wrong = []
    for text in texts():
        wrong += [
            f"{text.place}: {found[0]}"
            for found in TABLE.finditer(text.words)
            if VALUE not in found[0] and find_table(found["path"]) is None
        ]
        wrong += [
            f"{text.place}: {found[0]}"
            for pattern in (KEY_IN, KEY_OF)
            for found in pattern.finditer(text.words)
            if VALUE not in f"{found['path']}"
            and found["key"] not in (find_table(found["path"]) or {found["key"]})
        ]
    assert wrong == []


def test_settings_in_hints_exist() -> None:
    """Such as index.heap: a word that begins with the name of a table."""
    known = {".".join(path): keys for path, keys in tables(Settings)}
    first = "|".join(name for name in known if name and "." not in name)
    dotted = re.compile(rf"(?<![\w./-])(?P<table>{first})\.(?P<key>(?!txt)[a-z_]+)\b(?![./(])")
    found = [(text, match) for text in texts() if text.is_hint for match in dotted.finditer(text.words)]
    wrong = [
        f"{text.place}: {match[0]}" for text, match in found if match["key"] not in known[match["table"]]
    ]
    assert wrong == []
    assert len(found) > 10


@pytest.mark.parametrize(
    ("path", "key"),
    [(None, "dump"), ("index", "verify_ignore"), ("environments.dev", "after"), ("test.suites.a", "command")],
)
def test_find_table_knows_tables_with_names_of_somebody_s(path: str | None, key: str) -> None:
    assert key in (find_table(path) or ())
    assert find_table("indexes") is None


# Words of a guess. What is known is said; what is not known is not made up.
GUESSES = re.compile(
    r"\b(probably|perhaps|most likely|likely|seems|might|maybe|possibly|apparently|presumably|may have|"
    r"could be)\b|[a-z]\?\)",
    re.IGNORECASE,
)
# "likely" is a word of `init`, which proposes: whoever reads it decides.
PROPOSED = "adoption/description.py"


def test_messages_guess_nothing() -> None:
    guessed = [
        f"{text.place}: {text.words}"
        for text in texts()
        if GUESSES.search(text.words) and " " in text.words and not text.place.startswith(PROPOSED)
    ]
    assert guessed == []
