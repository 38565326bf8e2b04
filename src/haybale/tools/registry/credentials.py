"""Logins for registries: as Docker has them, and as CI systems give them. Never printed.

In this order, the first that knows the registry counts:

1. DOCKER_AUTH_CONFIG, the content of a config.json. It comes first for Docker's command line too (from 28.3
   on; docker/cli, cli/config/configfile/file.go), and for GitLab's runners.
2. config.json in DOCKER_CONFIG or ~/.docker: credHelpers, else credsStore, else auths.
3. CI_REGISTRY_USER and CI_REGISTRY_PASSWORD, for the registry that CI_REGISTRY names (GitLab's "Predefined
   CI/CD variables").
4. GITHUB_TOKEN with GITHUB_ACTOR, for ghcr.io (GitHub's "Working with the Container registry").
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haybale.errors import RegistryError
from haybale.image_ref import HUB
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What Docker's configuration calls the public hub.
HUB_KEY = "https://index.docker.io/v1/"
GITHUB = "ghcr.io"

VARIABLE = "DOCKER_AUTH_CONFIG"
CONFIG = "config.json"

# The programs that keep logins, and their answer where they have none (docker/docker-credential-helpers,
# credentials/error.go). A name with a path in it would run whatever lies there.
HELPER = "docker-credential-"
HELPER_NAME = re.compile(r"[\w.-]+")
UNKNOWN = "credentials not found in native keychain"
# In place of a user's name: the secret is an identity token.
TOKEN = "<token>"  # noqa: S105 - that is what it is called
# Seconds that a helper gets; one may ask somebody to unlock a keychain.
TIMEOUT = 60


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A login: user and secret, or an identity token; and where it was found."""

    user: str
    secret: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str


def find_login(host: str, env: Mapping[str, str] | None = None) -> Credentials | None:
    """Return the login for a registry (docker.io for the hub), None where there is none.

    Raises `RegistryError` where a place that may have it cannot be read.
    """
    env = os.environ if env is None else env
    return _from_variable(host, env) or _from_file(host, env) or _from_ci_system(host, env)


