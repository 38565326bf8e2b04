"""The Solr cores that the site's Haystack connections name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

from haystack import connections
from haystack.backends.solr_backend import SolrSearchBackend

from .documents.solr import Core
from .events import Failure

if TYPE_CHECKING:
    from .events import Events


def find_cores() -> dict[str, str]:
    """Return the core of each of the site's connections to Solr, by the connection's alias."""
    cores = {}
    for alias, options in connections.connections_info.items():
        if isinstance(connections[alias].get_backend(), SolrSearchBackend):
            cores[alias] = Core(options["URL"], options.get("KWARGS", {})).name
    return cores


def send_cores(events: Events) -> None:
    """Send the event `cores`."""
    events.send("cores", cores=find_cores())


def require_cores(expected: Sequence[str]) -> None:
    """Make sure that the site's connections name just these cores; () for any. Raises `Failure`."""
    found = find_cores()
    if expected and {*found.values()} != {*expected}:
        raise Failure(
            "HAYSTACK_CONNECTIONS names {}; the setting `core` is {}".format(
                ", ".join("{} (connection {})".format(core, alias) for alias, core in found.items())
                or "no core",
                ", ".join(expected),
            ),
            cause="the URLs of the site's connections, as its container has them, end with other cores",
            hint="make them the same, or leave `core` out: then it is what HAYSTACK_CONNECTIONS names",
        )
