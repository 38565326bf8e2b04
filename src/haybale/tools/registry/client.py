"""The image registry, over the OCI distribution API (github.com/opencontainers/distribution-spec, spec.md).

Only a 404 that a registry gives means "absent". Whatever else fails is tried again where that can help, and
then is an error: nothing is rebuilt because a request was not answered.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import random
import re
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests

from haybale.errors import RegistryError
from haybale.image_ref import DIGEST, HUB, ImageRef
from haybale.tools.registry.auth import TokenServiceError, authorize, parse_challenges
from haybale.tools.registry.credentials import Credentials, find_login
from haybale.tools.registry.transport import (
    CERTS,
    TRANSIENT,
    Outcome,
    Transport,
    is_downgrade,
    is_success,
    origin,
    retry_delay,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds that a registry gets to show that it is there, and for each response.
PROBE_TIMEOUT = 3
TIMEOUT = 30

# Where the public hub answers; its images' names have docker.io.
HUB_HOST = "registry-1.docker.io"

# The manifests that there are (OCI image specification, media-types.md; Docker's own).
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# What a token allows (distribution, "Token Scope Documentation").
PULL, PUSH, DELETE = "pull", "pull,push", "pull,delete"
# More tags, or pages of them, no repository has: a list that goes on is not one.
MAX_TAGS = 1_000_000
MAX_PAGES = 10_000
# Not every server, or proxy before it, knows HEAD: then GET tells.
NO_HEAD = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
DIGEST_HEADER = "Docker-Content-Digest"
SUBJECT_HEADER = "OCI-Subject"
VERSION_HEADER = "Docker-Distribution-Api-Version"
# The error codes of a registry without such an image, or part of one (spec.md, "Error Codes"; Harbor's own).
ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


class AccessError(RegistryError):
    """The registry or its token service refuses who asks (401, 403)."""


def is_registry_available(repository: ImageRef) -> bool:
    """Return whether the repository's registry speaks the distribution API (GET /v2/ gives 200 or 401).

    Only for deciding whether a cache is worth a try; nothing is decided about images by it. The public hub is
    not asked.
    """
    if repository.domain == HUB:
        return False
    transport = Transport(repository.domain, os.environ, PROBE_TIMEOUT)
    return transport.reach(lambda: transport.send("GET", transport.base_url)).status in {200, 401}


def sha256(content: bytes) -> str:
    """Return the digest of bytes: sha256:..."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest as the registry has it: its bytes, their media type, their digest (sha256:...)."""

    content: bytes
    media_type: str
    digest: str

    @property
    def document(self) -> Mapping[str, Any]:
        """Its JSON; raises `RegistryError` where it is not a JSON object."""
        with contextlib.suppress(ValueError):
            found = json.loads(self.content)
            if isinstance(found, dict):
                return found
        raise RegistryError("the registry gave a manifest that is not a JSON object", hint="try again")


