"""The addresses, names and passwords that a site has written in, as settings of haybale's that fit them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haybale.addresses import (
    ADDRESS,
    POSTGRESQL_HOST,
    POSTGRESQL_PORT,
    SOLR_HOST,
    SOLR_PORT,
    find_conflicts,
)
from haybale.adoption.file_paths import path_in_image
from haybale.adoption.site_settings import Reference
from haybale.config import DatabaseSettings
from haybale.images.site_services import SQLITE_PATH

if TYPE_CHECKING:
    from haybale.adoption.site_settings import Connection, Database, SiteSettings, Template

# The beginning of a URL, to the end of its host and port.
URL = re.compile(r"(?P<scheme>https?)://(?:[^@/]*@)?(?P<host>[^/:]+)(?::(?P<port>[0-9]+))?(?P<path>/.*)?")

# Django's options of a database, as haybale's settings have them.
OPTIONS = {"NAME": "name", "USER": "user", "PASSWORD": "password"}


@dataclass(kw_only=True)
class WrittenIn:
    """What settings have written in: `site.aliases`, parts of `database`, and what no setting can help.

    `places` has the FILE:LINE of each alias.
    """

    aliases: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    database: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add_alias(self, host: str, port: int | None, service: str, place: str) -> None:
        """Note that a service is to be found at an address, or what is against that."""
        own, usual = (SOLR_HOST, SOLR_PORT) if service == "solr" else (POSTGRESQL_HOST, POSTGRESQL_PORT)
        if (host, port or usual) == (own, usual):
            return
        address = host if port in {None, usual} else f"{host}:{port}"
        if re.fullmatch(ADDRESS, address):
            self.aliases[address] = service
            self.places[address] = place
        else:
            self.notes.append(
                f"{place}: {address} is written in, and no container has that address: let settings read it"
                " from a variable"
            )


def find_written_in(
    settings: SiteSettings, *, kind: str, folder: str, workdir: str | None, port: int
) -> WrittenIn:
    """Return what a site's settings have written in.

    `kind` is the dump's database (sqlite or postgresql), `folder` the site's, `workdir` where that is in the
    image (None where that is not known), `port` the site's own.
    """
    found = WrittenIn()
    for connection in settings.connections:
        if connection.is_solr:
            _add_solr(found, connection)
    if settings.database and kind == "postgresql":
        _add_postgresql(found, settings.database)
    elif settings.database and "sqlite" in (settings.database.engine or ""):
        _add_sqlite(found, settings.database, folder, workdir)
    for name, place in settings.further_databases.items():
        found.notes.append(
            f"{place}: DATABASES has {name} as well, and haybale restores one dump, that of default: what"
            f' makes {name} goes into database.commands, such as "migrate --noinput --database {name}"'
        )
    for conflict in [*find_conflicts(found.aliases, port)]:
        found.notes.append(f"site.aliases: {conflict}; let settings read the address from a variable")
        found.aliases.clear()
    return found


def _add_solr(found: WrittenIn, connection: Connection) -> None:
    match = URL.fullmatch(_written_part(connection.url))
    if match is None or (
        match["path"] is None and any(isinstance(each, Reference) for each in connection.url)
    ):
        return
    if match["scheme"] == "https":
        found.notes.append(
            f"{connection.place}: the connection {connection.alias} is always {match[0]}, and haybale's Solr"
            ' speaks no TLS: let settings read it, such as os.environ.get("SOLR_URL")'
        )
        return
    found.add_alias(match["host"].lower(), int(match["port"] or 80), "solr", connection.place)


def _add_postgresql(found: WrittenIn, database: Database) -> None:
    options = {name: _literal(template) for name, template in database.options.items()}
    defaults = DatabaseSettings()
    for option, setting in OPTIONS.items():
        value = options.get(option)
        if value and value != getattr(defaults, setting):
            found.database[setting] = value
    host, port = options.get("HOST") or "", options.get("PORT") or ""
    if host.startswith("/"):
        found.notes.append(
            f"{database.place}: the database is always at the socket {host}, which no other container has:"
            ' let settings read it, such as os.environ.get("PGHOST")'
        )
    elif host or port:
        number = int(port) if port.isdecimal() else None
        # Without a HOST, it is that of the variable PGHOST, which haybale sets.
        found.add_alias(host.lower() or POSTGRESQL_HOST, number, "database", database.place)
    if not options.get("NAME") and not _has_variable(database):
        found.notes.append(
            f"{database.place}: nothing that can be read says where the database is; let settings read it,"
            ' such as os.environ["DATABASE_URL"] with dj-database-url'
        )


def _add_sqlite(found: WrittenIn, database: Database, folder: str, workdir: str | None) -> None:
    if _has_variable(database):
        return
    path = path_in_image(database.path, folder, workdir) if database.path else None
    if path is None:
        found.notes.append(
            f"{database.place}: it cannot be read where in the image the database is; set database.path, or"
            ' let settings read it, such as os.environ["DATABASE_URL"] with dj-database-url'
        )
    elif path != SQLITE_PATH:
        found.database["path"] = path


def _has_variable(database: Database) -> bool:
    return any(isinstance(part, Reference) for each in database.options.values() for part in each)


def _written_part(template: Template) -> str:
    """Return the text before what comes from a variable, or is not known."""
    written = ""
    for each in template:
        if not isinstance(each, str):
            break
        written += each
    return written


def _literal(template: Template) -> str | None:
    """Return a text that is written down whole."""
    return "".join(map(str, template)) if all(isinstance(each, str) for each in template) else None
