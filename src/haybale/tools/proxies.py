"""Which proxy a request goes through, by the rules of Docker and all that is written in Go.

Source: golang.org/x/net/http/httpproxy, which does not know ALL_PROXY. Python's own rules know neither
`*.corp.test` nor ports nor networks, and send what is on this machine through a proxy.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORTS = {"http": "80", "https": "443"}

# HOST:PORT and [HOST]:PORT (Go: net.SplitHostPort).
HOST_AND_PORT = re.compile(
    r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<plain>[^\[\]:]*))"
    r":(?P<port>[^\[\]:]*)"
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def find_proxy(url: str, env: Mapping[str, str]) -> str | None:
    """Return the address of the proxy for a URL, None where it is reached directly.

    `env` has HTTPS_PROXY or HTTP_PROXY, and NO_PROXY; their names in small letters come first. Nothing on
    this machine is reached through a proxy.
    """
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS:
        return None
    # A server that runs us as a CGI script puts the request's header Proxy there.
    is_header = parts.scheme == "http" and bool(env.get("REQUEST_METHOD"))
    proxy = _variable(env, f"{parts.scheme}_proxy")
    if not proxy or is_header or _is_direct(url, _variable(env, "no_proxy")):
        return None
    return _complete(proxy)


def request_proxies(url: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the same as requests takes it: scheme -> address of its proxy, {} for none."""
    proxy = find_proxy(url, env)
    return {urlsplit(url).scheme: proxy} if proxy else {}


def _variable(env: Mapping[str, str], name: str) -> str:
    return env.get(name) or env.get(name.upper()) or ""


def _complete(proxy: str) -> str:
    """Return the address of a proxy; without a scheme it is that of an HTTP proxy."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(proxy)
        if parts.scheme and parts.netloc and parts.port != 0:
            return parts.geturl()
    return f"http://{proxy}"


def _is_direct(url: str, exceptions: str) -> bool:
    # Not `hostname`: that changes the case.
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    split = HOST_AND_PORT.fullmatch(place)
    host = (split["bracketed"] or split["plain"] or "") if split else place.strip("[]")
    port = (split["port"] if split else "") or DEFAULT_PORTS[parts.scheme]
    host, address = _to_ascii(host), _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = [entry for each in exceptions.split(",") if (entry := each.strip().lower())]
    return "*" in entries or any(_matches(entry, host.lower(), address, port) for entry in entries)


def _matches(entry: str, host: str, address: Address | None, port: str) -> bool:
    """Return whether an entry of NO_PROXY (network, address or domain, with a port or not) covers a host."""
    if re.search(r"/\d{1,3}$", entry):
        with contextlib.suppress(ValueError):
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
    split = HOST_AND_PORT.fullmatch(entry)
    name = (split["bracketed"] or split["plain"] or "") if split else entry
    named_port = split["port"] if split else ""
    if not name or named_port not in {"", port}:
        return False
    if (named := _address(name)) is not None or address is not None:
        return named == address
    name = _to_ascii(name.removeprefix("*") if name.startswith("*.") else name)
    return host.endswith(name if name.startswith(".") else f".{name}") or host == name


def _address(host: str) -> Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _to_ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host
