"""A site's container listens where the site has itself written in, and passes on what comes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from importlib import resources
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

PROGRAM = (resources.files("haybale.images") / "forward.py").read_text(encoding="utf-8")

# Sends what it is given, says that this is all, and prints how much came back.
CLIENT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as service:
    service.sendall(b"x" * int(sys.argv[2]))
    service.shutdown(socket.SHUT_WR)
    found = 0
    while chunk := service.recv(65536):
        found += len(chunk)
print(found)
"""


def serve(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answer whoever comes to a port of this machine, and yield the port."""

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                answer(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def echo() -> Iterator[int]:
    """A service that answers with twice of all that was sent, as soon as that has ended."""

    def answer(client: socket.socket) -> None:
        found = bytearray()
        while chunk := client.recv(65536):
            found += chunk
        client.sendall(found * 2)

    yield from serve(answer)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def forward(port: int, target: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a site's container does, in a session that is ended with it."""
    addresses = json.dumps({port: ["127.0.0.1", target]})
    line = [sys.executable, "-c", PROGRAM, addresses, *command]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        # What passes on outlives the command, and its streams: a container ends with the command.
        running.wait(timeout=120)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        output, errors = running.communicate()
    return subprocess.CompletedProcess(line, running.returncode, output, errors)


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_what_comes_to_the_port_goes_to_the_service_and_back_whole(echo: int, size: int) -> None:
    port = free_port()
    done = forward(port, echo, sys.executable, "-c", CLIENT, str(port), str(size))
    assert (done.returncode, done.stdout.strip()) == (0, str(2 * size)), done.stderr


def test_command_is_the_process_and_has_no_child() -> None:
    program = "import os; print(os.getppid()); os.wait()"
    done = forward(free_port(), 1, sys.executable, "-c", program)
    assert done.stdout.strip() == str(os.getpid())
    assert "ChildProcessError" in done.stderr


def test_connection_ends_where_the_service_does_not_answer() -> None:
    port = free_port()
    done = forward(port, free_port(), sys.executable, "-c", CLIENT, str(port), "0")
    assert done.stdout.strip() in {"0", ""}
    assert "timed out" not in done.stderr


def test_port_that_is_taken_is_named(echo: int) -> None:
    done = forward(echo, 1, "true")
    assert done.returncode == 1
    assert f"cannot listen at 127.0.0.1:{echo}" in done.stderr
