"""haybale and the `docker` command find the same engine, whatever names it; or that is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

SOCKET = "unix:///var/run/docker.sock"
PROGRAM = (
    "from haybale.errors import HaybaleError\n"
    "from haybale.tools.engine import sdk\n"
    "try:\n    print(sdk.client().info()['ID'])\n"
    "except HaybaleError as error:\n    print(error, error.cause, error.hint, sep='\\n')\n"
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A user's own configuration of Docker, with two contexts."""
    folder = tmp_path / "docker"
    own = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    if (own / "cli-plugins").is_dir():
        (folder / "cli-plugins").symlink_to(own / "cli-plugins")
    for name, host in (
        ("here", SOCKET),
        ("nowhere", "tcp://127.0.0.1:1"),
        ("far", "ssh://nobody@127.0.0.1:1"),
    ):
        docker(folder, "context", "create", name, "--docker", f"host={host}")
    return folder


def docker(config: Path, *arguments: str, **env: str) -> str:
    clean = {
        name: value for name, value in os.environ.items() if name not in {"DOCKER_HOST", "DOCKER_CONTEXT"}
    }
    command = ["docker", *arguments]
    env = {**clean, "DOCKER_CONFIG": str(config), **env}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()


def haybales(config: Path, **env: str) -> str:
    """Return the ID of the engine that haybale finds, or what it says where it finds none."""
    clean = {
        name: value for name, value in os.environ.items() if name not in {"DOCKER_HOST", "DOCKER_CONTEXT"}
    }
    env = {**clean, "DOCKER_CONFIG": str(config), **env}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip()


def test_client_follows_the_context_as_docker_does(config: Path) -> None:
    engine = docker(config, "info", "--format", "{{.ID}}", DOCKER_CONTEXT="here")
    assert haybales(config, DOCKER_CONTEXT="here") == engine
    docker(config, "context", "use", "here")
    assert haybales(config) == engine
    docker(config, "context", "use", "nowhere")
    assert haybales(config, DOCKER_CONTEXT="default") == engine
    assert haybales(config, DOCKER_HOST=SOCKET, DOCKER_CONTEXT="nowhere") == engine


@pytest.mark.parametrize("context", ["nowhere", "far"])
def test_client_names_the_context_behind_which_no_engine_answers(config: Path, context: str) -> None:
    said = haybales(config, DOCKER_CONTEXT=context)
    assert f"no container engine answers where the context {context} leads to" in said
    assert "docker context use default" in said


def test_client_refuses_another_engine_than_docker_s(config: Path) -> None:
    """The SDK does not find a context where there is no config.json, and takes the default engine."""
    (config / "config.json").unlink()
    said = haybales(config, DOCKER_CONTEXT="nowhere")
    assert said.startswith("the context nowhere leads `docker` and haybale to two engines")
    assert "docker context use default" in said
