"""What settings cannot do without and git has not: modules of one's own, files that a deployment brings."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import last_name, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What reads a file: configparser, open(), django-environ, python-dotenv.
READERS = {"open", "read", "read_file", "read_env", "load_dotenv"}

# How an example is told from what is made of it.
EXAMPLE = "example|sample|template|dist|default"


@dataclass(frozen=True, kw_only=True)
class LocalModule:
    """A module that settings cannot do without, and that git has not: its file, from the root.

    `place` imports it; `example` is the file that it is made of, None where there is none.
    """

    path: str
    place: str
    example: str | None


def find_example(path: str, files: Sequence[str]) -> str | None:
    """Return the example of a module (local.example.py, local.py.example, local_example.py and so on)."""
    file = PurePosixPath(path)
    stem = re.escape(file.stem)
    name = re.compile(
        rf"{stem}[._-]({EXAMPLE})\.py|{stem}\.py[._-]({EXAMPLE})|({EXAMPLE})[._-]{stem}\.py", re.IGNORECASE
    )
    inside = (PurePosixPath(each) for each in files)
    found = (each for each in inside if each.parent == file.parent and name.fullmatch(each.name))
    return next(map(str, found), None)


def needed_imports(text: str) -> dict[str, int]:
    """Return the modules that a settings module cannot start without, as written, with their lines.

    An import that is tried, and whose failure is passed over, is not among them.
    """
    return dict(_needed(ast.parse(text).body))


def read_files(text: str) -> dict[str, int]:
    """Return the files that a settings module reads by a path that is written down, with lines."""
    found = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and last_name(node.func) in READERS:
            path = text_of(node.args[0]) if node.args else None
            if path:
                found[path] = node.lineno
    return found


def _needed(body: Sequence[ast.stmt]) -> Iterator[tuple[str, int]]:
    for statement in body:
        if isinstance(statement, ast.ImportFrom) and any(each.name == "*" for each in statement.names):
            yield "." * statement.level + (statement.module or ""), statement.lineno
