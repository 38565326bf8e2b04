"""What a site's settings have written in, compared with what haybale's services are called."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from haybale.addresses import SERVICES, split_address
from haybale.adoption.proposed_environment import WORKDIR
from haybale.adoption.settings_reader import read_settings
from haybale.adoption.written_in import find_written_in
from haybale.config import TABLE
from haybale.doctor.finding import Finding
from haybale.doctor.site import settings_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haybale.adoption.written_in import WrittenIn
    from haybale.config import Settings
    from haybale.doctor.site import SiteFiles

# A key of TOML that needs no quotes.
BARE = re.compile(r"[A-Za-z0-9_-]+")

WHY = "the site would look for it where nothing of haybale's is (read, not run: --deep starts it)"


def check_addresses(files: SiteFiles) -> Iterator[Finding]:
    """Yield what the site's settings (in the step index) have written in and haybale's do not say."""
    settings = files.project.settings
    names = settings_files(files, settings.site.index.settings)
    read = read_settings([(name, files.read(name)) for name in names])
    database = read.database
    kind = "sqlite" if database is None or "sqlite" in (database.engine or "") else "postgresql"
    workdir = settings.site.workdir or (None if settings.dockerfile else WORKDIR)
    found = find_written_in(read, kind=kind, folder=files.folder, workdir=workdir, port=settings.site.port)
    own = "".join(files.read(name) for name in (settings.compose.solr, settings.compose.ci) if name)
    yield from _missing_aliases(found, settings, own)
    for name, written in found.database.items():
        if getattr(settings.database, name) != written and database is not None:
            yield Finding(
                level="warning",
                what=f"{database.place}: the database's {name} is written in, and database.{name} is another",
                why=WHY,
                fix=f"{name} = {_shown(name, written)} in [{TABLE}.database]",
            )


def _missing_aliases(written: WrittenIn, settings: Settings, own: str) -> Iterator[Finding]:
    """Yield the addresses that lead nowhere; `own` is what the repository's compose files say."""
    known = {_normalize(address, service) for address, service in settings.site.aliases.items()}
    for address, service in written.aliases.items():
        host, port, _ = _normalize(address, service)
        if (host, port, service) in known or re.search(rf"\b{re.escape(host)}\b", own):
            continue
        key = address if BARE.fullmatch(address) else json.dumps(address)
        yield Finding(
            level="warning",
            what=f"{written.places[address]}: settings have {host}:{port} written in for {_thing(service)},"
            " and nothing is called so",
            why=WHY,
            fix=f'{key} = "{service}" in [{TABLE}.site.aliases]',
        )


def _normalize(address: str, service: str) -> tuple[str, int, str]:
    host, port = split_address(address)
    return host, port or SERVICES[service][1], service


def _shown(name: str, written: str) -> str:
    """Return a value as TOML has it; a password stays where it is."""
    return '"..."' if name == "password" else json.dumps(written, ensure_ascii=False)


def _thing(service: str) -> str:
    return "Solr" if service == "solr" else "the database"