@dataclass
class Repository:
    """A repository of a registry.

    `timeout` are the seconds that a response may take, `wait` sleeps some, `find_login` gives the credentials
    for a host.
    """

    name: ImageRef
    timeout: float = TIMEOUT
    wait: Callable[[float], None] = time.sleep
    find_login: Callable[[str], Credentials | None] = find_login
    # The Authorization header by what it allows (pull, or pull and push); and the login behind it.
    _authorization: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _login: Credentials | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare for requests."""
        host = HUB_HOST if self.name.domain == HUB else self.name.domain
        self._transport = Transport(host, os.environ, self.timeout)

    def digest(self, reference: str, *, is_before_push: bool = False) -> str | None:
        """Return the digest of a tag's manifest; None only where the registry has no such tag.

        `is_before_push`: an absent image will be pushed. Then it is asked with the rights of a push: many
        registries refuse whoever only reads while there is no such repository. Where a push is refused, what
        can be read still counts.
        """
        if is_before_push:
            with contextlib.suppress(AccessError):
                return self._digest(reference, PUSH)
        return self._digest(reference, PULL)

    def _digest(self, reference: str, actions: str) -> str | None:
        response = self._request("HEAD", f"manifests/{reference}", accept=MANIFESTS, actions=actions)
        named = str(response.headers.get(DIGEST_HEADER, ""))
        if is_success(response) and DIGEST.fullmatch(named):
            return named
        # The response to HEAD has no body that would tell whose 404 it is, or what a digest is to be made of.
        found = self._manifest(reference, actions)
        return found.digest if found else None

    def manifest(self, reference: str) -> Manifest | None:
        """Return the manifest of a tag or a digest; None only where the registry has none.

        Raises `RegistryError`, also where the bytes are not those of the digest.
        """
        return self._manifest(reference, PULL)

    def _manifest(self, reference: str, actions: str) -> Manifest | None:
        response = self._request("GET", f"manifests/{reference}", accept=MANIFESTS, actions=actions)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        media_type = str(response.headers.get("Content-Type", ""))
        if media_type.partition(";")[0].strip() not in MANIFESTS:
            # Such as the page of a proxy that wants somebody to log in.
            message = f"{self._full_name(reference)} is {media_type or 'something'} at {self._transport.host}"
            cause = "that is not an image's manifest: this is not a registry, or has something else there"
            raise RegistryError(message, cause=cause, hint="fix the setting `registry`, or REGISTRY")
        digest = sha256(response.content)
        named = response.headers.get(DIGEST_HEADER, digest)
        for wanted in (named, reference if reference.startswith("sha256:") else digest):
            if wanted.startswith("sha256:") and wanted != digest:
                name = self._full_name(reference)
                message = f"{name} arrived damaged: its digest is {digest}, not {wanted}"
                cause = "something between here and the registry changed it"
                raise RegistryError(message, cause=cause, hint="try again")
        return Manifest(content=response.content, media_type=media_type, digest=digest)

    def labels(self, reference: str) -> Mapping[str, str] | None:
        """Return an image's labels; None only where the registry has no such image.

        Of an index with several platforms, those of its first image that is not an attestation.
        """
        found = self.manifest(reference)
        if found is None:
            return None
        try:
            while "manifests" in found.document:
                found = self._existing_manifest(_first_image(found.document))
            digest = str((found.document.get("config") or {}).get("digest", ""))
        except (AttributeError, KeyError, TypeError):
            message = f"the manifest of {self._full_name(reference)} cannot be read"
            raise RegistryError(message, hint="push the image again") from None
        config = self.blob(digest) if digest else None
        if config is None:
            message = f"the registry has no configuration of {self._full_name(reference)}"
            cause = (
                f"its manifest names {digest}, and the registry has no such blob"
                if digest
                else ("its manifest names none: it is no container image")
            )
            raise RegistryError(message, cause=cause, hint="push the image again")
        with contextlib.suppress(ValueError, AttributeError):
            labels = (json.loads(config).get("config") or {}).get("Labels") or {}
            return {str(name): str(value) for name, value in labels.items()}
        message = f"the configuration of {self._full_name(reference)} cannot be read"
        raise RegistryError(message, cause="it is not JSON with labels", hint="push the image again")

    def retag(self, source: str, target: str) -> str:
        """Give the manifest of `source` (a tag or digest) the tag `target` too; return its digest.

        Byte-exact and without moving a layer. Raises `RegistryError`, also where `source` does not exist.
        """
        found = self._existing_manifest(source)
        self.put_manifest(target, found.content, found.media_type)
        return found.digest

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> bool:
        """Write a manifest under a tag, read it back, and return whether the registry lists it as a referrer.

        Raises `RegistryError`, also where it is not there then.
        """
        response = self._request("PUT", f"manifests/{reference}", content=content, media_type=media_type)
        wanted, present = sha256(content), self.digest(reference)
        if present != wanted:
            message = f"{self._full_name(reference)} is {present or 'absent'}, not {wanted}"
            cause = _error_text(response) or "that is what it gave after it took what was sent"
            raise RegistryError(message, cause=cause, hint="try again")
        return SUBJECT_HEADER in response.headers

    def blob(self, digest: str) -> bytes | None:
        """Return a blob's bytes; None only where the registry has none. Raises `RegistryError`."""
        response = self._request("GET", f"blobs/{digest}", follow=True)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if sha256(response.content) != digest:
            raise RegistryError(f"{self._full_name(digest)} arrived damaged", hint="try again")
        return bytes(response.content)

    def put_blob(self, content: bytes) -> str:
        """Make sure that the registry has a blob of a few kilobytes; return its digest.

        In one piece (OCI distribution specification, "POST then PUT").
        """
        digest = sha256(content)
        if self._request("HEAD", f"blobs/{digest}", follow=True).status_code == HTTPStatus.OK:
            return digest
        begun = self._request("POST", "blobs/uploads/", content=b"")
        upload = self._next_address(begun, str(begun.headers.get("Location", "")), "an upload")
        upload += ("&" if urlsplit(upload).query else "?") + f"digest={digest}"
        self._request("PUT", upload, content=content, media_type="application/octet-stream")
        return digest

    def tags(self) -> list[str]:
        """Return every tag of the repository, once; [] where the registry has no such repository.

        Raises `RegistryError` where it is not certain that these are all.
        """
        found: dict[str, None] = {}
        asked: dict[str, None] = {}
        path = "tags/list?n=1000"
        while path:
            response = self._request("GET", path)
            if response.status_code == HTTPStatus.NOT_FOUND and not asked:
                return []
            if response.status_code != HTTPStatus.OK:
                raise self._cut_list(f"page {len(asked) + 1} is answered with {response.status_code}")
            asked[str(response.url)] = None
            found.update(dict.fromkeys(self._page(response)))
            path = self._next_page(response)
            if path in asked:
                raise self._cut_list("its pages lead back to one that was there already")
            if path and (len(found) > MAX_TAGS or len(asked) >= MAX_PAGES):
                raise self._cut_list(f"it goes on after {len(found)} tags on {len(asked)} pages")
        return list(found)

    def _page(self, response: requests.Response) -> list[str]:
        """Return the tags of one answer (OCI distribution specification, "Listing Tags")."""
        with contextlib.suppress(ValueError, LookupError, TypeError):
            tags = response.json()["tags"]
            if tags is None:
                return []
            if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
                return tags
        kind = response.headers.get("Content-Type") or "something without a type"
        raise self._cut_list(f"the answer is {kind}, and not a list of tags")

    def _next_page(self, response: requests.Response) -> str:
        """Return the address of the page after this one, "" after the last (RFC 8288)."""
        header = str(response.headers.get("Link", ""))
        links = requests.utils.parse_header_links(header) if header.strip() else []
        relations = [str(link.get("rel", link.get("REL", ""))).lower().split() for link in links]
        if header.strip() and not all(relations):
            raise self._cut_list(f"its header Link names no relation: {header[:200]}")
        targets = [link["url"] for link, names in zip(links, relations, strict=True) if "next" in names]
        if not targets:
            return ""
        address = self._next_address(response, targets[0], "the next page of tags")
        if origin(address) != origin(str(response.url)):
            raise self._cut_list(f"its next page is elsewhere: {address[:200]}")
        return address

    def _next_address(self, response: requests.Response, target: str, what: str) -> str:
        """Return the address that an answer leads to; `RegistryError` where that would leave TLS."""
        if not target:
            message = f"the registry {self._transport.host} names no address for {what}"
            raise RegistryError(message, hint="ask whoever runs the registry")
        address = urljoin(str(response.url), target)
        if origin(address) is None or is_downgrade(str(response.url), address):
            message = f"the registry {self._transport.host} names an address without TLS for {what}"
            cause = f"it names {address[:200]}"
            hint = "tell whoever runs it that its proxy must pass X-Forwarded-Proto on"
            raise RegistryError(message, cause=cause, hint=hint)
        return address

    def _cut_list(self, cause: str) -> RegistryError:
        message = f"the registry {self._transport.host} gives no whole list of the tags of {self.name.path}"
        return RegistryError(message, cause=cause, hint="fix the setting `registry`, or ask who runs it")

    def delete(self, digest: str) -> None:
        """Remove a manifest with all its tags; raises `RegistryError`, also where that is not allowed."""
        self._request("DELETE", f"manifests/{digest}", content=b"")

    def _existing_manifest(self, reference: str) -> Manifest:
        found = self.manifest(reference)
        if found is None:
            name = self._full_name(reference)
            raise RegistryError(f"there is no {name} in the registry", hint="push it, or build it again")
        return found

    def _full_name(self, reference: str) -> ImageRef:
        return self.name.with_digest(reference) if ":" in reference else self.name.with_tag(reference)

    # One request -------------------------------------------------------------------------------------

    def _request(
        self,
        method: str,
        path: str,
        *,
        accept: tuple[str, ...] = (),
        content: bytes | None = None,
        media_type: str = "",
        follow: bool = False,
        actions: str = PULL,
    ) -> requests.Response:
        """Send a request until its response can be used: a success, or a registry's own 404.

        The answer to a HEAD also where the server does not know that method. Writing asks for its own rights.
        """
        if method == "DELETE":
            actions = DELETE
        elif content is not None:
            actions = PUSH
        headers = {"Accept": ", ".join(accept)} if accept else {}
        if media_type:
            headers["Content-Type"] = media_type
        begun, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            outcome = self._attempt(method, path, headers, content, actions, follow=follow)
            response = outcome.response
            if response is not None and outcome.fault is None:
                is_absent = outcome.status == HTTPStatus.NOT_FOUND
                if method == "HEAD" and (is_absent or outcome.status in NO_HEAD):
                    return response
                if is_success(response) or (is_absent and _is_from_registry(response)):
                    return response
            chance = random.random()  # noqa: S311 - no secret
            spent = time.monotonic() - begun
            seconds = retry_delay(attempt, outcome, dt.datetime.now(dt.UTC), chance, spent)
            if seconds is None:
                raise self._failure(path, outcome, attempt)
            self.wait(seconds)

    def _attempt(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        actions: str,
        *,
        follow: bool,
    ) -> Outcome:
        """Send a request once, and with a login where the registry asks for one."""

        def send() -> requests.Response:
            # A registry may send an upload elsewhere; its login is its own.
            url = self._url(path)
            is_own = origin(url) == origin(self._transport.base_url)
            known = self._authorization.get(actions) if is_own else None
            # requests removes the login where a redirect leads to another host.
            sent = {**headers, "Authorization": known} if known else headers
            return self._transport.send(method, url, follow=follow, headers=sent, data=content)

        try:
            outcome = self._transport.reach(send)
            response = outcome.response
            if response is None:
                return outcome
            # Whoever a redirect led to gets no login.
            is_asked_for = response.status_code == HTTPStatus.UNAUTHORIZED
            is_own = origin(self._url(path)) == origin(self._transport.base_url)
            if is_asked_for and not response.history and is_own:
                self._log_in(response.headers.get("WWW-Authenticate", ""), actions)
                if actions in self._authorization:
                    response = send()
        except TokenServiceError as refused:
            return Outcome.from_response(refused.response, fault="token")
        except requests.RequestException as error:
            return Outcome.from_error(error)
        return Outcome.from_response(response)

    def _url(self, path: str) -> str:
        """Return the address of a part of the repository; a registry may name that of what comes next."""
        return path if "://" in path else f"{self._transport.base_url}{self.name.path}/{path}"

    def _log_in(self, challenge: str, actions: str) -> None:
        """Keep the Authorization header that answers a challenge, if there is one."""
        self._login = self.find_login(self.name.domain)
        self._authorization.pop(actions, None)
        scope = f"repository:{self.name.path}:{actions}"
        header = authorize(parse_challenges(challenge), self._login, scope, self._transport)
        if header:
            self._authorization[actions] = header

    def _failure(self, path: str, outcome: Outcome, attempts: int) -> RegistryError:
        host, status, response = self._transport.host, outcome.status, outcome.response
        if response is None:
            return _connection_failure(host, outcome, attempts)
        asked = f"the {'token service of the ' if outcome.fault else ''}registry {host}"
        about = f"about {self.name.path}/{path}"
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            login = self._login
            who = f"as {login.user or 'a token'} ({login.source})" if login else "without a login"
            message = f"{asked} answers {status} {about}, asked {who}"
            cause = _error_text(response) or "the login is missing or wrong, or may not do that"
            return AccessError(message, cause=cause, hint=f"docker login {self.name.domain}")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            when = outcome.retry_after
            message = f"{asked} limits how much may be asked of it {about}"
            cause = f"try again after: {when}{' s' if when.isdigit() else ''}" if when else ""
            hint = "docker login raises the limit of many registries; or wait"
            return RegistryError(message, cause=cause, hint=hint)
        is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        if not outcome.fault and (status == HTTPStatus.NOT_FOUND or is_redirect):
            cause = f"its {status} is not that of the distribution API"
            hint = "fix the setting `registry`, or REGISTRY"
            return RegistryError(f"what answers at {host} is not a registry", cause=cause, hint=hint)
        times = f" (asked {attempts} times)" if attempts > 1 else ""
        hint = "try again later" if status in TRANSIENT else "ask whoever runs the registry"
        message = f"{asked} answers {status} {about}{times}"
        return RegistryError(message, cause=_error_text(response), hint=hint)


