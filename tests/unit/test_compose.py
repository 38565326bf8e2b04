"""Services that do not come up, without an engine: what is told of them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import ServiceError
from haybale.tools import process
from haybale.tools.engine.compose import Compose

if TYPE_CHECKING:
    from pathlib import Path

UNHEALTHY = '{"Service": "web", "State": "running", "Health": "unhealthy", "ExitCode": 0}\n'


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    """Services whose `up` fails, and in which the site is unhealthy then."""

    def run(command: list[str], **_: Any) -> process.Completed:
        return process.Completed(code=0, stdout=UNHEALTHY if "ps" in command else "")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "run_merged", run)
    monkeypatch.setattr(process, "run_watched", lambda *_, **__: process.Completed(code=1))
    return Compose(files=(tmp_path / "c.yml",), folder=tmp_path, project="p", env_file=tmp_path / "env")


def test_up_names_the_service_that_is_unhealthy(services: Compose) -> None:
    with pytest.raises(ServiceError, match=r"the service web .*did not become healthy"), services.up():
        pass


def test_up_tells_first_what_its_watch_finds_when_the_services_failed(services: Compose) -> None:
    def watch() -> None:
        raise ServiceError("Solr's core hay cannot be opened")

    with pytest.raises(ServiceError, match="core hay cannot be opened") as told, services.up(watch=watch):
        pass
    assert isinstance(told.value.__context__, subprocess.CalledProcessError)
