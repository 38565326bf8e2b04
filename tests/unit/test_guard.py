"""The doors that conftest.py shuts are shut."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pty
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
import requests

from haybale.image_ref import ImageRef
from haybale.tools import process
from haybale.tools.registry.client import is_registry_available

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = "unit tests start no process"


def swallowing(reach: Callable[[], object]) -> None:
    """Reach out as code does that takes every error for an answer."""
    with contextlib.suppress(Exception):
        reach()


@pytest.mark.parametrize(
    "reach",
    [
        lambda: subprocess.run(["true"], check=True),
        lambda: process.run(["sh", "-c", "true"]),
        lambda: swallowing(lambda: process.run(["sh", "-c", "true"])),
        lambda: os.system("true"),  # noqa: S605
        lambda: os.popen("true"),  # noqa: S605
        lambda: os.fork(),  # noqa: PLW0108 - looked up when it is called, not before
        lambda: pty.fork(),  # noqa: PLW0108
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),  # noqa: S606
        lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        lambda: os.execlp("true", "true"),  # noqa: S606
        lambda: multiprocessing.get_context("spawn").Process(target=print).start(),
        lambda: requests.get("http://127.0.0.1:9/", timeout=1),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: socket.gethostbyname("localhost"),
        lambda: is_registry_available(ImageRef.parse("localhost:9/site")),
    ],
)
def test_guard_refuses_processes_and_connections(reach: Callable[[], object]) -> None:
    with pytest.raises(pytest.fail.Exception, match=REFUSED):
        reach()


def test_guard_refuses_the_engine_s_socket() -> None:
    with socket.socket(socket.AF_UNIX) as door, pytest.raises(pytest.fail.Exception, match=REFUSED):
        door.connect("/var/run/docker.sock")


def test_guard_refuses_datagrams() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as door, pytest.raises(pytest.fail.Exception, match=REFUSED):
        door.sendto(b"?", ("127.0.0.1", 9))


def test_guard_allows_what_stays_in_the_process() -> None:
    """Looking for an executable, and a pair of sockets (an event loop needs one), stay in this process."""
    assert process.find_executable("sh")
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(end) for end in socket.socketpair())
        one.send(b"hello")
        assert other.recv(5) == b"hello"
