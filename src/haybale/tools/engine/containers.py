"""testcontainers: compose stacks and single containers that live as long as a block."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from typing import TYPE_CHECKING, cast

from docker.errors import DockerException

from haybale.errors import ServiceError
from haybale.tools import process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# testcontainers' own cleaner is one more image from the public hub, with the engine's socket in its hands.
# What haybale starts carries a label and is removed by haybale, so nothing is left to it. To be said before
# the import, which reads the environment.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

from testcontainers.compose import DockerCompose
from testcontainers.core.container import DockerContainer

# It prints a failed command and its streams; our errors say that in their own way.
logging.getLogger("testcontainers").setLevel(logging.CRITICAL)


class UpFailedError(Exception):
    """`docker compose up` failed and `said` why: for compose.py to explain, never for the user to see."""

    def __init__(self, said: str) -> None:
        super().__init__("docker compose up failed")
        self.said = said


def up(file: Path, project: str, env_file: Path) -> None:
    """Bring a compose file's services up and wait until they are healthy; raises `UpFailedError`."""
    # testcontainers has no argument for the name, and the environment is stronger than the file.
    os.environ["COMPOSE_PROJECT_NAME"] = project
    stack = DockerCompose(str(file.parent), compose_file_name=str(file), env_file=str(env_file), wait=True)
    try:
        stack.start()
    except subprocess.CalledProcessError as failed:
        raise UpFailedError((failed.stderr or b"").decode(errors="replace")) from failed
    finally:
        del os.environ["COMPOSE_PROJECT_NAME"]


@contextlib.contextmanager
def started(image: str, port: int, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Run an image for the length of the block: (container id, HOST:PORT), published on loopback only.

    Raises `ServiceError` where it can't be started.
    """
    container = DockerContainer(image).with_kwargs(labels=dict(labels))
    # Its own way to publish takes no address, and would open the port to the network.
    container.ports = cast("dict[str, int | None]", {f"{port}/tcp": ("127.0.0.1", 0)})
    try:
        try:
            container.start()
        except DockerException as error:
            raise ServiceError(f"{image} could not be started", cause=str(error), hint="try again") from error
        identity = container.get_wrapped_container().id or ""
        yield identity, sdk.published_address(identity, port)
    finally:
        with process.uninterrupted():
            container.stop()