def _connection_failure(host: str, outcome: Outcome, attempts: int) -> RegistryError:
    # urllib3 names its objects, and wraps the reason.
    reason = outcome.detail.partition("(Caused by ")[2].rstrip(")") or outcome.detail
    cause = re.sub(r"<[^>]* object at 0x[0-9a-f]+>:? ?", "", reason)[:300]
    if outcome.fault == "certificate":
        message = f"the registry {host} shows a certificate that is not trusted"
        hint = (
            "name the certificate authority of the registry or the proxy in SSL_CERT_FILE, or put it into "
            f"{CERTS / host / 'ca.crt'}; where the registry asks for a certificate of this machine, "
            "client.cert and client.key go there too"
        )
        return RegistryError(message, cause=cause, hint=hint)
    if outcome.fault == "endless":
        message = f"the registry {host} gives an answer that does not end"
        return RegistryError(message, cause=cause, hint="fix the setting `registry`, or ask who runs it")
    if outcome.fault == "downgrade":
        hint = "tell whoever runs it: nothing is sent there"
        return RegistryError(f"the registry {host} leads to an address without TLS", cause=cause, hint=hint)
    if "WRONG_VERSION_NUMBER" in outcome.detail or "RECORD_LAYER_FAILURE" in outcome.detail:
        hint = f"give it TLS, or list {host} in insecure-registries of the engine's daemon.json"
        return RegistryError(f"what answers at {host} does not speak TLS", cause=cause, hint=hint)
    hint = "is it running, and reachable from here? Set REGISTRY, or HAYBALE_LOCAL=true for none"
    message = f"the registry {host} does not answer (asked {attempts} times)"
    return RegistryError(message, cause=cause, hint=hint)


def _is_from_registry(response: requests.Response) -> bool:
    """Return whether a 404 is a registry's: its body or a header of the API tells."""
    with contextlib.suppress(ValueError, LookupError, AttributeError, TypeError):
        if any(error.get("code") in ABSENT for error in response.json()["errors"]):
            return True
    return str(response.headers.get(VERSION_HEADER, "")).startswith("registry/2")


def _first_image(index: Mapping[str, Any]) -> str:
    for each in index.get("manifests", ()):
        if (each.get("platform") or {}).get("os") != "unknown":
            return str(each["digest"])
    raise RegistryError("the registry has an index without an image in it", hint="push the image again")


def _error_text(response: requests.Response) -> str:
    """Return a registry's own explanation of an error, in a line."""
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        return "; ".join(f"{each['code']}: {each.get('message', '')}" for each in response.json()["errors"])
    return ""
