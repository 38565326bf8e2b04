"""Which cores an index has where no setting says so: those that the site's Haystack connections name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from haybale.config import CORE
from haybale.errors import ConfigError
from haybale.index.loader import loader_command, read_events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.tools.engine.compose import Compose

# What HAYBALE_CORE is while the site is asked: no core can be called so.
UNSET = "-haybale-core-is-not-set"


def ask_site(services: Compose) -> tuple[str, ...]:
    """Ask the site, in a container of its own, which cores its connections name; nothing else is started.

    Raises `LoadError` where the site does not start, `ConfigError` where a URL names no core.
    """
    services.write_files()
    try:
        lines = services.run_alone("loader", loader_command(inputs=None, list_cores=True))
        (event,) = [each for each in read_events(lines, "cores") if each["event"] == "cores"]
    finally:
        services.down()
        services.remove_files()
    return check_cores(event["cores"])


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
