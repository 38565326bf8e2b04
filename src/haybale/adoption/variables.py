"""What a site's variables are to be where haybale runs it: placeholders for what it knows, else values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import Purpose, Reference, Variable, core_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.adoption.site_settings import Connection, Template

SECRET = "only-for-tests"  # noqa: S105 - no password

DATABASE_PLACEHOLDERS = {
    Purpose.DATABASE_URL: "{database_url}", Purpose.DATABASE_USER: "{database_user}",
    Purpose.DATABASE_PASSWORD: "{database_password}", Purpose.DATABASE_HOST: "{database_host}",
    Purpose.DATABASE_PORT: "{database_port}",
}  # fmt: skip

# What variables of the site's database begin with.
OF_DATABASE = "(POSTGRES|POSTGRESQL|DATABASE|DB|SQL)"

# Purposes by the name, for variables that go into no setting that is known here.
NAMES = (
    (re.compile(r"(\w+_)?SECRET_KEY"), Purpose.SECRET_KEY),
    (re.compile(r"(\w+_)?ALLOWED_HOSTS?"), Purpose.HOSTS),
    (re.compile(r"(\w+_)?(DATABASE|DB)_(URL|URI|DSN)"), Purpose.DATABASE_URL),
    (re.compile(rf"{OF_DATABASE}_(HOST|HOSTNAME)"), Purpose.DATABASE_HOST),
    (re.compile(rf"{OF_DATABASE}_PORT"), Purpose.DATABASE_PORT),
    (re.compile(rf"{OF_DATABASE}_(USER|USERNAME)"), Purpose.DATABASE_USER),
    (re.compile(rf"{OF_DATABASE}_(PASSWORD|PASS)"), Purpose.DATABASE_PASSWORD),
    (re.compile(rf"{OF_DATABASE}_(DB|NAME|DATABASE)"), Purpose.DATABASE_NAME),
)
# What does not go to the service of the name, although it may look like it.
NOT_SECRET_KEYS = re.compile(r"AWS|S3|API|RECAPTCHA|STRIPE|SOCIAL|OAUTH|MINIO", re.IGNORECASE)

# Variables whose values are read as soon as the site starts: Sentry's client takes no text for its address.
EMPTY = re.compile(r"(\w+_)?SENTRY_(\w+_)?DSN")

# What a port or an engine of another database is called.
ENGINE_WORDS = {"sqlite": "sqlite3", "postgresql": "postgresql"}


@dataclass(frozen=True, kw_only=True)
class Question:
    """A variable that the site does not start without, and whose value stands nowhere; `default` is taken."""

    variable: str
    place: str
    default: str = SECRET


def value_for_tests(name: str) -> str:
    """Return a value for a variable that nothing says the value of."""
    return "" if EMPTY.fullmatch(name) else SECRET


def purpose_of(variable: Variable) -> Purpose | None:
    """Return what a variable is for: by the setting that it goes into, else by its name."""
    if variable.purpose is not None:
        return variable.purpose
    for pattern, purpose in NAMES:
        is_meant = pattern.fullmatch(variable.name) and not NOT_SECRET_KEYS.search(variable.name)
        if is_meant and (variable.is_required or purpose is not Purpose.SECRET_KEY):
            return purpose
    return None


def database_value(purpose: Purpose, template: Template, kind: str) -> str | None:
    """Return the value of a variable of DATABASES; `kind` is the dump's database, `template` its option.

    None for a purpose that is not the database's.
    """
    if purpose is Purpose.DATABASE_ENGINE:
        # Where only the last part of Django's name comes from the variable, it gets that.
        is_whole = len(template) == 1
        return "{database_engine}" if is_whole else ENGINE_WORDS.get(kind.lower(), "postgresql")
    if purpose is Purpose.DATABASE_NAME:
        return "{sqlite_path}" if kind.lower() == "sqlite" else "{database_name}"
    return DATABASE_PLACEHOLDERS.get(purpose)


def solr_values(connections: Sequence[Connection], values: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the variables that the URLs of Solr's connections are made of.

    `values` are those that other files have: they tell a core where settings have no default.
    """
    found: dict[str, str] = {}
    first = next((each for each in connections if each.is_solr), None)
    for connection in connections:
        if connection.is_solr or connection.engine is None:
            for number, part in enumerate(connection.url):
                if isinstance(part, Reference) and part.variable not in found:
                    before, after = connection.url[:number], connection.url[number + 1 :]
                    example = values.get(part.variable) or part.default or ""
                    is_first = connection is first
                    found[part.variable] = _solr_value(
                        _known(before), _known(after), example, is_first=is_first
                    )
    return found


def _known(template: Template) -> str:
    """Return a text with an x for each part that is not known."""
    return "".join(each if isinstance(each, str) else "x" for each in template)


def _solr_value(before: str, after: str, example: str, *, is_first: bool) -> str:
    """Return the value of a variable in a URL of Solr's, by the text before it and after it.

    `example` is a value that it has elsewhere, "" where there is none.
    """
    core, own_core = ("{core}" if is_first or not example else example), core_of(example)
    rules = (
        (before.endswith("/solr/"), core),
        (before.endswith("://"), "{solr_host}" if after.startswith(":") else "{solr_host}:{solr_port}"),
        (before.endswith(":"), "{solr_port}"),
        ("/" in before, core),
        # Nothing stands before it: a whole URL, or its beginning.
        (after.startswith("/solr"), "http://{solr_host}:{solr_port}"),
        (after.startswith("/") and after != "/", "{solr_base_url}"),
        (bool(after.strip("/")), "{solr_base_url}/"),
        (is_first or own_core is None, "{solr_url}"),
    )
    return next((value for is_so, value in rules if is_so), f"{{solr_base_url}}/{own_core}")


def to_service(value: str, services: Sequence[str]) -> str | None:
    """Return a URL or a host on this machine with the service of its kind instead; None where that is none.

    redis://localhost:6379/0 becomes redis://redis:6379/0 where there is a service of that name.
    """
    match = re.fullmatch(
        r"(?P<scheme>(?:(?P<kind>[a-z]+)s?://)?(?:[^@/]*@)?)(?P<host>localhost|127\.0\.0\.1)(?P<rest>[:/].*)?",
        value,
    )
    if match is None:
        return None
    ports = {
        "6379": ("redis", "valkey", "keydb"),
        "11211": ("memcached",),
        "5672": ("rabbitmq", "mq", "amqp"),
    }
    port = re.match(r":([0-9]+)", match["rest"] or "")
    kinds = (match["kind"] or "", *(ports.get(port[1], ()) if port else ()))
    kinds += ("rabbitmq", "mq") if match["kind"] == "amqp" else ()
    service = next((each for each in services if any(kind and kind in each for kind in kinds)), None)
    return f"{match['scheme']}{service}{match['rest'] or ''}" if service else None
