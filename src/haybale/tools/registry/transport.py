"""HTTP to one registry: TLS and certificates as Docker has them, proxies, and when to try again."""

from __future__ import annotations

import email.utils
import io
import math
import re
import ssl
import time
import warnings
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
import urllib3.util.ssl_
from requests.adapters import HTTPAdapter

from haybale.errors import RegistryError
from haybale.tools.proxies import request_proxies
from haybale.tools.registry.insecure import is_insecure_for_engine

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

# How often a request is sent, the longest pause between, and when none is sent again any more after the
# first, in seconds. A registry that asks for a longer pause gets no further request.
ATTEMPTS = 4
LONGEST_PAUSE = 60
TIME_LIMIT = 120

# What an answer may have, in bytes (as it is read, unpacked), and how long its body may take, in seconds.
# The largest is a list of all tags at once; a manifest has 4 MiB at most (OCI distribution specification,
# "Pushing Manifests").
MAX_ANSWER = 32 << 20
MAX_SECONDS = 300
CHUNK = 1 << 16

# Statuses that may be others in a moment.
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")

# Where Docker looks for a registry's own certificates (docs.docker.com, "Verify repository client with
# certificates"); in ~/.config where its engine runs without root (moby, daemon/command: configureCertsDir).
CERTS = Path("/etc/docker/certs.d")
USER_CERTS = "docker/certs.d"
# The system's authorities on Debian and its like.
SYSTEM_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def host_of(url: str) -> str:
    """Return host and port of a URL."""
    return re.sub(r"^\w+://", "", url).partition("/")[0]


def url_scheme(host: str) -> str:
    """Return how a registry is reached: without TLS only on this machine, as in Docker."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return "http" if name in LOCAL or re.fullmatch(r"127(\.\d+){3}", name) else "https"


DEFAULT_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of a URL (RFC 6454, 4); None where it has none, or names a user.

    A login is for one origin: neither the case of letters nor a port that is the scheme's own makes another.
    """
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError:
        return None
    if scheme not in DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return scheme, parts.hostname.lower(), DEFAULT_PORTS[scheme] if port is None else port


def is_downgrade(before: str, after: str) -> bool:
    """Return whether a URL that an answer over TLS leads to is without TLS."""
    return urlsplit(before).scheme.lower() == "https" != urlsplit(after).scheme.lower()


