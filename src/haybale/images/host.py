"""What a build needs of this machine to reach packages, and no image may keep."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# Where a machine names its certificate bundle: OpenSSL's, requests', pip's and curl's variables.
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")

# A BuildKit secret holds no more bytes (moby/buildkit, session/secrets: MaxSecretSize).
SECRET_LIMIT = 500 * 1024

# The options of pip's configuration that say where packages are.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy")


def proxy_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that say which proxy to use."""
    return tuple(variable for variable in PROXIES if env.get(variable))


def find_ca_bundle(env: Mapping[str, str]) -> Path | None:
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
                f"{path} is too large for a build: it has {size // 1024} KB, a build secret at most "
                f"{SECRET_LIMIT // 1024} KB",
                cause=f"{variable} names a bundle with more than is needed",
                hint=f"set {CA_VARIABLES[0]} to a file with just the certificates that downloads need",
            )
        return path.resolve()
    return None


def write_secrets(folder: Path, env: Mapping[str, str]) -> dict[str, Path]:
    """Return this machine's BuildKit secrets (id -> file); what has no file yet is written to `folder`."""
    bundle = find_ca_bundle(env)
    secrets = {"ca": bundle} if bundle else {}
    configuration = pip_configuration(env, pip_files(env))
    if configuration is not None:
        secrets["pip"] = folder / "pip.conf"
        secrets["pip"].write_text(configuration, encoding="utf-8")
    return secrets


def pip_files(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the places of pip's configuration, weakest first (pip documentation, "Configuration")."""
    home = Path(env.get("HOME", "/"))
    named = env.get("PIP_CONFIG_FILE")
    return (
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        *([Path(named)] if named else []),
    )


def pip_configuration(env: Mapping[str, str], files: Sequence[Path]) -> str | None:
    """Return a pip.conf with where this machine finds packages; None where it does not say."""
    found: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file, encoding="utf-8")
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {key: value for key, value in parser.items(section) if key in PIP_KEYS}
    named = {key: env.get("PIP_" + key.upper().replace("-", "_")) for key in PIP_KEYS}
    found |= {key: value for key, value in named.items() if value}
    return "".join(["[global]\n", *(f"{key} = {value}\n" for key, value in found.items())]) if found else None
