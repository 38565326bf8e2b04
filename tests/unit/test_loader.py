"""The loader's command line, and following it: its progress, its result, and each way to end."""

from __future__ import annotations

import json
import runpy
import sys
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import ConfigError, LoadError
from haybale.index.audit import Unknown
from haybale.index.cores import UNSET, check_cores
from haybale.index.loader import (
    LOG_LINES,
    Loaded,
    follow_loader,
    loader_command,
)
from haybale.loader.events import PROTOCOL_VERSION, Finding, LoadedModel, LoadProgress
from haybale.tools.process import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = {"alias": "default", "core": "hay", "model": "a.b", "database": 3, "documents": 2, "skipped": 1}


def event_line(event: str, **fields: Any) -> str:
    return json.dumps({"haybale": PROTOCOL_VERSION, "event": event, **fields})


GOOD = [
    event_line("note", text="left out"),
    event_line("progress", alias="default", model="a.b", done=0, total=3),
    "the site prints",
    event_line("progress", alias="default", model="a.b", done=3, total=3),
    event_line("counts", core="hay", field="django_ct", counts={"a.b": 2}),
    event_line("loaded", models=[MODEL], workers=2, batch=500),
]


def failed(lines: list[str] | Iterator[str]) -> LoadError:
    with pytest.raises(LoadError) as caught:
        follow_loader(lines, lambda _: None)
    return caught.value


def ending(code: int, *lines: str) -> Iterator[str]:
    yield from lines
    raise CommandFailedError(["docker", "compose", "exec"], code)


def test_follow_loader_returns_what_was_loaded() -> None:
    told: list[LoadProgress] = []
    loaded = follow_loader(GOOD, told.append)
    assert [(each.done, each.total) for each in told] == [(0, 3), (3, 3)]
    assert loaded == Loaded(
        models=(LoadedModel(alias="default", core="hay", model="a.b", database=3, documents=2, skipped=1),),
        cores={"hay": {"a.b": 2}},
        notes=("left out",),
        workers=2,
        batch=500,
    )
    assert loaded.counts("hay") == {"a.b": 2}


def test_follow_loader_returns_unknown_inputs() -> None:
    finding = {"kind": "file", "what": "topics.json", "by": "prepare_topics"}
    loaded = follow_loader([event_line("unknown-inputs", findings=[finding], total=2), *GOOD], lambda _: None)
    assert loaded.unknown == Unknown(findings=(Finding(**finding),), total=2)


def test_loaded_counts_are_none_for_a_core_that_no_index_writes_to() -> None:
    assert follow_loader(GOOD, lambda _: None).counts("straw") == {}


@pytest.mark.parametrize(
    ("connections", "cores"),
    [
        ({"default": "en"}, ("en",)),
        ({"default": "en", "german": "de", "again": "en"}, ("en", "de")),
    ],
)
def test_check_cores_takes_each_core_once(connections: dict[str, str], cores: tuple[str, ...]) -> None:
    assert check_cores(connections) == cores


@pytest.mark.parametrize(
    ("connections", "words"),
    [
        ({}, "no connection to Solr"),
        ({"default": "en", "german": ""}, "connection german ends with ''"),
        ({"default": "-en"}, "ends with '-en'"),
        ({"default": UNSET}, "connection default has the core that haybale is to name"),
    ],
)
def test_check_cores_names_the_connection_without_a_core(connections: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_cores(connections)


def test_follow_loader_reads_an_event_behind_a_line_without_an_end() -> None:
    lines = [*GOOD[:-1], "no end of line" + GOOD[-1]]
    assert follow_loader(lines, lambda _: None).models


def test_follow_loader_raises_an_error_event() -> None:
    error = failed(
        ending(1, "before", event_line("error", message="w", cause="c", hint="s", log="frames"), "after")
    )
    assert (error.message, error.cause, error.hint) == ("w", "c", "s")
    assert error.log.splitlines() == ["before", "after", "frames"]


@pytest.mark.parametrize("missing", range(1, len(GOOD) + 1))
def test_follow_loader_raises_where_the_stream_ends_early(missing: int) -> None:
    error = failed(GOOD[:-missing])
    assert error.message == "the loader's stream ended before it was done"
    assert "ended with 0" in error.cause


@pytest.mark.parametrize(
    ("code", "cause"),
    [(137, "killed (SIGKILL)"), (127, "no python"), (2, "arguments"), (1, "/haybale"), (255, "not known")],
)
def test_follow_loader_explains_an_exit_code(code: int, cause: str) -> None:
    error = failed(ending(code, *GOOD[:2], "Killed"))
    assert f"exit code {code}" in error.message
    assert cause in error.cause
    assert error.log == "Killed"


def test_follow_loader_raises_for_a_death_after_the_last_event() -> None:
    assert "after its last event" in failed(ending(139, *GOOD)).message


def test_follow_loader_keeps_the_tail_of_the_log() -> None:
    error = failed([str(number) for number in range(1000)])
    assert error.log.splitlines() == [str(number) for number in range(1000 - LOG_LINES, 1000)]


@pytest.mark.parametrize(
    "line",
    [
        event_line("progress")[:-6],
        json.dumps({"haybale": PROTOCOL_VERSION}),
        '{"haybale":',
        event_line("progress", alias="default", model="a.b", done=0),
        event_line("counts", core="hay", counts=[1]),
        event_line("counts", core="hay", counts={"a.b": "many"}),
        event_line("loaded", models=[{**MODEL, "more": 1}]),
        event_line("loaded", models=[{}]),
        event_line("loaded"),
        event_line("unknown-inputs", findings=[{"kind": "file"}], total=1),
    ],
)
def test_follow_loader_refuses_a_malformed_event(line: str) -> None:
    assert "cannot be understood" in failed([*GOOD[:-1], line]).message


def test_follow_loader_refuses_another_version_of_the_protocol() -> None:
    assert "version 99" in failed(['{"haybale": 99, "event": "x"}']).message


def test_follow_loader_does_not_hide_an_error_of_its_callback() -> None:
    def broken(_: LoadProgress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        follow_loader(GOOD, broken)


def test_follow_loader_ignores_unknown_events() -> None:
    assert follow_loader([event_line("weather", sun=True), *GOOD], lambda _: None).models


def test_loader_command() -> None:
    python, dash_c, _, *options = loader_command(batch=500, workers=3, inputs=None)
    assert (python, dash_c) == ("python", "-c")
    assert options == ["--batch", "500", "--workers", "3", "--sample", "0"]
    assert loader_command()[-2:] == ["--inputs", "/haybale/inputs.json"]
    assert loader_command(sample=5, seed=7, inputs=None)[-4:] == ["--sample", "5", "--seed", "7"]


def test_loader_command_puts_the_loader_behind_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(runpy, "run_module", lambda name, run_name: started.append(f"{run_name}: {name}"))
    monkeypatch.setattr(sys, "path", ["", "/site-packages"])
    exec(loader_command()[2], {})  # noqa: S102 - as python -c does
    assert started == ["__main__: haybale_loader"]
    assert sys.path == ["", "/site-packages", "/haybale"]
