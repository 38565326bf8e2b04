"""Names of images, in the grammar of github.com/distribution/reference (regexp.go, normalize.go).

Docker, BuildKit and the OCI distribution specification use that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from haybale.errors import ConfigError

if TYPE_CHECKING:
    from typing import Self

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
TAG_RULE = "letters, digits, _ . and - only, up to 128, and no . or - at the beginning"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?")

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
PATH = re.compile(rf"{_PART}(?:/{_PART})*")
PATH_RULE = "between slashes are lower case letters and digits, with one . or _, two _ or some - between"
LONGEST_PATH = 255

# The algorithms that a digest may have, with the length of their hexadecimal digits.
DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}")
LIKE_DIGEST = re.compile(r"(?:(?:sha|md)\d+:[a-f0-9]*)?", re.IGNORECASE)
IDENTIFIER = re.compile(r"[a-f0-9]{64}")

# Where an image without a domain is, and where one without a folder is there.
HUB, OFFICIAL = "docker.io", "library"
OLD_HUB = "index.docker.io"

# The stage that is released: its images have the plain tag.
RELEASE = "release"


@dataclass(frozen=True, kw_only=True)
class ImageRef:
    """An image's name in its parts, completed as Docker does it: domain, path, and tag or digest or both.

    Without tag and digest it names a repository. `str` is the name as Docker prints it: python:3.13-slim for
    docker.io/library/python:3.13-slim.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, name: str) -> Self:
        """Return the parts of an image's name; raises `ConfigError` where it is not valid."""
        if IDENTIFIER.fullmatch(name):
            raise _invalid(name, "it is an image's identifier, not its name")
        if without_login(name) != name:
            raise _invalid(name, "a login is no part of it: what stands before the @ belongs to docker login")
        rest, at, digest = name.partition("@")
        if at and not DIGEST.fullmatch(digest):
            raise _invalid(name, f"{digest!r} is not a digest such as sha256: and 64 hexadecimal digits")
        domain, path = _complete(rest)
        path, colon, tag = path.partition(":")
        if colon and not TAG.fullmatch(tag):
            raise _invalid(name, f"{tag!r} is not a tag: {TAG_RULE}")
        if not DOMAIN.fullmatch(domain):
            raise _invalid(name, f"{domain!r} is not a domain with or without a port")
        if not PATH.fullmatch(path) or len(path) > LONGEST_PATH:
            raise _invalid(name, PATH_RULE)
        return cls(domain=domain, path=path, tag=tag or None, digest=digest or None)

    @property
    def repository(self) -> str:
        """The complete name without tag and digest."""
        return f"{self.domain}/{self.path}"

    def with_tag(self, tag: str) -> Self:
        """Return this repository's image of a tag; raises `ConfigError` where the tag is not valid."""
        if not TAG.fullmatch(tag):
            message, cause = f"{tag!r} cannot be an image tag", f"a tag has {TAG_RULE}"
            raise ConfigError(message, cause=cause, hint="give it another version")
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Self:
        """Return this repository's image of a digest."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        shorter = (self.path.removeprefix(f"{OFFICIAL}/"), self.path) if self.domain == HUB else ()
        name = next((each for each in shorter if _complete(each) == (HUB, self.path)), self.repository)
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{name}{tag}{digest}"


def stage_image(repository: ImageRef, version: str, stage: str) -> ImageRef:
    """Return the name of a stage's image: REPOSITORY:VERSION for release, else REPOSITORY:VERSION-STAGE."""
    return repository.with_tag(version if stage == RELEASE else f"{version}-{stage}")


def index_image(repository: ImageRef, key: str) -> ImageRef:
    """Return the name of the index image of a key: REPOSITORY:solr-KEY."""
    return repository.with_tag(f"solr-{key}")


def cache_images(repository: ImageRef, stage: str) -> tuple[ImageRef, ...]:
    """Return the build caches of a stage, to read from; the last one is its own, to write to."""
    own = () if stage == RELEASE else (repository.with_tag(f"last-{stage}"),)
    return (repository.with_tag("last"), *own)


def _complete(name: str) -> tuple[str, str]:
    """Return the domain of a name without digest, and what follows it, as Docker completes them."""
    first, slash, path = name.partition("/")
    # The first part is a domain only where it cannot be a folder of the hub's.
    if not slash or not ({".", ":"} & set(first) or first == "localhost" or first != first.lower()):
        first, path = HUB, name
    domain = HUB if first == OLD_HUB else first
    return domain, path if domain != HUB or "/" in path else f"{OFFICIAL}/{path}"


def without_login(name: str) -> str:
    """Return a name without the login that was written before an @; messages show no other."""
    parts = name.split("@")
    digests = sum(1 for _ in takewhile(LIKE_DIGEST.fullmatch, reversed(parts)))
    if digests >= len(parts) - 1:
        return name
    return "@".join(["***", *parts[len(parts) - digests - 1 :]])


def _invalid(name: str, cause: str) -> ConfigError:
    return ConfigError(
        f"{without_login(name)!r} cannot be an image's name", cause=cause, hint="correct it and try again"
    )
