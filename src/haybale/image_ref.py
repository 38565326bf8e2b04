"""Names of images: pure functions from registry, version and layer, and the names' grammar.

The grammar is that of github.com/distribution/reference (regexp.go, normalize.go), which Docker, BuildKit and
the OCI distribution specification use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from haybale.errors import ConfigError

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
TAG_RULE = "letters, digits, _ . and - only, up to 128, and no . or - at the beginning"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?")

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
PATH = re.compile(rf"{_PART}(?:/{_PART})*")
LONGEST_PATH = 255

# The algorithms that may stand in a digest, with the length of what they give in hex.
DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}")
IDENTIFIER = re.compile(r"[a-f0-9]{64}")

# Where an image without a domain is, and where one without a folder is there.
HUB, OFFICIAL = "docker.io", "library"
OLD_HUB = "index.docker.io"

# The layer that carries the plain tag.
RELEASE = "release"


@dataclass(frozen=True, kw_only=True)
class ImageRef:
    """An image's name in its parts, as Docker completes them; `tag` and `digest` are "" where not given.

    `str` puts them together again, complete: docker.io/library/python:3.13-slim.
    """

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The name without tag and digest."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def parse(name: str) -> ImageRef:
    """Return an image's name in its parts; raises `ConfigError` where it can't be one."""
    if IDENTIFIER.fullmatch(name):
        raise _illegal(name, "it is an image's identifier, not its name")
    rest, at, digest = name.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise _illegal(name, f"{digest!r} is no digest such as sha256: and 64 hexadecimal digits")
    first, slash, path = rest.partition("/")
    # The first part is a domain only where it can't be a folder of the hub's.
    if not slash or not ({".", ":"} & set(first) or first == "localhost" or first != first.lower()):
        first, path = HUB, rest
    domain = HUB if first == OLD_HUB else first
    path, colon, tag = path.partition(":")
    if colon and not TAG.fullmatch(tag):
        raise _illegal(name, f"{tag!r} is no tag: {TAG_RULE}")
    if not DOMAIN.fullmatch(domain):
        raise _illegal(name, f"{domain!r} is no domain with or without a port")
    if not PATH.fullmatch(path) or len(path) > LONGEST_PATH:
        raise _illegal(
            name,
            "between slashes are small letters and digits, with one . or _, two _ or some - between them",
        )
    if domain == HUB and "/" not in path:
        path = f"{OFFICIAL}/{path}"
    return ImageRef(domain=domain, path=path, tag=tag, digest=digest)


def _illegal(name: str, cause: str) -> ConfigError:
    return ConfigError(f"{name!r} can't be an image's name", cause=cause, hint="correct it and try again")


def tag(registry: str, version: str) -> str:
    """Return REGISTRY:VERSION; raises `ConfigError` where the version can't be a tag."""
    if not TAG.fullmatch(version):
        raise ConfigError(f"{version!r} can't be an image tag", cause=f"a tag has {TAG_RULE}")
    return f"{registry}:{version}"


def step_tag(registry: str, version: str, step: str) -> str:
    """Return the image name of a layer: TAG for release, else TAG-layer."""
    return tag(registry, version if step == RELEASE else f"{version}-{step}")


def index(registry: str, key: str) -> str:
    """Return the name of the index image of a key: REGISTRY:solr-KEY."""
    return tag(registry, f"solr-{key}")


def cache(registry: str, layer: str) -> tuple[str, ...]:
    """Return the build caches of a layer, to read from; the last one is the layer's own, to write to."""
    own = () if layer == RELEASE else (tag(registry, f"last-{layer}"),)
    return (tag(registry, "last"), *own)
