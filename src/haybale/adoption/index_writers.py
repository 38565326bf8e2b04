"""What changes a site's index while the site runs or is tested: read, not run.

A baked Solr answers searches only unless `index.serve` is "open" (docs/adr/0028), and Haystack fails
silently: a site that relies on such a change would not see that it is refused.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import last_name, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SETTING = "HAYSTACK_SIGNAL_PROCESSOR"
# The one of Haystack's that does nothing (haystack/signals.py).
IDLE = "BaseSignalProcessor"

# Haystack's commands that change an index, and the methods of its SearchIndex (haystack/indexes.py).
COMMANDS = frozenset({"update_index", "rebuild_index", "clear_index"})
METHODS = frozenset({"update_object", "remove_object"})

# Where commands are that a person or a timer starts: the site does not, and neither do its tests as a rule.
OWN_COMMANDS = "/management/commands/"


@dataclass(frozen=True, kw_only=True)
class IndexWriter:
    """Something that changes the index: its name in the code, and where that is (FILE:LINE)."""

    name: str
    place: str


def find_index_writers(
    settings_files: Iterable[str], site_files: Iterable[str], read: Callable[[str], str]
) -> Sequence[IndexWriter]:
    """Return what changes the index: the signal processor of the settings, then calls in the site's code.

    Files that are no Python are passed over, as are commands of the site's own. A class that defines such a
    method, or calls it of its parent, changes nothing by that.
    """
    found: list[IndexWriter] = []
    for file in settings_files:
        found += _processors(file, _parse(read(file)))
    for file in site_files:
        if not file.endswith(".py") or OWN_COMMANDS in f"/{file}":
            continue
        text = read(file)
        if any(word in text for word in (*COMMANDS, *METHODS)):
            found += _calls(file, _parse(text))
    return found


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _processors(file: str, module: ast.Module) -> Iterator[IndexWriter]:
    for node in ast.walk(module):
        if not isinstance(node, ast.Assign) or SETTING not in {last_name(each) for each in node.targets}:
            continue
        name = (text_of(node.value) or "").rpartition(".")[2]
        if name and name != IDLE:
            yield IndexWriter(name=name, place=f"{file}:{node.lineno}")


def _calls(file: str, module: ast.Module) -> Iterator[IndexWriter]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and (name := _writes(node)):
            yield IndexWriter(name=name, place=f"{file}:{node.lineno}")


def _writes(call: ast.Call) -> str | None:
    """Return the command or method by which a call changes the index, None where it does not."""
    name = last_name(call.func)
    if name == "call_command" and call.args:
        command = text_of(call.args[0])
        return command if command in COMMANDS else None
    is_own = isinstance(call.func, ast.Attribute) and not _is_super(call.func.value)
    return name if is_own and name in METHODS else None


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "super"
