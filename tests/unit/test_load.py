"""Following the loader: its progress, its result, and each way to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import LoadError
from haybale.index import audit
from haybale.index import loader as load
from haybale.tools.process import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = {"alias": "default", "core": "hay", "model": "a.b", "database": 3, "documents": 2, "skipped": 1}


def said(event: str, **fields: Any) -> str:
    return json.dumps({"haybale": 1, "event": event, **fields})


GOOD = [
    said("note", text="left out"),
    said("progress", alias="default", model="a.b", done=0, total=3),
    "the site prints",
    said("progress", alias="default", model="a.b", done=3, total=3),
    said("counts", core="hay", field="django_ct", counts={"a.b": 2}),
    said("loaded", models=[MODEL], workers=2, batch=500),
]


def failed(lines: list[str] | Iterator[str]) -> LoadError:
    with pytest.raises(LoadError) as caught:
        load.load(lines, lambda _: None)
    return caught.value


def ending(code: int, *lines: str) -> Iterator[str]:
    yield from lines
    raise CommandFailedError(["docker", "compose", "exec"], code)


def test_a_whole_stream() -> None:
    told: list[load.Progress] = []
    loaded = load.load(GOOD, told.append)
    assert [(each.done, each.total) for each in told] == [(0, 3), (3, 3)]
    assert loaded == load.Loaded(
        models=(load.Model(alias="default", core="hay", model="a.b", database=3, documents=2, skipped=1),),
        cores={"hay": {"a.b": 2}},
        notes=("left out",),
        workers=2,
        batch=500,
    )
    assert loaded.counts("hay") == {"a.b": 2}
    assert json.loads(load.dump(loaded)) == {"models": [MODEL], "counts": {"hay": {"a.b": 2}}}


def test_what_was_read_and_is_no_input() -> None:
    finding = {"kind": "file", "what": "topics.json", "by": "prepare_topics"}
    loaded = load.load([said("unknown-inputs", findings=[finding], total=2), *GOOD], lambda _: None)
    assert loaded.unknown == audit.Unknown(findings=(audit.Finding(**finding),), total=2)
    assert "topics" not in load.dump(loaded)


def test_a_core_that_was_not_loaded() -> None:
    with pytest.raises(LoadError, match="nothing into the core 'straw', but into hay"):
        load.load(GOOD, lambda _: None).counts("straw")


def test_an_event_behind_a_line_without_an_end_is_heard() -> None:
    lines = [*GOOD[:-1], "no end of line" + GOOD[-1]]
    assert load.load(lines, lambda _: None).models


def test_an_error_event_is_the_error() -> None:
    error = failed(ending(1, "before", said("error", what="w", cause="c", step="s", log="frames"), "after"))
    assert (error.message, error.cause, error.hint) == ("w", "c", "s")
    assert error.log.splitlines() == ["before", "after", "frames"]


@pytest.mark.parametrize("missing", range(1, len(GOOD) + 1))
def test_a_stream_that_ends_early_is_a_death(missing: int) -> None:
    error = failed(GOOD[:-missing])
    assert error.message == "the loader's stream ended before it was done"
    assert "container is gone" in error.cause


@pytest.mark.parametrize(
    ("code", "cause"), [(137, "memory"), (127, "no python"), (2, "load.py"), (255, "container may be gone")]
)
def test_an_exit_code_tells_why(code: int, cause: str) -> None:
    error = failed(ending(code, *GOOD[:2], "Killed"))
    assert f"exit code {code}" in error.message
    assert cause in error.cause
    assert error.log == "Killed"


def test_a_death_after_the_last_event_is_a_failure_too() -> None:
    assert "after its last event" in failed(ending(139, *GOOD)).message


def test_only_the_tail_of_the_log_is_kept() -> None:
    error = failed([str(number) for number in range(1000)])
    assert error.log.splitlines() == [str(number) for number in range(1000 - load.TAIL, 1000)]


@pytest.mark.parametrize(
    "line",
    [
        '{"haybale": 1, "event": "progr',
        '{"haybale": 1}',
        '{"haybale":',
        said("progress", alias="default", model="a.b", done=0),
        said("counts", core="hay", counts=[1]),
        said("counts", core="hay", counts={"a.b": "many"}),
        said("loaded", models=[{**MODEL, "more": 1}]),
        said("loaded", models=[{}]),
        said("loaded"),
        said("unknown-inputs", findings=[{"kind": "file"}], total=1),
    ],
)
def test_a_malformed_event(line: str) -> None:
    assert "can't be understood" in failed([*GOOD[:-1], line]).message


def test_another_version_of_the_protocol() -> None:
    assert "version 2" in failed(['{"haybale": 2, "event": "x"}']).message


def test_a_fault_of_the_listener_is_not_the_loaders() -> None:
    def broken(_: load.Progress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        load.load(GOOD, broken)


def test_events_of_a_later_haybale_are_passed_over() -> None:
    assert load.load([said("weather", sun=True), *GOOD], lambda _: None).models


def test_the_command_line() -> None:
    started = ["python", "/haybale/load.py", "--batch", "500", "--workers", "3", "--sample", "0"]
    assert load.command(500, 3, inputs="") == started
    assert load.command()[-2:] == ["--inputs", f"/haybale/{audit.FILE}"]
