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
NOT_FOUND = "credentials not found in native keychain"
# In place of a user's name: the secret is an identity token.
TOKEN = "<token>"  # noqa: S105 - that is what it is called
# Seconds that a helper gets; one may ask its user to unlock a keychain.
TIMEOUT = 60


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A login: user and secret, or an identity token; and where it was found."""

    user: str
    secret: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str

    @property
    def basic(self) -> str:
        """User and secret in base64, as in Docker's configuration and RFC 7617."""
        return base64.b64encode(f"{self.user}:{self.secret}".encode(errors="surrogateescape")).decode("ascii")


def find_login(host: str, env: Mapping[str, str] | None = None) -> Credentials | None:
    """Return the login for a registry (docker.io for the hub), None where there is none.

    Raises `RegistryError` where a place that may have it cannot be read.
    """
    env = os.environ if env is None else env
    text, file = env.get(VARIABLE), _config_file(env)
    found = _from_config(_parse_config(text, VARIABLE), host, VARIABLE) if text else None
    return found or _from_config(_read_config(file), host, str(file)) or _from_ci_system(host, env)


@contextlib.contextmanager
def cli_environment(host: str, env: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Yield the variables with which `docker push` and `docker pull` have the login for a registry.

    None where Docker's own configuration has it. Else they name a configuration that exists for the length of
    the block and has the user's too; that one is not touched.
    """
    env = os.environ if env is None else env
    found, file, key = find_login(host, env), _config_file(env), _config_key(host)
    if found is None or found.source == str(file):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        config = _read_config(file)
        entry = {"identitytoken": found.identity_token} if found.identity_token else {"auth": found.basic}
        config["auths"] = {**(config.get("auths") or {}), key: entry}
        # A helper or a store would be asked in place of it. An empty helper means that there is none for this
        # registry, and leaves the store for all others.
        config["credHelpers"] = {**(config.get("credHelpers") or {}), key: ""}
        Path(folder, CONFIG).write_text(json.dumps(config), encoding="utf-8")
        for each in file.parent.iterdir() if file.parent.is_dir() else ():
            if each.name != CONFIG:
                Path(folder, each.name).symlink_to(each.absolute())
        yield {"DOCKER_CONFIG": folder}


def _from_ci_system(host: str, env: Mapping[str, str]) -> Credentials | None:
    """Return the login that a CI system gives for its own registry, None for all others."""
    for registry, user, secret in (
        (env.get("CI_REGISTRY"), "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"),
        (GITHUB, "GITHUB_ACTOR", "GITHUB_TOKEN"),
    ):
        if host == registry and env.get(user) and env.get(secret):
            return Credentials(user=env[user], secret=env[secret], source=secret)
    return None


def _config_file(env: Mapping[str, str]) -> Path:
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/"), ".docker"), CONFIG)


def _config_key(host: str) -> str:
    return HUB_KEY if host == HUB else host


def _read_config(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise _unreadable(str(file)) from None
    return _parse_config(text, str(file))


def _parse_config(text: str, source: str) -> dict[str, Any]:
    # As Docker reads it: nothing, and null, are no logins, and what follows the first value does not count.
    text = text.lstrip(" \t\r\n")
    if not text:
        return {}
    with contextlib.suppress(ValueError):
        found, _ = json.JSONDecoder().raw_decode(text)
        if found is None or isinstance(found, dict):
            return found or {}
    raise _unreadable(source)


def _unreadable(source: str) -> RegistryError:
    """Name the place, without the exception: that has the secret in it."""
    cause = "it is not a Docker configuration (JSON, with user:password in base64 as `auth`)"
    hint = f"fix or {'unset' if source == VARIABLE else 'remove'} it"
    return RegistryError(f"{source} cannot be read", cause=cause, hint=hint)


def _from_config(config: Mapping[str, Any], host: str, source: str) -> Credentials | None:
    """Return the login that Docker reads for a registry: where a helper is named, it alone is asked."""
    key = _config_key(host)
    try:
        helpers, auths = _section(config, "credHelpers"), _section(config, "auths")
        helper = str(helpers[key] if key in helpers else config.get("credsStore") or "")
        if helper:
            return _from_helper(helper, key, source)
        # Older logins have a whole address. The hub's has had one all the time, and no other counts.
        entry = auths.get(key) or next((auths[each] for each in auths if _hostname(each) == key), None)
        return _from_entry(entry, source) if entry else None
    except (ValueError, AttributeError, TypeError):
        raise _unreadable(source) from None


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a part of the configuration, empty where it is absent or null; `TypeError` for other types."""
    return {} if config.get(name) is None else {**config[name]}


def _hostname(address: str) -> str:
    """Return the host (and port) of an address (docker/cli, cli/config/credentials: ConvertToHostname)."""
    _, scheme, rest = address.partition("://")
    host = (rest if scheme else address).partition("/")[0]
    return re.split(r"[?#]", host)[0].rpartition("@")[2] if scheme else host


def _from_entry(entry: Mapping[str, Any], source: str) -> Credentials | None:
    user, secret = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        # Docker passes over line breaks, and takes passwords in any encoding.
        decoded = base64.b64decode(re.sub(r"[\r\n]", "", entry["auth"]), validate=True)
        user, colon, secret = decoded.decode(errors="surrogateescape").partition(":")
        secret = secret.strip("\0")
        if not (user and colon):
            raise ValueError("no user:password")
    token = str(entry.get("identitytoken", ""))
    if not (user or secret or token):
        # Docker leaves an empty entry where a helper has, or had, the login.
        return None
    return Credentials(user=user, secret=secret, identity_token=token, source=source)


def _from_helper(name: str, key: str, source: str) -> Credentials | None:
    """Ask a program that keeps logins: the registry on its input, JSON on its output. It is never shown."""
    program, message = HELPER + name, f"the login for {key} is not available"
    if not HELPER_NAME.fullmatch(name) or process.find_executable(program) is None:
        cause = f"{source} names {program!r} for it, which is not on PATH"
        raise RegistryError(message, cause=cause, hint=f"install it, or remove it from {source}")
    done = process.run([program, "get"], stdin=key, timeout=TIMEOUT)
    if not done.ok and NOT_FOUND in done.stdout:
        return None
    with contextlib.suppress(ValueError, LookupError, TypeError):
        answer = json.loads(done.stdout) if done.ok else {}
        user, secret = str(answer["Username"]), str(answer["Secret"])
        if user == TOKEN:
            return Credentials(user="", secret="", identity_token=secret, source=source)
        # Some have an empty answer in place of none.
        return Credentials(user=user, secret=secret, source=source) if user or secret else None
    result = "printed no login" if done.ok else f"exited with {done.code}"
    cause = f"{program}, which {source} names for it, {result}"
    raise RegistryError(message, cause=cause, hint=f"try {program} list, or remove it from {source}")
