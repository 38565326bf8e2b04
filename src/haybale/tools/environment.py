"""What a child process sees of the environment of whoever calls: nothing that changes what it makes.

Whoever calls may be a git hook, another session, an activated environment, or a shell with settings for
something else. Needs only the standard library, so that the noxfile can use it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Families of variables by how they begin, with those that are kept: who somebody is, and how a server is
# reached. All others of a family are left out: also those that a newer version of the tool brings.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    # git(1), "Environment Variables". What `git rev-parse --local-env-vars` lists means one repository.
    "GIT_": (
        "GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM",
        "GIT_SSH", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_ASKPASS", "GIT_TERMINAL_PROMPT",
        "GIT_ALLOW_PROTOCOL", "GIT_PROTOCOL_FROM_USER", "GIT_EXEC_PATH", "GIT_TEST_",
    ),
    # pip.pypa.io, "Configuration"; the index, how it is reached, and where downloads are kept.
    "PIP_": (
        "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_CERT",
        "PIP_CLIENT_CERT", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT",
        "PIP_RETRIES", "PIP_CONFIG_FILE", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR", "PIP_KEYRING_PROVIDER",
        "PIP_DISABLE_PIP_VERSION_CHECK", "PIP_USE_FEATURE", "PIP_USE_DEPRECATED",
        "PIP_ROOT_USER_ACTION",
    ),
    # docs.astral.sh/uv, "Environment variables"; the same of uv.
    "UV_": (
        "UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INSECURE_HOST",
        "UV_KEYRING_PROVIDER", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS", "UV_HTTP_", "UV_REQUEST_TIMEOUT",
        "UV_CACHE_DIR", "UV_NO_CACHE", "UV_OFFLINE", "UV_LINK_MODE", "UV_CONCURRENT_", "UV_CREDENTIALS_DIR",
    ),
    "NOX": (),
    "TOX_": (),
    "VIRTUALENV_": (),
    "VIRTUAL_ENV": (),
    "CONDA_": (),
    # docs.python.org, "Environment variables"; how it prints and where it keeps compiled files.
    "PYTHON": (
        "PYTHON_IMAGE", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
    ),
    "PYTEST_": (),
    "COVERAGE_": (),
    "MYPY": (),
    "RUFF_": (),
    # docs.docker.com, "Environment variables" of the CLI, Compose and buildx: which engine, and whose login.
    "DOCKER_": (
        "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS",
        "DOCKER_API_VERSION", "DOCKER_AUTH_CONFIG", "DOCKER_CUSTOM_HEADERS", "DOCKER_TMPDIR",
    ),
    "COMPOSE_": (),
    "BUILDX_": ("BUILDX_CONFIG",),
    "BUILDKIT_": (),
    "EXPERIMENTAL_BUILDKIT_": (),
}  # fmt: skip

# Of no family: what shells, tar and compressors read before their arguments, and the time of builds.
ALONE = frozenset({
    "BASH_ENV", "ENV", "CDPATH", "TAR_OPTIONS", "GZIP", "XZ_OPT", "XZ_DEFAULTS", "ZSTD_CLEVEL",
    "SOURCE_DATE_EPOCH",
})  # fmt: skip


def clean_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that child processes may see."""
    return {name: value for name, value in env.items() if is_harmless(name)}


def is_harmless(name: str) -> bool:
    """Return whether a variable says only who somebody is and how servers are reached, or is no tool's."""
    if name in ALONE:
        return False
    for family, kept in FAMILIES.items():
        if name.startswith(family):
            return name.startswith(kept)
    return True