def is_success(response: requests.Response) -> bool:
    """Return whether it is a 2xx: a redirect is no answer about an image."""
    return HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a request: its response, or how the connection failed.

    `fault` is token where the response is that of the token service, `detail` the text of a failure.
    """

    response: requests.Response | None = None
    status: int = 0
    retry_after: str = ""
    fault: Literal["timeout", "connection", "certificate", "downgrade", "endless", "token"] | None = None
    detail: str = ""

    def is_answer_of(self, scheme: str) -> bool:
        """Return whether it is an answer; a server with TLS gives 400 to whoever comes without."""
        return self.response is not None and (scheme == "https" or self.status != HTTPStatus.BAD_REQUEST)

    @classmethod
    def from_response(cls, response: requests.Response, fault: Literal["token"] | None = None) -> Outcome:
        """Return the outcome of a request that was answered."""
        retry_after = response.headers.get("Retry-After", "")
        return cls(response=response, status=response.status_code, retry_after=retry_after, fault=fault)

    @classmethod
    def from_error(cls, error: requests.RequestException) -> Outcome:
        """Return the outcome of a request that was not answered."""
        if isinstance(error, requests.exceptions.SSLError) and "certificate" in str(error).lower():
            return cls(fault="certificate", detail=str(error))
        if isinstance(error, DowngradeError):
            return cls(fault="downgrade", detail=str(error))
        if isinstance(error, EndlessAnswerError):
            return cls(fault="endless", detail=str(error))
        # A connection that was cut while TLS was set up is an SSLError too, and may work the next time.
        is_late = isinstance(error, requests.Timeout)
        return cls(fault="timeout" if is_late else "connection", detail=str(error))


def retry_delay(
    attempt: int, outcome: Outcome, now: dt.datetime, chance: float, spent: float = 0
) -> float | None:
    """Return the seconds to wait before a request is sent again; None: it is not.

    `attempt` counts from 1, `chance` is from 0 to 1, `spent` are the seconds since the first attempt.
    RFC 9110, 10.2.3: Retry-After is seconds or a date.
    """
    transient = outcome.fault in {"timeout", "connection"} or outcome.status in TRANSIENT
    if not transient or attempt >= ATTEMPTS:
        return None
    asked = _parse_retry_after(outcome.retry_after, now)
    if asked is None:
        seconds = 2.0 ** (attempt - 1) * (0.5 + chance / 2)
    else:
        seconds = asked + chance if asked <= LONGEST_PAUSE else math.inf
    return seconds if spent + seconds <= TIME_LIMIT else None


def _parse_retry_after(text: str, now: dt.datetime) -> float | None:
    if re.fullmatch(r"\d+", text.strip()):
        return float(text)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


class DowngradeError(requests.RequestException):
    """An answer over TLS led to an address without; nothing was sent there."""


class EndlessAnswerError(requests.RequestException):
    """An answer is larger, or takes longer, than any that a registry has to give."""


class _Session(requests.Session):
    """Follows redirects with a login only to the same origin, and never from https to http."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.trust_env = False
        self.environment = environment

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target and is_downgrade(str(resp.url), urljoin(str(resp.url), target)):
            raise DowngradeError(f"{resp.url} leads to {target}, without TLS", response=resp)
        return target

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: Mapping[str, str] | None
    ) -> dict[str, str]:
        # Where a redirect leads may be behind another proxy, or none.
        del proxies
        return usable_proxies(str(prepared_request.url), self.environment)

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        return origin(old_url) is None or origin(old_url) != origin(new_url)


class Transport:
    """Sends requests to a host and to those it leads to, with the certificates that Docker would use.

    Logins come from `credentials` alone, not from a .netrc. Raises `RegistryError` where a certificate cannot
    be used.
    """

    def __init__(self, host: str, env: Mapping[str, str], timeout: float) -> None:
        self.host = host
        self._scheme = url_scheme(host)
        self._is_settled = False
        self._timeout = timeout
        self._session = _Session(env)
        self._session.verify = authorities(env)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _BoundedAdapter())
        own, pair = certificates(host, env)
        try:
            if own or pair:
                # Where a registry has its blobs or its token service they count too, as in Docker.
                self._session.mount("https://", _CertifiedAdapter(own, None))
                self._session.mount(f"https://{host}/", _CertifiedAdapter(own, pair))
        except OSError as error:
            message = f"the certificates for {host} cannot be used"
            hint = f"fix the files in {(own or pair or [CERTS])[0].parent}"
            raise RegistryError(message, cause=str(error), hint=hint) from error

    @property
    def base_url(self) -> str:
        """The address of its API, which ends with a slash."""
        return f"{self._scheme}://{self.host}/v2/"

    def reach(self, send: Callable[[], requests.Response]) -> Outcome:
        """Send a request, the first one in each way that the engine would try, until one is answered.

        `send` builds its URL on `base_url`, and has no login before a registry asked for one. On this
        machine, and where the engine's list says so, that is TLS whose certificate does not count, and none.
        """
        outcome = _outcome(send)
        if self._is_settled or outcome.is_answer_of(self._scheme):
            self._is_settled = True
            return outcome
        first = self._scheme, self._session.verify
        for scheme, is_verified in self._other_ways(outcome):
            self._scheme, self._session.verify = scheme, is_verified
            other = _outcome(send)
            if other.is_answer_of(self._scheme):
                self._is_settled = True
                return other
        self._scheme, self._session.verify = first
        return outcome

    def _other_ways(self, outcome: Outcome) -> list[tuple[str, bool]]:
        """Return the schemes that are left, and whether certificates count."""
        if outcome.fault == "downgrade":
            return []
        if self._scheme == "http":
            return [] if outcome.fault == "timeout" else [("https", False)]
        return [("https", False), ("http", True)] if is_insecure_for_engine(self.host) else []

    def send(self, method: str, url: str, *, follow: bool = False, **options: Any) -> requests.Response:
        """Send one request; redirects are followed where `follow`. Raises requests' own errors.

        Raises `RegistryError` where the way leads through a proxy that cannot be used.
        """
        proxies = usable_proxies(url, self._session.environment)
        with warnings.catch_warnings():
            if self._session.verify is False:
                # Whoever runs the engine wanted it so.
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
            return self._session.request(
                method,
                url,
                timeout=self._timeout,
                allow_redirects=follow,
                proxies=proxies,
                # Read by the adapter.
                stream=True,
                **options,
            )