@contextlib.contextmanager
def cli_environment(host: str, env: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Give what `docker push` and `docker pull` need in their environment to have the login for a registry.

    Nothing where Docker's own configuration has it. Else a configuration for the length of the block, which
    has the user's too; that one is not touched.
    """
    env = os.environ if env is None else env
    found = find_login(host, env)
    own = _config_folder(env)
    if found is None or found.source == str(own / CONFIG):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        configuration = _read_file(own / CONFIG)
        auth = base64.b64encode(f"{found.user}:{found.secret}".encode()).decode("ascii")
        entry = {"identitytoken": found.identity_token} if found.identity_token else {"auth": auth}
        configuration["auths"] = {**(configuration.get("auths") or {}), _config_key(host): entry}
        # A helper or a store would be asked in place of it. An empty helper says that there is none for this
        # registry, and leaves the store for all others.
        configuration["credHelpers"] = {**(configuration.get("credHelpers") or {}), _config_key(host): ""}
        Path(folder, CONFIG).write_text(json.dumps(configuration), encoding="utf-8")
        for each in own.iterdir() if own.is_dir() else ():
            if each.name != CONFIG:
                Path(folder, each.name).symlink_to(each.absolute())
        yield {"DOCKER_CONFIG": folder}


def _from_variable(host: str, env: Mapping[str, str]) -> Credentials | None:
    text = env.get(VARIABLE, "")
    return _from_configuration(_parse(text, VARIABLE), host, VARIABLE) if text else None


def _from_file(host: str, env: Mapping[str, str]) -> Credentials | None:
    file = _config_folder(env) / CONFIG
    return _from_configuration(_read_file(file), host, str(file))


def _from_ci_system(host: str, env: Mapping[str, str]) -> Credentials | None:
    """Return the login that a CI system gives for its own registry, None for every other one."""
    user, secret = env.get("CI_REGISTRY_USER", ""), env.get("CI_REGISTRY_PASSWORD", "")
    if user and secret and host == env.get("CI_REGISTRY", ""):
        return Credentials(user=user, secret=secret, source="CI_REGISTRY_USER")
    actor, token = env.get("GITHUB_ACTOR", ""), env.get("GITHUB_TOKEN", "")
    if actor and token and host == GITHUB:
        return Credentials(user=actor, secret=token, source="GITHUB_TOKEN")
    return None


# Docker's configuration ---------------------------------------------------------------------------------


def _config_folder(env: Mapping[str, str]) -> Path:
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/")) / ".docker")


def _config_key(host: str) -> str:
    return HUB_KEY if host == HUB else host


def _read_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise _unreadable(str(file)) from None
    return _parse(text, str(file))


def _parse(text: str, source: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise _unreadable(source)


def _unreadable(source: str) -> RegistryError:
    """Name the place, without what was raised: that has the secret in it."""
    return RegistryError(
        f"{source} cannot be read",
        cause="it is not a Docker configuration (JSON, with user:password in base64 as `auth`)",
        hint=f"fix or {'unset' if source == VARIABLE else 'remove'} it",
    )


def _from_configuration(document: Mapping[str, Any], host: str, source: str) -> Credentials | None:
    """Return the login that Docker reads for a registry: where a helper is named, it alone is asked."""
    key = _config_key(host)
    try:
        helpers = _object(document, "credHelpers")
        helper = str(helpers[key] if key in helpers else document.get("credsStore") or "")
        if helper:
            return _from_helper(helper, key, source)
        auths = _object(document, "auths")
        # Older logins stand under a whole address.
        entry = auths.get(key) or next((auths[each] for each in auths if _hostname(each) == host), None)
        return _from_entry(entry, source) if entry else None
    except (ValueError, AttributeError, TypeError):
        raise _unreadable(source) from None


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of the configuration, empty where it is absent or null; `TypeError` for other types."""
    part = document.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise TypeError(name)
    return part


def _hostname(address: str) -> str:
    return re.sub(r"^https?://", "", address).partition("/")[0]


def _from_entry(entry: Mapping[str, Any], source: str) -> Credentials | None:
    user, secret = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        user, colon, secret = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        secret = secret.strip("\0")
        if not (user and colon):
            raise ValueError("no user:password")
    token = str(entry.get("identitytoken", ""))
    # Docker leaves an empty entry where a helper has, or had, the login.
    return (
        Credentials(user=user, secret=secret, identity_token=token, source=source) if user or token else None
    )


def _from_helper(name: str, key: str, source: str) -> Credentials | None:
    """Ask a program that keeps logins: the registry on its input, JSON on its output. It is never shown."""
    program = HELPER + name
    if not HELPER_NAME.fullmatch(name) or process.find_executable(program) is None:
        raise RegistryError(
            f"the login for {key} is not available",
            cause=f"{source} names {program!r} for it, which is not on PATH",
            hint=f"install that program, or take it out of {source}",
        )
    done = process.run([program, "get"], stdin=key, timeout=TIMEOUT)
    if not done.ok and UNKNOWN in done.stdout:
        return None
    with contextlib.suppress(ValueError, LookupError, TypeError):
        answer = json.loads(done.stdout) if done.ok else {}
        user, secret = str(answer["Username"]), str(answer["Secret"])
        if user == TOKEN:
            return Credentials(user="", secret="", identity_token=secret, source=source)
        # Some have an empty answer in place of none.
        return Credentials(user=user, secret=secret, source=source) if user or secret else None
    raise RegistryError(
        f"the login for {key} is not available",
        cause=f"{program}, which {source} names for it, exited with {done.code}"
        + (" and gave no login" if done.ok else ""),
        hint=f"try {program} list, or take it out of {source}",
    )
