"""The image registry, over the OCI distribution API (github.com/opencontainers/distribution-spec, spec.md).

Only a 404 that a registry gives means "absent". Whatever else goes wrong is tried again where that can help,
and then is an error: nothing is rebuilt because a question was not answered.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import email.utils
import hashlib
import json
import math
import os
import random
import re
import ssl
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from haybale.errors import RegistryError
from haybale.image_ref import DIGEST, HUB, ImageRef
from haybale.tools.registry import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

# Seconds that a registry gets to show that it is there, and for each answer.
PATIENCE = 3
ANSWER = 30

# How often a question is asked, the longest pause between, and when none is begun any more after the first,
# in seconds. A registry that asks for a longer pause gets no further question.
ATTEMPTS = 4
LONGEST = 60
ENOUGH = 120

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
# Where the public hub answers; its images' names say docker.io.
HUB_HOST = "registry-1.docker.io"

# The manifests that there are (OCI image specification, media-types.md; Docker's own).
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    *INDEXES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DIGEST_HEADER = "Docker-Content-Digest"
SUBJECT_HEADER = "OCI-Subject"
VERSION_HEADER = "Docker-Distribution-Api-Version"
# What a registry says where there is no such image, or part of one (spec.md, "Error Codes"; Harbor's own).
ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})

# Answers that may be others in a moment.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

# Where Docker looks for a registry's own certificates (docs.docker.com, "Verify repository client with
# certificates"); in ~/.config where its engine runs without root (moby, daemon/command: configureCertsDir).
CERTS = Path("/etc/docker/certs.d")
OWN_CERTS = "docker/certs.d"
# The system's authorities on Debian and its like.
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")


def answers(repository: str) -> bool:
    """Return whether the repository's registry speaks the distribution API (GET /v2/ gives 200 or 401).

    Only for deciding whether a cache is worth a try; nothing is decided about images by it. A repository
    without a host belongs to the public hub and is not asked.
    """
    import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

    host, slash, _ = repository.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        return False
    url = f"{scheme(host)}://{host}/v2/"
    try:
        with session(host, os.environ) as asking:
            answer = asking.get(url, timeout=PATIENCE, allow_redirects=False, proxies=proxies(url))
    except requests.RequestException:
        return False
    return answer.status_code in {200, 401}


def scheme(host: str) -> str:
    """Return how a registry is spoken to: without TLS only on this machine, as Docker does."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return "http" if name in LOCAL or re.fullmatch(r"127(\.\d+){3}", name) else "https"


def proxies(url: str) -> dict[str, str]:
    """Return the proxies for an address that the environment names; none for this machine, as in Docker.

    (Go, net/http: ProxyFromEnvironment.)
    """
    import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

    if scheme(_host(url)) == "http":
        return {}
    return dict(requests.utils.get_environ_proxies(url))


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest as the registry has it: its bytes, their media type, their digest (sha256:...)."""

    content: bytes
    media_type: str
    digest: str

    @property
    def document(self) -> Mapping[str, Any]:
        """What it says; raises `RegistryError` where it is no JSON object."""
        try:
            found = json.loads(self.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RegistryError("the registry gave a manifest that is no JSON object", hint="try again")
        return found


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a question: a status, or how the connection failed (`fault`); what to wait for."""

    status: int = 0
    fault: str = ""
    retry_after: str = ""


def pause(attempt: int, outcome: Outcome, now: dt.datetime, chance: float, spent: float = 0) -> float | None:
    """Return the seconds to wait before a question is asked again; None: it is not.

    `attempt` counts from 1, `chance` is from 0 to 1, `spent` are the seconds since the question was first
    asked. RFC 9110, 10.2.3: Retry-After is seconds or a date.
    """
    passing = outcome.fault in {"timeout", "connection"} or outcome.status in PASSING
    if not passing or attempt >= ATTEMPTS:
        return None
    asked = _seconds(outcome.retry_after, now)
    if asked is None:
        seconds = 2.0 ** (attempt - 1) * (0.5 + chance / 2)
    else:
        seconds = asked + chance if asked <= LONGEST else math.inf
    return seconds if spent + seconds <= ENOUGH else None


def _seconds(text: str, now: dt.datetime) -> float | None:
    if re.fullmatch(r"\d+", text.strip()):
        return float(text)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(text) - now).total_seconds())
    except (TypeError, ValueError):
        return None