def _outcome(send: Callable[[], requests.Response]) -> Outcome:
    try:
        return Outcome.from_response(send())
    except requests.RequestException as error:
        return Outcome.from_error(error)


def usable_proxies(url: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy for a URL as requests takes it, {} for none; `RegistryError` for one of SOCKS."""
    proxies = request_proxies(url, env)
    for address in proxies.values():
        parts, asked = urlsplit(address), urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if parts.scheme not in DEFAULT_PORTS:
            raise RegistryError(
                f"{host_of(url)} would be asked through {place}, which haybale cannot use",
                cause=f"{asked.scheme.upper()}_PROXY names it, and only HTTP proxies are spoken to",
                hint=f"name an HTTP proxy there, or list {asked.hostname} in NO_PROXY",
            )
    return proxies


class _BoundedAdapter(HTTPAdapter):
    """Reads an answer whole, and no more of it than any answer of a registry has."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        response = super().build_response(req, resp)
        try:
            content = _read_bounded(resp, str(req.url))
        except EndlessAnswerError:
            raise
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=req) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error, request=req) from error
        response.raw = io.BytesIO(content)
        return response


def _read_bounded(raw: Any, url: str) -> bytes:
    """Return the body of a response of urllib3's; raises `EndlessAnswerError`."""
    pieces, size, begun = [], 0, time.monotonic()
    for piece in raw.stream(CHUNK, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ANSWER or time.monotonic() - begun > MAX_SECONDS:
            raw.close()
            raise EndlessAnswerError(f"{url} gave {size} bytes, and there is more")
    return b"".join(pieces)


class _CertifiedAdapter(_BoundedAdapter):
    """Trusts a registry's own authorities too, and shows a certificate of this machine."""

    def __init__(self, own: list[Path], pair: tuple[Path, Path] | None) -> None:
        self._context = urllib3.util.ssl_.create_urllib3_context()
        for file in own:
            self._context.load_verify_locations(file)
        if pair is not None:
            self._context.load_cert_chain(*pair)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, **options, ssl_context=self._context)


def certificates(host: str, env: Mapping[str, str]) -> tuple[list[Path], tuple[Path, Path] | None]:
    """Return what Docker has for a registry: its authorities; this machine's certificate and its key."""
    config = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "/"), ".config"))
    folders = [folder / host for folder in (CERTS, config / USER_CERTS)]
    own = [file for folder in folders for file in sorted(folder.glob("*.crt"))]
    pairs = [(file, file.with_suffix(".key")) for folder in folders for file in sorted(folder.glob("*.cert"))]
    return own, next((pair for pair in pairs if pair[1].is_file()), None)


def authorities(env: Mapping[str, str]) -> str | bool:
    """Return the file of the certificate authorities that count for all registries; True: Python's own.

    Those that the environment names come first, then the system's.
    """
    named = (env.get("REQUESTS_CA_BUNDLE"), env.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile)
    files = (*(Path(each) for each in named if each), SYSTEM_AUTHORITIES)
    return next((str(file) for file in files if file.is_file()), True)
