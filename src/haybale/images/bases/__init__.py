"""Base images: what is on the engine, else pulled, else built from packages under the same name.

Only "no image hub can be reached" and "it is not there" lead to building; a refused login or a rate limit is
an error, because the image is there and something else would take its place.
"""

from __future__ import annotations

import enum
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from haybale.errors import BuildError, PrerequisiteError
from haybale.image_ref import ImageRef
from haybale.images.bases import packages
from haybale.tools import process
from haybale.tools.engine import sdk
from haybale.tools.registry import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Where a machine names its certificate bundle: OpenSSL's, requests', pip's and curl's variables.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")

# A BuildKit secret holds no more bytes (moby/buildkit, session/secrets: MaxSecretSize).
SECRET_LIMIT = 500 * 1024


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base image on the engine: its name, its digest (its id where no registry has it), its origin."""

    ref: str
    digest: str
    origin: Literal["local", "pulled", "packages"]


class Refusal(enum.Enum):
    """Why an image could not be pulled."""

    UNREACHABLE = "no image hub can be reached"
    ABSENT = "the image hub has no such image"
    LIMITED = "the image hub limits how many images may be pulled"
    DENIED = "the image hub wants a login, or refuses it"
    OTHER = "the engine could not pull it"


# What the engine says, over both of its image stores; the first that matches counts.
_SAID = (
    (Refusal.LIMITED, r"toomanyrequests|too many requests|\b429\b|pull rate limit"),
    (
        Refusal.DENIED,
        r"unauthorized|authentication required|access denied|denied:|\b40[13] (?:Unauthorized|Forbidden)",
    ),
    (
        Refusal.UNREACHABLE,
        (
            r"dial tcp|no such host|connection refused|connection reset|network is unreachable"
            r"|no route to host|i/o timeout|TLS handshake timeout|Client\.Timeout|deadline exceeded"
            r"|proxyconnect"
            # A proxy that lets nobody through: Go names the status of its answer to CONNECT, and no more.
            r'|(?:Head|Get) "https?://[^"]+": '
            r"(?:Forbidden|Bad Gateway|Service Unavailable|Gateway Timeout)\s*$"
        ),
    ),
    (Refusal.ABSENT, r"manifest unknown|manifest for .* not found|name unknown|: not found\s*$"),
)

_STEPS = {
    Refusal.LIMITED: "docker login raises the limit; or wait and try again",
    Refusal.DENIED: "docker login, or mend the credentials in the docker configuration",
    Refusal.OTHER: "try again, or pull it by hand to see more: docker pull {ref}",
}


def ensure(ref: str, kind: str, say: Callable[[str], None]) -> Base:
    """Make sure that the base image `ref` of a kind ("python", "solr", "postgres") is on the engine.

    Raises `BuildError` where it can be neither pulled nor built, `PrerequisiteError` where no engine answers.
    """
    found = sdk.find_image(ref)
    if found is not None:
        return Base(ref=ref, digest=found.digest, origin="local")
    say(f"pulling {ref}")
    # The command line, not the SDK: it knows every way in which a machine may keep its logins.
    with credentials.cli_environment(ImageRef.parse(ref).domain) as login:
        pulled = process.run(["docker", "pull", "--quiet", ref], env=login)
    if pulled.ok:
        return Base(ref=ref, digest=_there(ref).digest, origin="pulled")
    refusal = judge(pulled.output)
    said = pulled.output.strip().splitlines()[-1:] or [""]
    if refusal not in {Refusal.UNREACHABLE, Refusal.ABSENT}:
        raise BuildError(
            f"{ref} could not be pulled: {refusal.value}",
            cause=said[0],
            hint=_STEPS[refusal].format(ref=ref),
        )
    if not packages.can_build(ref, kind):
        buildable = ", ".join(packages.buildable(kind)) or "nothing"
        raise BuildError(
            f"{ref} could not be pulled: {refusal.value}",
            cause=f"{said[0]}\nand from packages haybale can build only: {buildable}",
            hint=f"reach a hub, load the image (docker load), or set {kind.upper()}_IMAGE to one of these",
        )
    say(f"{refusal.value}; building {ref} from packages (about a minute)")
    packages.build(ref, kind, ca_bundle(os.environ), say)
    return Base(ref=ref, digest=_there(ref).digest, origin="packages")


def judge(said: str) -> Refusal:
    """Return why the engine could not pull an image, from what it said."""
    for refusal, pattern in _SAID:
        if re.search(pattern, said, flags=re.IGNORECASE | re.MULTILINE):
            return refusal
    return Refusal.OTHER


def ca_bundle(env: Mapping[str, str]) -> Path | None:
    """Return the certificate bundle that this machine names for its tools, None where it names none.

    For builds, as the secret `ca`. Raises `PrerequisiteError` where it is larger than a secret may be.
    """
    named = ((variable, Path(env[variable])) for variable in CA_VARIABLES if env.get(variable))
    for variable, path in named:
        if not path.is_file():
            continue
        size = path.stat().st_size
        if size > SECRET_LIMIT:
            raise PrerequisiteError(
                f"{path} can't be given to a build: it has {size // 1024} KB, a build secret has at most "
                f"{SECRET_LIMIT // 1024} KB",
                cause=f"{variable} names a bundle with more than is needed",
                hint=f"set {CA_VARIABLES[0]} to a file with just the certificates that downloads need",
            )
        return path.resolve()
    return None


def _there(ref: str) -> sdk.ImageInfo:
    found = sdk.find_image(ref)
    if found is None:
        raise BuildError(f"{ref} was made and is not there", cause="somebody removed it", hint="try again")
    return found
