"""Services that do not come up, without an engine: what is told of them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import ServiceError
from haybale.tools import process
from haybale.tools.engine import sdk
from haybale.tools.engine.compose import SERVICE_LABEL, Compose, service_failure
from haybale.tools.engine.sdk import ContainerState, HealthAnswer

if TYPE_CHECKING:
    from pathlib import Path

UNHEALTHY = '{"Service": "web", "State": "running", "Health": "unhealthy", "ExitCode": 0}\n'

RAN_OUT = "memory ran out there, and the kernel killed a process"
NOT_SAID = "the engine does not say that memory ran out there"
REFUSED = HealthAnswer(code=1, output="Traceback: long\n/health answered 503")
WEB = sdk.ListedContainer(id="abc", labels={SERVICE_LABEL: "web"}, addresses={8000: "127.0.0.1:32768"})


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compose:
    """Services whose `up` fails, and in which the site is unhealthy then."""

    def run(command: list[str], **_: Any) -> process.Completed:
        return process.Completed(code=0, stdout=UNHEALTHY if "ps" in command else "")

    seen = ContainerState(is_out_of_memory=False, memory_limit=None, health=REFUSED)
    monkeypatch.setattr(sdk, "container_state", lambda _: seen)
    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(sdk, "list_containers", lambda _: [WEB])
    monkeypatch.setattr(sdk, "container_log", lambda *_, **options: f"{options} a line\n")
    monkeypatch.setattr(process, "run_watched", lambda *_, **__: process.Completed(code=1))
    return Compose(files=(tmp_path / "c.yml",), folder=tmp_path, project="p", env_file=tmp_path / "env")


def test_up_names_the_service_that_is_unhealthy(services: Compose) -> None:
    with (
        pytest.raises(ServiceError, match=r"the service web .*did not become healthy") as told,
        services.up(),
    ):
        pass
    assert told.value.cause.endswith("exited with 1 and said: /health answered 503")
    assert told.value.log.startswith(REFUSED.output)


def test_up_saves_the_logs_after_a_failure_of_its_block(tmp_path: Path, services: Compose) -> None:
    with pytest.raises(ServiceError), services.up(logs=tmp_path / "logs"):
        pass
    assert (tmp_path / "logs/web.log").is_file()


@pytest.mark.parametrize(
    ("code", "is_out_of_memory", "limit", "log", "cause"),
    [
        (137, True, 512_000_000, "a\nb", f"it was killed (SIGKILL); {RAN_OUT} (its limit is 512 MB)"),
        (137, False, None, "", f"it was killed (SIGKILL); {NOT_SAID} (it has no limit)"),
        (1, True, None, "b", f"{RAN_OUT} (it has no limit)"),
        (1, False, None, "a\nb\n", "the last line of its log: b"),
        (1, False, None, "", "not known; it printed nothing"),
    ],
)  # fmt: skip
def test_service_failure_tells_what_was_seen(
    code: int, is_out_of_memory: bool, limit: int | None, log: str, cause: str
) -> None:
    seen = ContainerState(is_out_of_memory=is_out_of_memory, memory_limit=limit)
    error = service_failure("web of p", code, seen, log, "h")
    told = (error.message, error.cause, error.hint, error.log)
    assert told == (f"the service web of p exited with {code}", cause, "h", log)


def test_up_tells_first_what_its_watch_finds_when_the_services_failed(services: Compose) -> None:
    def watch() -> None:
        raise ServiceError("Solr's core hay cannot be opened")

    with pytest.raises(ServiceError, match="core hay cannot be opened") as told, services.up(watch=watch):
        pass
    assert isinstance(told.value.__context__, subprocess.CalledProcessError)


def test_published_address_is_that_of_the_port(services: Compose) -> None:
    assert services.published_address("web", 8000) == "127.0.0.1:32768"
    with pytest.raises(ServiceError, match="web publishes no port 8001"):
        services.published_address("web", 8001)


def test_container_id_is_refused_where_a_service_has_no_container(
    services: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert services.container_id("web") == "abc"
    monkeypatch.setattr(sdk, "list_containers", lambda _: [])
    with pytest.raises(ServiceError, match="the service web has no container"):
        services.container_id("web")


def test_save_logs_writes_all_of_a_service_with_times(
    services: Compose, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sdk, "list_containers", lambda _: [WEB, WEB])
    services.save_logs(tmp_path / "logs")
    (file,) = (tmp_path / "logs").glob("*.log")
    assert (file.name, file.read_text(encoding="utf-8")) == ("web.log", "{'timestamps': True} a line\n" * 2)
