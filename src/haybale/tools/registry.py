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
import os
import random
import re
import ssl
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haybale.errors import RegistryError
from haybale.images import refs
from haybale.tools import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

# Seconds that a registry gets to show that it is there, and for each answer.
PATIENCE = 3
ANSWER = 30

# How often a question is asked, and the longest pause between, in seconds. A registry that asks for a longer
# one gets no further question.
ATTEMPTS = 4
LONGEST = 60

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
VERSION_HEADER = "Docker-Distribution-Api-Version"
# What a registry says where there is no such image (spec.md, "Error Codes").
ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"})

# Answers that may be others in a moment.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

# Where Docker looks for a registry's own certificate authority (docs.docker.com, "Verify repository client
# with certificates").
CERTS = Path("/etc/docker/certs.d")
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
    try:
        answer = requests.get(f"{scheme(host)}://{host}/v2/", timeout=PATIENCE)
    except requests.RequestException:
        return False
    return answer.status_code in {200, 401}


def scheme(host: str) -> str:
    """Return how a registry is spoken to: without TLS only on this machine, as Docker does."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return "http" if name in LOCAL or re.fullmatch(r"127(\.\d+){3}", name) else "https"


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
            raise RegistryError("the registry gave a manifest that is no JSON object", step="try again")
        return found


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a question: a status, or how the connection failed (`fault`); what to wait for."""

    status: int = 0
    fault: str = ""
    retry_after: str = ""


