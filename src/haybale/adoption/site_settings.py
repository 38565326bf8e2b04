"""A site's settings, read and not run: its Haystack connections, and the variables that it reads.

What is worked out only when Django starts is not seen; what is written down is.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What reads a variable, by the last part of its name: os.getenv, os.environ.get, environs' and
# django-environ's env(...), env.str(...), decouple's config(...), dj_database_url.config(env=...).
READERS = {"getenv", "config", "env"}
ENVIRONMENTS = {"environ", "env", "ENV"}
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")

SOLR_ENGINE = "solr"


@dataclass(frozen=True, kw_only=True)
class Variable:
    """An environment variable that settings read, and whether they do without it; `line` is from 1."""

    name: str
    is_required: bool
    line: int


@dataclass(frozen=True, kw_only=True)
class Connection:
    """An entry of HAYSTACK_CONNECTIONS: engine and core as far as they are written down, else None."""

    alias: str
    engine: str | None
    core: str | None
    line: int

    @property
    def is_solr(self) -> bool:
        """Whether its engine is one of Solr's."""
        return self.engine is not None and SOLR_ENGINE in self.engine.lower()


def find_settings_module(manage: str) -> str | None:
    """Return the settings module that a manage.py names, None where it names none."""
    for call in _calls(ast.parse(manage)):
        texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
        if texts[:1] == ["DJANGO_SETTINGS_MODULE"] and isinstance(texts[-1], str) and texts[1:]:
            return texts[-1]
    return None


def find_connections(settings: str) -> list[Connection]:
    """Return the Haystack connections that settings write down; raises `SyntaxError`."""
    found = []
    for node in ast.walk(ast.parse(settings)):
        value = _assigned(node, "HAYSTACK_CONNECTIONS")
        if not isinstance(value, ast.Dict):
            continue
        for key, options in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(options, ast.Dict):
                url = _first_url(_entry(options, "URL"))
                found.append(
                    Connection(
                        alias=str(key.value),
                        engine=_text(_entry(options, "ENGINE")),
                        core=url.rstrip("/").rpartition("/solr/")[2] or None if url else None,
                        line=key.lineno,
                    )
                )
    return found


def find_variables(settings: str) -> list[Variable]:
    """Return the environment variables that settings read, each once; raises `SyntaxError`."""
    found: dict[str, Variable] = {}
    for each in _variables(ast.parse(settings)):
        before = found.get(each.name)
        if before is None or (before.is_required and not each.is_required):
            found[each.name] = each
    return list(found.values())


def _variables(tree: ast.AST) -> Iterator[Variable]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _last_name(node.value) in ENVIRONMENTS:
            name, is_required = _text(node.slice), True
        elif isinstance(node, ast.Call) and _reads_variable(node.func):
            name = _text(node.args[0]) if node.args else _keyword(node, "env")
            is_required = not node.args[1:] and _keyword_node(node, "default") is None
            # These give None, or read a variable of a name of their own.
            is_required &= _last_name(node.func) not in {"getenv", "get"} and bool(node.args)
        else:
            continue
        if name and VARIABLE.fullmatch(name):
            yield Variable(name=name, is_required=is_required, line=node.lineno)


def _reads_variable(function: ast.expr) -> bool:
    """Return whether a call reads a variable: getenv(), env(), env.str(), os.environ.get()."""
    if _last_name(function) in READERS:
        return True
    return isinstance(function, ast.Attribute) and _last_name(function.value) in ENVIRONMENTS


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _assigned(node: ast.AST, name: str) -> ast.expr | None:
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    is_it = any(isinstance(each, ast.Name) and each.id == name for each in targets)
    return node.value if is_it and isinstance(node, ast.Assign | ast.AnnAssign) else None


def _entry(options: ast.Dict, name: str) -> ast.expr | None:
    pairs = zip(options.keys, options.values, strict=True)
    return next((value for key, value in pairs if key is not None and _text(key) == name), None)


def _first_url(node: ast.expr | None) -> str | None:
    """Return the first URL of Solr's that is written in an expression, such as a variable's default."""
    for each in ast.walk(node) if node is not None else ():
        text = _text(each)
        if text and "/solr/" in text:
            return text
    return None


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _keyword_node(call: ast.Call, name: str) -> ast.expr | None:
    return next((each.value for each in call.keywords if each.arg == name), None)


def _keyword(call: ast.Call, name: str) -> str | None:
    return _text(_keyword_node(call, name))


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
