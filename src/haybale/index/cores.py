"""What the site itself says of its cores: which its Haystack connections name, and which fields they have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from haybale.config import CORE
from haybale.errors import ConfigError
from haybale.index.loader import loader_command, read_events
from haybale.index.own_configuration import SiteSchema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.tools.engine.compose import Compose

# What HAYBALE_CORE is while the site is asked: no core can be called so.
UNSET = "-haybale-core-is-not-set"


def ask_site(services: Compose) -> tuple[str, ...]:
    """Ask the site, in a container of its own, which cores its connections name; nothing else is started.

    Raises `LoadError` where the site does not start, `ConfigError` where a URL names no core.
    """
    return check_cores(_ask(services, "cores", loader_command(inputs=None, list_cores=True))["cores"])


def ask_schemas(services: Compose) -> dict[str, SiteSchema]:
    """Ask the site, in a container of its own, which fields each of its cores has; nothing else is started.

    Raises `LoadError` where the site does not start, or has a field of a core in two ways.
    """
    event = _ask(services, "schemas", loader_command(inputs=None, describe_schemas=True))
    return {core: SiteSchema.from_event(each) for core, each in event["schemas"].items()}


def _ask(services: Compose, wanted: str, command: Sequence[str]) -> Mapping[str, Any]:
    """Return the one event that a command of the loader sends, in a container of its own."""
    services.write_files()
    try:
        lines = services.run_alone("loader", command)
        (event,) = [each for each in read_events(lines, wanted) if each["event"] == wanted]
    finally:
        services.down()
        services.remove_files()
    return event


def check_cores(connections: Mapping[str, str]) -> tuple[str, ...]:
    """Return the cores of connections (alias -> core), each once; `ConfigError` where one is none."""
    for alias, core in connections.items():
        if core == UNSET:
            raise ConfigError(
                f"the Haystack connection {alias} has the core that haybale is to name",
                cause="its URL comes from a variable with {core} or {solr_url} in it",
                hint='set core = "NAME", or have the site make its URLs from {solr_base_url}',
            )
        if not re.fullmatch(CORE, core):
            raise ConfigError(
                f"the URL of the Haystack connection {alias} ends with {core!r}, which is no core's name",
                cause="it is http://HOST:8983/solr/CORE",
                hint="correct HAYSTACK_CONNECTIONS",
            )
    if not connections:
        raise ConfigError(
            "HAYSTACK_CONNECTIONS has no connection to Solr",
            cause="no ENGINE there is Solr's, with the settings that the site's container has",
            hint="look at HAYSTACK_CONNECTIONS; haybale indexes with Solr",
        )
    return tuple(dict.fromkeys(connections.values()))