@dataclass
class Repository:
    """A repository of a registry: `name` is its whole name, ghcr.io/owner/site.

    `patience` is how many seconds an answer may take, `wait` sleeps some; `find` gives the credentials for a
    host.
    """

    name: str
    patience: float = ANSWER
    wait: Callable[[float], None] = time.sleep
    find: Callable[[str], credentials.Credentials | None] = credentials.find
    # What the Authorization header says, for reading and for writing; and the login behind it.
    _authorization: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _known: credentials.Credentials | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the name apart."""
        reference = ImageRef.parse(self.name)
        self._domain = reference.domain
        self._host = HUB_HOST if reference.domain == HUB else reference.domain
        self._path = reference.path
        self._session = session(self._host, os.environ)

    def digest(self, reference: str) -> str | None:
        """Return the digest of a tag's manifest; None only where the registry has no such tag."""
        answer = self._ask("HEAD", f"manifests/{reference}", accept=MANIFESTS)
        said = str(answer.headers.get(DIGEST_HEADER, ""))
        if _succeeded(answer) and DIGEST.fullmatch(said):
            return said
        # The answer to HEAD has no body that would say whose 404 it is, or what a digest is to be made of.
        found = self.manifest(reference)
        return found.digest if found else None

    def manifest(self, reference: str) -> Manifest | None:
        """Return the manifest of a tag or a digest; None only where the registry has none.

        Raises `RegistryError`, also where the bytes are not those of the digest.
        """
        answer = self._ask("GET", f"manifests/{reference}", accept=MANIFESTS)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        media_type = str(answer.headers.get("Content-Type", ""))
        if media_type.partition(";")[0].strip() not in MANIFESTS:
            # Such as the page of a proxy that wants somebody to log in.
            raise RegistryError(
                f"{self._host} answers {media_type or 'something'} for {self._shown(reference)}",
                cause="that is no image's manifest, so it is no registry, or keeps something else there",
                hint="mend the setting `registry`, or REGISTRY",
            )
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        said = answer.headers.get(DIGEST_HEADER, digest)
        for wanted in (said, reference if reference.startswith("sha256:") else digest):
            if wanted.startswith("sha256:") and wanted != digest:
                raise RegistryError(
                    f"{self._shown(reference)} arrived damaged: its digest is {digest}, not {wanted}",
                    cause="something between here and the registry changed it",
                    hint="try again",
                )
        return Manifest(content=answer.content, media_type=media_type, digest=digest)

    def labels(self, reference: str) -> Mapping[str, str] | None:
        """Return an image's labels; None only where the registry has no such image.

        Of an index with several platforms, those of its first image that is no attestation.
        """
        found = self.manifest(reference)
        if found is None:
            return None
        while "manifests" in found.document:
            found = self._needed(_first_image(found.document))
        config = str((found.document.get("config") or {}).get("digest", ""))
        answer = self._ask("GET", f"blobs/{config}", follow=True) if config else None
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}" if answer is not None else ""
        if answer is None or digest != config:
            raise RegistryError(
                f"the registry has no configuration of {self._shown(reference)}",
                cause="it is no container image, or was damaged",
                hint="push the image again",
            )
        with contextlib.suppress(ValueError, AttributeError):
            labels = (json.loads(answer.content).get("config") or {}).get("Labels") or {}
            return {str(name): str(value) for name, value in labels.items()}
        raise RegistryError(f"the configuration of {self._shown(reference)} can't be read")

    def retag(self, source: str, target: str) -> str:
        """Give the manifest of `source` (a tag or digest) the tag `target` too; return its digest.

        Byte-exact and without moving a layer. Raises `RegistryError`, also where `source` is not there.
        """
        found = self._needed(source)
        answer = self._ask("PUT", f"manifests/{target}", content=found.content, media_type=found.media_type)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise RegistryError(f"{self._shown(target)} can't be written: {_said(answer)}")
        there = self.digest(target)
        if there != found.digest:
            raise RegistryError(
                f"{self._shown(target)} is {there or 'absent'}, not {found.digest}",
                cause="somebody else wrote that tag at the same moment",
                hint="try again",
            )
        return found.digest

    def blob(self, digest: str) -> bytes | None:
        """Return a blob's bytes; None only where the registry has none. Raises `RegistryError`."""
        answer = self._ask("GET", f"blobs/{digest}", follow=True)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if f"sha256:{hashlib.sha256(answer.content).hexdigest()}" != digest:
            raise RegistryError(f"{self._shown(digest)} arrived damaged", hint="try again")
        return bytes(answer.content)

    def put_blob(self, content: bytes) -> str:
        """Make sure that the registry has a blob of a few kilobytes; return its digest.

        In one piece (OCI distribution specification, "POST then PUT").
        """
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self._ask("HEAD", f"blobs/{digest}", follow=True).status_code == HTTPStatus.OK:
            return digest
        begun = self._ask("POST", "blobs/uploads/", content=b"")
        place = urljoin(str(begun.url), str(begun.headers.get("Location", "")))
        place += ("&" if urlsplit(place).query else "?") + f"digest={digest}"
        self._ask("PUT", place, content=content, media_type="application/octet-stream")
        return digest

    def put(self, reference: str, content: bytes, media_type: str) -> bool:
        """Write a manifest under a tag, read it back, and return whether the registry lists it as a referrer.

        Raises `RegistryError`, also where it is not there then.
        """
        answer = self._ask("PUT", f"manifests/{reference}", content=content, media_type=media_type)
        wanted, there = f"sha256:{hashlib.sha256(content).hexdigest()}", self.digest(reference)
        if there != wanted:
            raise RegistryError(
                f"{self._shown(reference)} is {there or 'absent'}, not {wanted}",
                cause=_said(answer) or "somebody else wrote that tag at the same moment",
                hint="try again",
            )
        return SUBJECT_HEADER in answer.headers

    def tags(self) -> list[str]:
        """Return every tag of the repository; [] where the registry has no such repository."""
        found: list[str] = []
        path = "tags/list?n=1000"
        while path:
            answer = self._ask("GET", path)
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return found
            found += [str(tag) for tag in answer.json().get("tags") or []]
            # RFC 8288; the specification's "Listing Tags".
            more = answer.links.get("next", {}).get("url", "")
            path = urljoin(str(answer.url), more) if more else ""
        return found

    def delete(self, digest: str) -> None:
        """Remove a manifest with all its tags; raises `RegistryError`, also where that is not allowed."""
        self._ask("DELETE", f"manifests/{digest}", content=b"")

    def _needed(self, reference: str) -> Manifest:
        found = self.manifest(reference)
        if found is None:
            raise RegistryError(
                f"there is no {self._shown(reference)} in the registry", hint="push it, or build it again"
            )
        return found

    def _shown(self, reference: str) -> str:
        return f"{self.name}{'@' if ':' in reference else ':'}{reference}"

    # One question --------------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        *,
        accept: tuple[str, ...] = (),
        content: bytes | None = None,
        media_type: str = "",
        follow: bool = False,
    ) -> requests.Response:
        """Ask until there is an answer that can be used: a success, or a registry's own 404."""
        here = f"{scheme(self._host)}://{self._host}/v2/{self._path}/"
        # A registry may name the whole address of what comes next; urljoin leaves that as it is.
        url = path if "://" in path else here + path
        headers = {"Accept": ", ".join(accept)} if accept else {}
        if media_type:
            headers["Content-Type"] = media_type
        begun, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            answer, fault = self._once(method, url, headers, content, follow=follow)
            if answer is not None and not fault and (
                _succeeded(answer)
                or (answer.status_code == HTTPStatus.NOT_FOUND and (method == "HEAD" or is_registrys(answer)))
            ):  # fmt: skip
                return answer
            outcome = Outcome(
                status=answer.status_code if answer is not None else 0,
                fault=fault.partition(":")[0],
                retry_after=answer.headers.get("Retry-After", "") if answer is not None else "",
            )
            chance = random.random()  # noqa: S311 - no secret
            seconds = pause(attempt, outcome, dt.datetime.now(dt.UTC), chance, time.monotonic() - begun)
            if seconds is None:
                raise self._failure(path, answer, fault, attempt)
            self.wait(seconds)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, *, follow: bool
    ) -> tuple[requests.Response | None, str]:
        """Ask once, with a login where the registry asks for one: the answer, and what went wrong with it.

        What went wrong is "token" where the answer is not the registry's, but that of its token service.
        """
        import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

        def send() -> requests.Response:
            # A registry may send an upload elsewhere; its login is its own.
            said = self._authorization.get(actions, "") if _host(url) == self._host else ""
            # requests takes the login off where a redirect leads to another host.
            return self._session.request(
                method, url, headers={**headers, **({"Authorization": said} if said else {})}, data=content,
                timeout=self.patience, allow_redirects=follow, proxies=proxies(url),
            )  # fmt: skip

        actions = "pull" if content is None else "pull,push" if method != "DELETE" else "pull,delete"
        try:
            answer = send()
            # Whoever a redirect led to gets no login.
            if answer.status_code == HTTPStatus.UNAUTHORIZED and not answer.history:
                refused = self._log_in(answer.headers.get("WWW-Authenticate", ""), actions)
                if refused is not None:
                    return refused, "token"
                if actions in self._authorization:
                    answer = send()
        except requests.exceptions.SSLError as error:
            # A connection that was cut while it was made ends here too, and may go well the next time.
            kind = "certificate" if "certificate" in str(error).lower() else "connection"
            return None, f"{kind}: {error}"
        except requests.Timeout as error:
            return None, f"timeout: {error}"
        except requests.RequestException as error:
            return None, f"connection: {error}"
        return answer, ""

    def _log_in(self, challenge: str, actions: str) -> requests.Response | None:
        """Note what the Authorization header has to say to a challenge (RFC 9110, 11.6.1), if anything.

        Return the token service's own answer where that is no token, else None.
        """
        self._known = self.find(self._domain)
        self._authorization.pop(actions, None)
        bearer = re.search(r"\bbearer\s+(.*)", challenge, re.IGNORECASE)
        # Another challenge may stand behind it: the first of each name is this one's.
        asked = dict(reversed(re.findall(r'(\w+)="([^"]*)"', bearer[1]))) if bearer else {}
        if not asked.get("realm"):
            if re.search(r"\bbasic\b", challenge, re.IGNORECASE) and self._known and self._known.secret:
                self._authorization[actions] = f"Basic {_basic(self._known)}"
            return None
        answer = self._ask_for_token(asked, f"repository:{self._path}:{actions}")
        if not _succeeded(answer):
            return answer
        with contextlib.suppress(ValueError, AttributeError):
            found = answer.json()
            token = found.get("token") or found.get("access_token")
            if token:
                self._authorization[actions] = f"Bearer {token}"
        return None

    def _ask_for_token(self, asked: Mapping[str, str], scope: str) -> requests.Response:
        """Ask the token service that a registry names (distribution, "Token authentication").

        Redirects are not followed: they would carry the login on to somebody else.
        """
        realm, service, known = asked["realm"], asked.get("service", ""), self._known
        if not realm.startswith(f"{scheme(_host(realm))}://") and not realm.startswith("https://"):
            raise RegistryError(
                f"the registry {self._host} wants its login sent without TLS",
                cause=f"it names {realm!r} for its tokens",
                hint="mend the registry's settings of its token service",
            )
        options: dict[str, Any] = {
            "timeout": self.patience, "allow_redirects": False, "proxies": proxies(realm),
        }  # fmt: skip
        if known and known.identity_token:
            form = {
                "grant_type": "refresh_token", "service": service, "scope": scope, "client_id": "haybale",
                "refresh_token": known.identity_token,
            }  # fmt: skip
            return self._session.post(realm, data=form, **options)
        login = {"Authorization": f"Basic {_basic(known)}"} if known else {}
        return self._session.get(realm, params={"service": service, "scope": scope}, headers=login, **options)

    def _failure(
        self, path: str, answer: requests.Response | None, fault: str, attempts: int
    ) -> RegistryError:
        asked = f"the registry {self._host} "
        about = f" about {self._path}/{path}"
        if answer is None:
            kind, _, text = fault.partition(": ")
            cause = _short(text)
            if kind == "certificate":
                return RegistryError(
                    f"{asked}shows a certificate that is not trusted",
                    cause=cause,
                    hint="name the certificate authority of the registry or the proxy in SSL_CERT_FILE, or "
                    f"put it into {CERTS / self._host / 'ca.crt'}; where the registry asks for a certificate "
                    "of this machine, client.cert and client.key go there too",
                )
            return RegistryError(
                f"{asked}does not answer (asked {attempts} times)",
                cause=cause,
                hint="is it running, and reachable from here? Set REGISTRY, or HAYBALE_LOCAL=true for none",
            )
        status = answer.status_code
        if fault:
            asked = f"the token service of the registry {self._host} "
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            known = self._known
            who = f"as {known.user or 'a token'} ({known.source})" if known else "without a login"
            return RegistryError(
                f"{asked}answers {status}{about}, asked {who}",
                cause=_said(answer) or "the login is missing or wrong, or may not do that",
                hint=f"docker login {self._domain}",
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            when = answer.headers.get("Retry-After", "")
            return RegistryError(
                f"{asked}limits how much may be asked of it{about}",
                cause=f"it says when to come back: {when}{' s' if when.isdigit() else ''}" if when else "",
                hint="docker login raises the limit of many registries; or wait",
            )
        if not fault and (status == HTTPStatus.NOT_FOUND or status // 100 == 3):  # noqa: PLR2004
            return RegistryError(
                f"what answers at {self._host} is no registry",
                cause=f"its {status} is not that of the distribution API",
                hint="mend the setting `registry`, or REGISTRY",
            )
        times = f" (asked {attempts} times)" if attempts > 1 else ""
        return RegistryError(
            f"{asked}answers {status}{about}{times}",
            cause=_said(answer),
            hint="try again later" if status in PASSING else "ask whoever runs the registry",
        )


def is_registrys(answer: requests.Response) -> bool:
    """Return whether a 404 is a registry's: it says so in its body, or in a header of the API."""
    with contextlib.suppress(ValueError, LookupError, AttributeError, TypeError):
        if any(error.get("code") in ABSENT for error in answer.json()["errors"]):
            return True
    with contextlib.suppress(KeyError):
        return answer.headers[VERSION_HEADER].startswith("registry/2")
    return False


def _first_image(document: Mapping[str, Any]) -> str:
    for each in document.get("manifests", ()):
        if (each.get("platform") or {}).get("os") != "unknown":
            return str(each["digest"])
    raise RegistryError("the registry has an index without an image in it", hint="push the image again")


def session(host: str, env: Mapping[str, str]) -> requests.Session:
    """Return what questions to a registry go through, with the certificates that Docker would use for it.

    Logins come from `credentials` alone, not from a .netrc; proxies are named with each question. Raises
    `RegistryError` where a certificate can't be used.
    """
    import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print
    import urllib3.util.ssl_  # noqa: PLC0415

    made = requests.Session()
    made.trust_env = False
    made.verify = authorities(env)
    own, ours = certificates(host, env)
    if not own and ours is None:
        return made

    class Certified(requests.adapters.HTTPAdapter):
        """Trusts the registry's own authorities too, and shows a certificate of this machine."""

        def __init__(self, pair: tuple[Path, Path] | None) -> None:
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

    try:
        # Where a registry has its blobs or its token service the same authorities count, as for Docker.
        made.mount("https://", Certified(None))
        made.mount(f"https://{host}/", Certified(ours))
    except OSError as error:
        raise RegistryError(
            f"the certificates for {host} can't be used",
            cause=str(error),
            hint=f"mend the files in {(own or ours or [CERTS])[0].parent}",
        ) from error
    return made


def certificates(host: str, env: Mapping[str, str]) -> tuple[list[Path], tuple[Path, Path] | None]:
    """Return what Docker has for a registry: its authorities; this machine's certificate and its key."""
    home = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "/"), ".config"))
    folders = [folder / host for folder in (CERTS, home / OWN_CERTS)]
    own = [file for folder in folders for file in sorted(folder.glob("*.crt"))]
    pairs = [(file, file.with_suffix(".key")) for folder in folders for file in sorted(folder.glob("*.cert"))]
    return own, next((pair for pair in pairs if pair[1].is_file()), None)


def authorities(env: Mapping[str, str]) -> str | bool:
    """Return the file of the certificate authorities that count for all registries; True: Python's own.

    What this machine's tools are told counts first, then the system's.
    """
    named = (env.get("REQUESTS_CA_BUNDLE"), env.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile)
    files = (*(Path(each) for each in named if each), SYSTEM)
    return next((str(file) for file in files if file.is_file()), True)


def _host(url: str) -> str:
    return re.sub(r"^\w+://", "", url).partition("/")[0]


def _succeeded(answer: requests.Response) -> bool:
    """Whether it is a 2xx: a redirect is no answer about an image."""
    return answer.status_code // 100 == 2  # noqa: PLR2004


def _basic(known: credentials.Credentials) -> str:
    return base64.b64encode(f"{known.user}:{known.secret}".encode()).decode("ascii")


def _said(answer: requests.Response) -> str:
    """Return what a registry says of its error, in a line."""
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        return "; ".join(f"{each['code']}: {each.get('message', '')}" for each in answer.json()["errors"])
    return ""


def _short(text: str) -> str:
    return re.sub(
        r"<[^>]* object at 0x[0-9a-f]+>:? ?", "", text.partition("(Caused by ")[2].rstrip(")") or text
    )[:300]
