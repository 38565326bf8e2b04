"""Where haybale's services answer, and how they are found under the addresses that a site has written in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOLR_HOST, SOLR_PORT = "solr", 8983
POSTGRESQL_HOST, POSTGRESQL_PORT = "postgres", 5432
SITE_HOST = "web"

# What an address may lead to: the name in the settings, the service of compose, and the port that it has.
SERVICES: Mapping[str, tuple[str, int]] = {
    "database": (POSTGRESQL_HOST, POSTGRESQL_PORT),
    "solr": (SOLR_HOST, SOLR_PORT),
}
# The names that compose gives to containers by itself.
OWN_NAMES = frozenset({"database", "loader", "postgres", "restore", "solr", "tester", "web"})

LOOPBACK = r"127(\.[0-9]{1,3}){3}|0\.0\.0\.0"
# HOST or HOST:PORT. Of IP addresses a container has only its own.
ADDRESS = rf"({LOOPBACK}|(?=[^:]*[A-Za-z])[A-Za-z0-9_.-]+)(:[0-9]{{1,5}})?"


@dataclass(frozen=True, kw_only=True)
class Routes:
    """How addresses lead to services.

    `names` are the further names of each service in the containers' network. `own` are hosts that are the
    site's container itself, and `forwarded` its ports with the service that each one leads to.
    """

    names: Mapping[str, tuple[str, ...]]
    own: tuple[str, ...]
    forwarded: Mapping[int, str]


def split_address(address: str) -> tuple[str, int | None]:
    """Return host and port of HOST or HOST:PORT."""
    host, _, port = address.lower().partition(":")
    return host, int(port) if port else None


def is_loopback(host: str) -> bool:
    """Whether a host is, wherever it is asked for, the container or machine that asks."""
    return host == "localhost" or host.startswith("127.") or host == "0.0.0.0"  # noqa: S104 - no server


def plan_routes(aliases: Mapping[str, str]) -> Routes:
    """Return how addresses (ADDRESS -> name in SERVICES) lead to services.

    A name in the network is enough where the service has just that port. Else the site's container listens
    itself, and passes on what comes.
    """
    addresses = [(*split_address(address), service) for address, service in aliases.items()]
    passed_on = {host for host, port, service in addresses if not _is_name(host, port, service)}
    names: dict[str, list[str]] = {service: [] for service in SERVICES}
    own: dict[str, None] = {}
    forwarded: dict[int, str] = {}
    for host, port, service in addresses:
        name, default = SERVICES[service]
        if host in passed_on:
            forwarded[port or default] = service
        elif host != name:
            names[service].append(host)
        if host in passed_on and not is_loopback(host):
            own[host] = None
    for name, default in SERVICES.values():
        if name in own:
            # Its usual address is still that of the service.
            forwarded.setdefault(default, next(each for each, known in SERVICES.items() if known[0] == name))
    return Routes(
        names={service: tuple(found) for service, found in names.items()},
        own=tuple(own),
        forwarded=forwarded,
    )


def _is_name(host: str, port: int | None, service: str) -> bool:
    """Whether an address is that of a service as soon as the service has this name in the network."""
    name, default = SERVICES[service]
    is_free = host == name or host not in OWN_NAMES
    return is_free and not is_loopback(host) and port in {None, default}


def find_conflicts(aliases: Mapping[str, str], site_port: int) -> Iterator[str]:
    """Yield what addresses cannot have at once; `site_port` is where the site itself answers."""
    taken: dict[int, str] = {}
    routes = plan_routes(aliases)
    for address, service in aliases.items():
        host, port = split_address(address)
        if host == SITE_HOST:
            yield f"{address!r} is the site's own container, which the tests ask"
        if not (is_loopback(host) or host in routes.own):
            continue
        port = port or SERVICES[service][1]
        if taken.setdefault(port, service) != service:
            yield f"the port {port} would be both {taken[port]} and {service}"
        if port == site_port:
            yield f"the port {port} of {address!r} is the site's own (site.port)"
