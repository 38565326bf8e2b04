"""Integration tests use the real engine; where there is none they are skipped visibly, in CI they fail."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def engine() -> None:
    """Make sure that a container engine answers."""
    try:
        found = subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        found = False
    if not found:
        message = "no container engine answers (./noxw -s engine)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@dataclass(frozen=True)
class Leftovers:
    """What is on the engine: containers, volumes, networks and image names."""

    containers: frozenset[str]
    volumes: frozenset[str]
    networks: frozenset[str]
    images: frozenset[str]


@pytest.fixture(scope="session")
def on_engine(engine: None) -> Callable[[], Leftovers]:  # noqa: ARG001 - it must answer
    """Give a function that says what is on the engine now."""
    return look


def look() -> Leftovers:

    def listed(*command: str) -> frozenset[str]:
        done = subprocess.run(["docker", *command], capture_output=True, text=True, check=True)
        return frozenset(done.stdout.splitlines())

    return Leftovers(
        containers=listed("ps", "--all", "--format", "{{.Names}}"),
        volumes=listed("volume", "ls", "--format", "{{.Name}}"),
        networks=listed("network", "ls", "--format", "{{.Name}}"),
        images=listed("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"),
    )
