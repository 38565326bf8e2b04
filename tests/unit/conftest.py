"""Unit tests are pure: they start no process and open no connection, not even by accident."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

DOORS = (
    (subprocess, "Popen"),
    (os, "system"),
    (os, "fork"),
    (os, "posix_spawn"),
    (os, "posix_spawnp"),
    (os, "execv"),
    (os, "execve"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket, "getaddrinfo"),
)


class ReachedOutError(AssertionError):
    """A unit test tried to leave this process."""


def shut(name: str) -> Callable[..., NoReturn]:
    def door(*_: object, **__: object) -> NoReturn:
        raise ReachedOutError(f"{name}: unit tests start no process and open no connection")

    return door


@pytest.fixture(autouse=True)
def _shut_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in DOORS:
        monkeypatch.setattr(owner, name, shut(name))
