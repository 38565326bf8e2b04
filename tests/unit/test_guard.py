"""The doors that conftest.py shuts are shut."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
import requests

from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable

REFUSED = "unit tests start no process"


@pytest.mark.parametrize(
    "reach",
    [
        lambda: subprocess.run(["true"], check=True),
        lambda: process.run(["sh", "-c", "true"]),
        lambda: os.system("true"),  # noqa: S605
        lambda: os.fork(),  # noqa: PLW0108 - looked up when it is called, not before
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        lambda: requests.get("http://127.0.0.1:9/", timeout=1),
    ],
)
def test_a_unit_test_can_t_leave_its_process(reach: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=REFUSED):
        reach()


def test_not_even_the_engine_s_socket() -> None:
    with socket.socket(socket.AF_UNIX) as door, pytest.raises(AssertionError, match=REFUSED):
        door.connect("/var/run/docker.sock")
