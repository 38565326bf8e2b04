"""Which variables child processes see, and how compose is told its own."""

from __future__ import annotations

import json

import pytest

from haybale.tools.engine.compose import parse_states
from haybale.tools.environment import clean_environment, is_harmless

# What people have in their shells, in activated environments, in hooks of git and in CI jobs.
HOSTILE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT", "GIT_NAMESPACE", "GIT_EXTERNAL_DIFF",
    "GIT_LITERAL_PATHSPECS", "GIT_TRACE", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_CONSTRAINT",
    "PIP_REQUIRE_VIRTUALENV", "PIP_NO_BINARY", "UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT",
    "NOX_DEFAULT_VENV_BACKEND", "NOXSESSION", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX",
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTEST_ADDOPTS",
    "PYTEST_PLUGINS", "MYPYPATH", "COMPOSE_PROFILES", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME",
    "COMPOSE_ENV_FILES", "DOCKER_DEFAULT_PLATFORM", "DOCKER_BUILDKIT", "BUILDX_BUILDER",
    "BUILDKIT_PROGRESS", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "SOURCE_DATE_EPOCH", "TAR_OPTIONS",
    "BASH_ENV", "CDPATH",
)  # fmt: skip

# Without these, people could not reach their index, registry or remote, or would be somebody else.
NEEDED = (
    "PATH", "HOME", "LANG", "TMPDIR", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "SSH_AUTH_SOCK",
    "GIT_AUTHOR_NAME", "GIT_COMMITTER_EMAIL", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "GIT_ASKPASS",
    "GIT_SSL_CAINFO", "PIP_INDEX_URL", "PIP_CERT", "PIP_CONFIG_FILE", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
    "UV_INDEX_OURS_PASSWORD", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY", "PYTHON_IMAGE", "REGISTRY", "CI", "GITHUB_TOKEN", "HAYBALE_LOCAL",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_clean_environment_leaves_out(name: str) -> None:
    assert clean_environment({name: "x", "PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.parametrize("name", NEEDED)
def test_is_harmless_keeps(name: str) -> None:
    assert is_harmless(name)


def test_parse_states_reads_both_forms_of_compose() -> None:
    one, two = {"Service": "web", "State": "exited"}, {"Service": "solr", "State": "running"}
    lines = f"{json.dumps(one)}\n{json.dumps(two)}\n"
    assert parse_states(lines) == parse_states(json.dumps([one, two])) == [one, two]
    assert parse_states("") == parse_states("[]") == []
