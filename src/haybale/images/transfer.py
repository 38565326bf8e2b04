"""Pulling and pushing by docker's command line: it knows every way in which a machine keeps its logins."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from haybale.errors import BuildError
from haybale.tools import process
from haybale.tools.registry import credentials

if TYPE_CHECKING:
    from haybale.image_ref import ImageRef


class PullRefusal(enum.Enum):
    """Why an image could not be pulled."""

    UNREACHABLE = "the registry cannot be reached"
    ABSENT = "the registry has no such image"
    LIMITED = "the registry limits how many images may be pulled"
    DENIED = "the registry wants a login, or refuses it"
    OTHER = "the engine could not pull it"


# What the engine says, over both of its image stores; the first that matches counts.
_REFUSALS = {
    PullRefusal.LIMITED: r"toomanyrequests|too many requests|\b429\b|pull rate limit",
    PullRefusal.DENIED: (
        r"unauthorized|authentication required|access denied|denied:|\b40[13] (?:Unauthorized|Forbidden)"
    ),
    PullRefusal.UNREACHABLE: (
        r"dial tcp|no such host|connection refused|connection reset|network is unreachable|no route to host"
        r"|i/o timeout|TLS handshake timeout|Client\.Timeout|deadline exceeded|proxyconnect"
        # A proxy that lets nobody through: Go names the status of its answer to CONNECT, and no more.
        r'|(?:Head|Get) "https?://[^"]+": (?:Forbidden|Bad Gateway|Service Unavailable|Gateway Timeout)\s*$'
    ),
    PullRefusal.ABSENT: r"manifest unknown|manifest for .* not found|name unknown|: not found\s*$",
}

_HINTS = {
    PullRefusal.LIMITED: "docker login {domain} raises the limit; or wait and try again",
    PullRefusal.DENIED: "docker login {domain}, or correct the credentials in the docker configuration",
    PullRefusal.UNREACHABLE: "check the network and the image's name, and try again",
    PullRefusal.ABSENT: "check the image's name",
    PullRefusal.OTHER: "try again, or pull it by hand to see more: docker pull {image}",
}


class PullError(BuildError):
    """An image could not be pulled; `refusal` says why."""

    def __init__(self, image: ImageRef, output: str) -> None:
        self.refusal = classify_refusal(output)
        super().__init__(
            f"{image} could not be pulled: {self.refusal.value}",
            cause=(output.strip().splitlines() or ["docker pull printed nothing"])[-1],
            hint=_HINTS[self.refusal].format(domain=image.domain, image=image),
        )


def pull_image(image: ImageRef) -> None:
    """Bring an image from its registry to the engine, under its name; raises `PullError`."""
    with credentials.cli_environment(image.domain) as login:
        pulled = process.run(["docker", "pull", "--quiet", str(image)], env=login)
    if not pulled.ok:
        raise PullError(image, pulled.output)


def push_image(image: ImageRef) -> None:
    """Push the engine's image of a name to its registry; raises `BuildError`."""
    with credentials.cli_environment(image.domain) as login:
        pushed = process.run(["docker", "push", "--quiet", str(image)], env=login)
    if not pushed.ok:
        raise BuildError(
            f"{image} could not be pushed",
            cause=(pushed.output.strip().splitlines() or ["docker push printed nothing"])[-1],
            hint=f"docker login {image.domain}, or correct REGISTRY",
            log=pushed.output,
        )


def classify_refusal(output: str) -> PullRefusal:
    """Return why an image could not be pulled, from what the engine printed."""
    for refusal, pattern in _REFUSALS.items():
        if re.search(pattern, output, flags=re.IGNORECASE | re.MULTILINE):
            return refusal
    return PullRefusal.OTHER
