"""Which registries the engine reaches without TLS, or without looking at certificates.

Its own list decides (`insecure-registries` of daemon.json): a login that Docker would not send without TLS is
not sent so here. Source: moby, daemon/pkg/registry: isSecureIndex, isCIDRMatch.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any

from haybale.errors import PrerequisiteError
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def is_insecure(host: str, config: Mapping[str, Any], addresses: Iterable[str]) -> bool:
    """Return whether a registry (HOST or HOST:PORT, at these IP addresses) is on an engine's list.

    `config` is RegistryConfig of what the engine tells of itself. An entry of just this name decides; else
    the networks do.
    """
    named = (config.get("IndexConfigs") or {}).get(host)
    if named is not None:
        return not named.get("Secure", True)
    networks = [ipaddress.ip_network(each) for each in config.get("InsecureRegistryCIDRs") or ()]
    return any(ipaddress.ip_address(each) in network for each in addresses for network in networks)


def is_insecure_for_engine(host: str) -> bool:
    """Ask the engine whether a registry is on its list; False where no engine answers."""
    with contextlib.suppress(PrerequisiteError):
        return is_insecure(host, sdk.registry_config(), _addresses(host))
    return False


def _addresses(host: str) -> list[str]:
    name = re.sub(r":\d+$", "", host).strip("[]")
    try:
        # An address of a link names its interface too.
        return [str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(name, None)]
    except OSError:
        return []
