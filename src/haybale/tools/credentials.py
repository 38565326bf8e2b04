"""Logins for registries: as Docker has them, and as CI systems give them. Never printed.

In this order, the first that knows the registry counts:

1. Docker's own: config.json in DOCKER_CONFIG or ~/.docker, with credHelpers, credsStore and auths.
2. DOCKER_AUTH_CONFIG, the content of a config.json (GitLab's documentation, "Use statically-defined
   credentials").
3. CI_REGISTRY_USER and CI_REGISTRY_PASSWORD, for the registry that CI_REGISTRY names (GitLab's "Predefined
   CI/CD variables").
4. GITHUB_TOKEN with GITHUB_ACTOR, for ghcr.io (GitHub's "Working with the Container registry").
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haybale.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What Docker's configuration calls the public hub.
HUB_KEY = "https://index.docker.io/v1/"
GITHUB = "ghcr.io"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A login: user and secret, or an identity token; and where it was found."""

    user: str
    secret: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str


def find(host: str, env: Mapping[str, str] | None = None) -> Credentials | None:
    """Return the login for a registry (docker.io for the hub), None where there is none."""
    env = os.environ if env is None else env
    return _of_docker(host, env) or of_environment(host, env)


def of_environment(host: str, env: Mapping[str, str]) -> Credentials | None:
    """Return the login that the environment gives, which Docker's command line does not know; or None."""
    return _of_auth_config(host, env) or of_ci(host, env)


def _of_auth_config(host: str, env: Mapping[str, str]) -> Credentials | None:
    text = env.get("DOCKER_AUTH_CONFIG", "")
    if not text:
        return None
    try:
        auths = json.loads(text).get("auths", {})
        entry = auths.get(_key(host)) or auths.get(host)
        return _of_entry(entry, "DOCKER_AUTH_CONFIG") if entry else None
    except (ValueError, AttributeError, TypeError):
        # Without what was raised, which has the secret in it.
        raise RegistryError(
            "DOCKER_AUTH_CONFIG can't be read",
            cause="it is not the JSON of a Docker configuration",
            step="mend or unset it",
        ) from None


def _of_entry(entry: Mapping[str, Any], source: str) -> Credentials:
    user, secret = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            user, _, secret = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("auth is not base64") from error
    return Credentials(
        user=user, secret=secret, identity_token=str(entry.get("identitytoken", "")), source=source
    )


def _of_docker(host: str, env: Mapping[str, str]) -> Credentials | None:
    folder = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/")) / ".docker")
    file = folder / "config.json"
    if not file.is_file():
        return None
    # The SDK knows every way in which Docker keeps logins; importing it costs more than most questions.
    import docker.auth  # noqa: PLC0415
    import docker.errors  # noqa: PLC0415

    try:
        known = docker.auth.load_config(str(file)).resolve_authconfig("" if host == "docker.io" else host)
    except docker.errors.DockerException as error:
        raise RegistryError(
            f"Docker's login for {host} can't be had",
            cause=f"{file} names a credential helper that fails: {type(error).__name__}",
            step=f"docker login {host}",
        ) from error
    if not known:
        return None
    return Credentials(
        user=str(known.get("Username") or known.get("username") or ""),
        secret=str(known.get("Password") or known.get("password") or ""),
        identity_token=str(known.get("IdentityToken") or known.get("identitytoken") or ""),
        source=str(file),
    )


def of_ci(host: str, env: Mapping[str, str]) -> Credentials | None:
    """Return the login that a CI system gives for its own registry, None for every other one."""
    user, secret = env.get("CI_REGISTRY_USER", ""), env.get("CI_REGISTRY_PASSWORD", "")
    if user and secret and host == env.get("CI_REGISTRY", ""):
        return Credentials(user=user, secret=secret, source="CI_REGISTRY_USER")
    actor, token = env.get("GITHUB_ACTOR", ""), env.get("GITHUB_TOKEN", "")
    if actor and token and host == GITHUB:
        return Credentials(user=actor, secret=token, source="GITHUB_TOKEN")
    return None


@contextlib.contextmanager
def cli_environment(host: str, env: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Give what `docker push` and `docker pull` need in their environment to have the login for a registry.

    Nothing where Docker has it itself. Else a configuration of its own, for the length of the block, which
    has the user's too; that one is not touched.
    """
    env = os.environ if env is None else env
    found = None if _of_docker(host, env) else of_environment(host, env)
    if found is None:
        yield {}
        return
    own = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/")) / ".docker")
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        configuration = _configuration(own / "config.json")
        auth = base64.b64encode(f"{found.user}:{found.secret}".encode()).decode("ascii")
        entry = {"identitytoken": found.identity_token} if found.identity_token else {"auth": auth}
        configuration.setdefault("auths", {})[_key(host)] = entry
        # A helper or a store would be asked in place of it. An empty helper says that there is none for this
        # registry, and leaves the store for all others (docker/cli, cli/config/configfile/file.go).
        configuration.setdefault("credHelpers", {})[host] = ""
        (Path(folder) / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
        for name in ("cli-plugins", "contexts", "buildx"):
            if (own / name).exists():
                (Path(folder) / name).symlink_to(own / name)
        yield {"DOCKER_CONFIG": folder}


def _configuration(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(host: str) -> str:
    return HUB_KEY if host == "docker.io" else host
