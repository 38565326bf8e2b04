"""Names of images: pure functions from registry, version and layer."""

from __future__ import annotations

import re

from haybale.errors import ConfigError

# The distribution reference grammar, "tag".
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

# The layer that carries the plain tag.
RELEASE = "release"


def tag(registry: str, version: str) -> str:
    """Return REGISTRY:VERSION; raises `ConfigError` where the version can't be a tag."""
    if not TAG.fullmatch(version):
        raise ConfigError(
            f"{version!r} can't be an image tag",
            cause="a tag has letters, digits, _ . and - only, up to 128, and begins with no . or -",
        )
    return f"{registry}:{version}"


def step_tag(registry: str, version: str, step: str) -> str:
    """Return the image name of a layer: TAG for release, else TAG-layer."""
    return tag(registry, version if step == RELEASE else f"{version}-{step}")


def cache(registry: str, layer: str) -> tuple[str, ...]:
    """Return the build caches of a layer, to read from; the last one is the layer's own, to write to."""
    own = () if layer == RELEASE else (f"{registry}:last-{layer}",)
    return (f"{registry}:last", *own)
