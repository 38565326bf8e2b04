"""A site's settings, read and not run: its variables, its database, its Haystack connections.

What is worked out only when Django starts is not seen; what is written down is. The variables are those of
`os.environ`, and of the libraries that read it: environs, django-environ, python-decouple, dj-database-url.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")

SOLR_ENGINE = "solr"


class Purpose(Enum):
    """What a variable is for, by the setting that it goes into."""

    SECRET_KEY = "the secret key"  # noqa: S105 - no password
    HOSTS = "the hosts that the site answers for"
    ORIGINS = "the origins that forms may come from"
    DEBUG = "whether this is development"
    FOLDER = "the site's folder"
    DATABASE_URL = "the database, as a URL"
    DATABASE_ENGINE = "the database's engine"
    DATABASE_NAME = "the database's name"
    DATABASE_USER = "the database's user"
    DATABASE_PASSWORD = "the database's password"  # noqa: S105 - no password
    DATABASE_HOST = "the database's host"
    DATABASE_PORT = "the database's port"
    SOLR = "Solr"


@dataclass(frozen=True, kw_only=True)
class Variable:
    """An environment variable that settings read.

    `is_required`: they do not start without it. `default` is what they take instead, where that is written
    down; `place` the file and line that reads it.
    """

    name: str
    is_required: bool
    place: str
    default: str | None = None
    purpose: Purpose | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A variable's place in a text; `default` is what stands there without it."""

    variable: str
    default: str | None = None


# Stands for a part of a text that is not known; no URL has it.
UNKNOWN = "\0"

# A text as settings put it together: what is written, variables, and None for what only Django knows.
Template = tuple["str | Reference | None", ...]


@dataclass(frozen=True, kw_only=True)
class Connection:
    """An entry of HAYSTACK_CONNECTIONS: engine, and URL as far as they are written down; where it is."""

    alias: str
    engine: str | None
    url: Template
    place: str

    @property
    def is_solr(self) -> bool:
        """Whether its engine is one of Solr's."""
        return self.engine is not None and SOLR_ENGINE in self.engine.lower()

    @property
    def core(self) -> str | None:
        """The core that its URL names, with the defaults of its variables."""
        return self.core_with({})

    def core_with(self, values: Mapping[str, str]) -> str | None:
        """Return the core that its URL names where variables have these values, and else their defaults."""
        parts = (
            values.get(each.variable, each.default) if isinstance(each, Reference) else each
            for each in self.url
        )
        core = core_of("".join(UNKNOWN if each is None else each for each in parts))
        return None if core is None or UNKNOWN in core else core


@dataclass(frozen=True, kw_only=True)
class Database:
    """The default entry of DATABASES: its engine and the options that are written down, and where it is.

    `path` is that of its file, as `file_paths.PathReader` reads it; None where it is not written down.
    """

    engine: str | None
    options: Mapping[str, Template]
    place: str
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """What settings say, as far as reading tells."""

    variables: tuple[Variable, ...] = ()
    connections: tuple[Connection, ...] = ()
    database: Database | None = None
    # The other names in DATABASES, each with its FILE:LINE.
    further_databases: Mapping[str, str] = field(default_factory=dict)
    # The hosts of ALLOWED_HOSTS, where they are written down; () where they come from elsewhere.
    hosts: tuple[str, ...] = ()
    # Variables of the files that settings read on their own: read_env(), load_dotenv().
    is_env_file_read: bool = False


def find_settings_module(manage: str) -> str | None:
    """Return the settings module that a manage.py (or a wsgi.py) names, None where it names none."""
    for call in (node for node in ast.walk(ast.parse(manage)) if isinstance(node, ast.Call)):
        if [text_of(each) for each in call.args[:1]] == ["DJANGO_SETTINGS_MODULE"] and call.args[1:]:
            texts = [text_of(node) for node in ast.walk(call.args[1])]
            # The second argument may read a variable itself: its default is the module.
            return next((each for each in texts if each and not VARIABLE.fullmatch(each)), None)
    return None


def core_of(url: str) -> str | None:
    """Return the core that a URL of Solr's names; None for the URL of all of them."""
    _, found, core = url.rstrip("/").rpartition("/solr/")
    return core if found and core and "/" not in core else None


def as_text(template: Template) -> str | None:
    """Return a template's text with the defaults of its variables; None where a part is not known."""
    parts = [each.default if isinstance(each, Reference) else each for each in template]
    return None if None in parts or not parts else "".join(filter(None, parts))


def imported_modules(text: str) -> list[str]:
    """Return the modules that a settings module takes everything from, as written (`.base`, `site.base`)."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names):
            found.append("." * node.level + (node.module or ""))
        # django-split-settings: include("components/base.py", optional("local.py")).
        if isinstance(node, ast.Call) and last_name(node.func) in {"include", "optional"}:
            names = [text for text in map(text_of, node.args) if text and text.endswith(".py")]
            found += ["." + name.removesuffix(".py").replace("/", ".") for name in names]
    return found


def text_of(node: ast.AST | None) -> str | None:
    """Return the text of a constant that is one."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def last_name(node: ast.expr) -> str | None:
    """Return the last part of a dotted name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
