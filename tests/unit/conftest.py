"""Unit tests are pure: they start no process and open no connection, not even by accident."""

from __future__ import annotations

import _posixsubprocess
import os
import socket
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

# os.spawn*, os.popen, os.execl* and pty go through these; so does the engine's socket, which is a file.
DOORS = (
    (subprocess, "Popen"),
    (_posixsubprocess, "fork_exec"),
    (os, "system"),
    (os, "fork"),
    (os, "forkpty"),
    (os, "posix_spawn"),
    (os, "posix_spawnp"),
    (os, "execv"),
    (os, "execve"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket.socket, "sendto"),
    (socket.socket, "sendmsg"),
    (socket, "getaddrinfo"),
    (socket, "gethostbyname"),
    (socket, "gethostbyname_ex"),
)


def shut(name: str) -> Callable[..., NoReturn]:
    def door(*_: object, **__: object) -> NoReturn:
        # No Exception: what retries, or takes a silent registry for an absent one, can't swallow it.
        pytest.fail(f"{name}: unit tests start no process and open no connection")

    return door


@pytest.fixture(autouse=True)
def _shut_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in DOORS:
        monkeypatch.setattr(owner, name, shut(name))