def pause(attempt: int, outcome: Outcome, now: dt.datetime, chance: float) -> float | None:
    """Return the seconds to wait before a question is asked again; None: it is not.

    `attempt` counts from 1, `chance` is from 0 to 1. RFC 9110, 10.2.3: Retry-After is seconds or a date.
    """
    passing = outcome.fault in {"timeout", "connection"} or outcome.status in PASSING
    if not passing or attempt >= ATTEMPTS:
        return None
    asked = _seconds(outcome.retry_after, now)
    if asked is not None:
        return asked + chance if asked <= LONGEST else None
    return min(LONGEST, 2.0 ** (attempt - 1)) * (0.5 + chance / 2)


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
    _token: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the name apart."""
        import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

        reference = refs.parse(self.name)
        self._domain = reference.domain
        self._host = HUB_HOST if reference.domain == refs.HUB else reference.domain
        self._path = reference.path
        self._session = requests.Session()
        # Credentials come from us alone, not from a .netrc.
        # Credentials and authorities come from here alone, proxies from the environment, for each question.
        self._session.trust_env = False
        self._session.verify = authorities(self._host, os.environ)

    def digest(self, reference: str) -> str | None:
        """Return the digest of a tag's manifest; None only where the registry has no such tag."""
        answer = self._ask("HEAD", f"manifests/{reference}", accept=MANIFESTS)
        if answer.status_code == HTTPStatus.NOT_FOUND or DIGEST_HEADER not in answer.headers:
            # The answer to HEAD has no body that would say whose 404 it is.
            found = self.manifest(reference)
            return found.digest if found else None
        return str(answer.headers[DIGEST_HEADER])

    def manifest(self, reference: str) -> Manifest | None:
        """Return the manifest of a tag or a digest; None only where the registry has none.

        Raises `RegistryError`, also where the bytes are not those of the digest.
        """
        answer = self._ask("GET", f"manifests/{reference}", accept=MANIFESTS)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        said = answer.headers.get(DIGEST_HEADER, digest)
        for wanted in (said, reference if reference.startswith("sha256:") else digest):
            if wanted.startswith("sha256:") and wanted != digest:
                raise RegistryError(
                    f"{self._shown(reference)} arrived damaged: its digest is {digest}, not {wanted}",
                    cause="something between here and the registry changed it",
                    step="try again",
                )
        return Manifest(
            content=answer.content, media_type=answer.headers.get("Content-Type", ""), digest=digest
        )

    def labels(self, reference: str) -> Mapping[str, str] | None:
        """Return an image's labels; None only where the registry has no such image.

        Of an index with several platforms, those of its first image that is no attestation.
        """
        found = self.manifest(reference)
        if found is None:
            return None
        if found.media_type.partition(";")[0] in INDEXES or "manifests" in found.document:
            found = self._needed(_first_image(found.document))
        config = str((found.document.get("config") or {}).get("digest", ""))
        answer = self._ask("GET", f"blobs/{config}", follow=True) if config else None
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}" if answer is not None else ""
        if answer is None or digest != config:
            raise RegistryError(
                f"the registry has no configuration of {self._shown(reference)}",
                cause="it is no container image, or was damaged",
                step="push the image again",
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
                step="try again",
            )
        return found.digest

    def _needed(self, reference: str) -> Manifest:
        found = self.manifest(reference)
        if found is None:
            raise RegistryError(
                f"there is no {self._shown(reference)} in the registry", step="push it, or build it again"
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
        url = f"{scheme(self._host)}://{self._host}/v2/{self._path}/{path}"
        headers = {"Accept": ", ".join(accept)} if accept else {}
        if media_type:
            headers["Content-Type"] = media_type
        attempt = 0
        while True:
            attempt += 1
            answer, fault = self._once(method, url, headers, content, follow=follow)
            if answer is not None and (_succeeded(answer) or (answer.status_code == HTTPStatus.NOT_FOUND and (
                method == "HEAD" or is_registrys(answer)
            ))):  # fmt: skip
                return answer
            outcome = Outcome(
                status=answer.status_code if answer is not None else 0,
                fault=fault.partition(":")[0],
                retry_after=answer.headers.get("Retry-After", "") if answer is not None else "",
            )
            seconds = pause(attempt, outcome, dt.datetime.now(dt.UTC), random.random())  # noqa: S311 - no secret
            if seconds is None:
                raise self._failure(path, answer, fault, attempt)
            self.wait(seconds)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, *, follow: bool
    ) -> tuple[requests.Response | None, str]:
        """Ask once, with a login where the registry asks for one: the answer, or what went wrong with it."""
        import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

        def send(authorization: str) -> requests.Response:
            login = {"Authorization": authorization} if authorization else {}
            # requests takes the login off where a redirect leads to another host.
            return self._session.request(
                method, url, headers={**headers, **login}, data=content, timeout=self.patience,
                allow_redirects=follow, proxies=requests.utils.get_environ_proxies(url),
            )  # fmt: skip

        try:
            answer = send(self._token)
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                challenge = answer.headers.get("WWW-Authenticate", "")
                self._token, refused = self._login(challenge, writes=content is not None)
                if refused is not None:
                    return refused, ""
                if self._token:
                    answer = send(self._token)
        except requests.exceptions.SSLError as error:
            # A connection that was cut while it was made ends here too, and may go well the next time.
            kind = "certificate" if "certificate" in str(error).lower() else "connection"
            return None, f"{kind}: {error}"
        except requests.Timeout as error:
            return None, f"timeout: {error}"
        except requests.RequestException as error:
            return None, f"connection: {error}"
        return answer, ""

    def _login(self, challenge: str, *, writes: bool) -> tuple[str, requests.Response | None]:
        """Return what the Authorization header has to say to a challenge (RFC 7235); "" for nothing.

        And the token service's own answer, where that is no token.
        """
        kind, _, rest = challenge.partition(" ")
        known = self.find(self._domain)
        if kind.lower() == "basic":
            return (f"Basic {_basic(known)}" if known and known.secret else ""), None
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() != "bearer" or not asked.get("realm"):
            return "", None
        actions = "pull,push" if writes else "pull"
        answer = self._ask_for_token(asked, f"repository:{self._path}:{actions}", known)
        if not _succeeded(answer):
            return "", answer
        with contextlib.suppress(ValueError, AttributeError):
            found = answer.json()
            token = found.get("token") or found.get("access_token")
            return (f"Bearer {token}" if token else ""), None
        return "", None

    def _ask_for_token(
        self, asked: Mapping[str, str], scope: str, known: credentials.Credentials | None
    ) -> requests.Response:
        """Ask the token service that a registry names (distribution, "Token authentication").

        Redirects are not followed: they would carry the login on to somebody else.
        """
        import requests  # noqa: PLC0415 - a quarter of the start-up time of the verbs that only print

        realm, service = asked["realm"], asked.get("service", "")
        proxies = requests.utils.get_environ_proxies(realm)
        if known and known.identity_token:
            form = {
                "grant_type": "refresh_token", "service": service, "scope": scope, "client_id": "haybale",
                "refresh_token": known.identity_token,
            }  # fmt: skip
            return self._session.post(
                realm, data=form, timeout=self.patience, allow_redirects=False, proxies=proxies
            )
        login = {"Authorization": f"Basic {_basic(known)}"} if known else {}
        return self._session.get(
            realm, params={"service": service, "scope": scope}, headers=login, timeout=self.patience,
            allow_redirects=False, proxies=proxies,
        )  # fmt: skip

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
                    step="name the certificate authority of the registry or the proxy in SSL_CERT_FILE and "
                    f"REQUESTS_CA_BUNDLE, or put it into {CERTS / self._host / 'ca.crt'}",
                )
            return RegistryError(
                f"{asked}does not answer (asked {attempts} times)",
                cause=cause,
                step="is it running, and reachable from here? Set REGISTRY, or HAYBALE_LOCAL=true for none",
            )
        status = answer.status_code
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            known = self.find(self._domain)
            who = f"as {known.user or 'a token'} ({known.source})" if known else "without a login"
            return RegistryError(
                f"{asked}answers {status}{about}, asked {who}",
                cause=_said(answer) or "the login is missing or wrong, or may not do that",
                step=f"docker login {self._host}",
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            when = answer.headers.get("Retry-After", "")
            return RegistryError(
                f"{asked}limits how much may be asked of it{about}",
                cause=f"it says to come back after {when}" if when else "see its limits",
                step="docker login raises the limit of many registries; or wait",
            )
        if status == HTTPStatus.NOT_FOUND or status // 100 == 3:  # noqa: PLR2004
            return RegistryError(
                f"what answers at {self._host} is no registry",
                cause=f"its {status} is not that of the distribution API",
                step="mend the setting `registry`, or REGISTRY",
            )
        return RegistryError(
            f"{asked}answers {status}{about} (asked {attempts} times)",
            cause=_said(answer),
            step="try again later",
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
        if each.get("platform", {}).get("os") != "unknown":
            return str(each["digest"])
    raise RegistryError("the registry has an index without an image in it", step="push the image again")


def authorities(host: str, env: Mapping[str, str]) -> str | bool:
    """Return the file of the certificate authorities that a registry is judged by; True: Python's own.

    The registry's own counts first, as for Docker; then what this machine's tools are told; then the
    system's.
    """
    named = (env.get("REQUESTS_CA_BUNDLE"), env.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile)
    files = (CERTS / host / "ca.crt", *(Path(each) for each in named if each), SYSTEM)
    return next((str(file) for file in files if file.is_file()), True)


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
