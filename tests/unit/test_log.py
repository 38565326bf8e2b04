"""The log of a run: what is in it after any end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from haybale.errors import UsageError
from haybale.pipeline import journal as log
from haybale.pipeline.graph import State

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    with log.begin(tmp_path) as run:
        run.write("planned", version=1, run=run.name, plan={"steps": []})
        run.write("finished", state=State.UNTAG_SOLR_IMAGE, product={"id": "old"})
        run.write("finished", state=State.UNTAG_SOLR_IMAGE, product={"id": "new"})
    history = log.events(tmp_path / run.name)
    assert [event["event"] for event in history] == ["planned", "finished", "finished"]
    assert log.planned(history) == {"steps": []}
    assert log.product(history, State.UNTAG_SOLR_IMAGE) == {"id": "new"}
    assert log.product(history, State.RUN_TESTS) is None
    assert not log.ended(history)


def test_a_line_that_a_crash_cut_off_is_no_event_and_harms_no_other(tmp_path: Path) -> None:
    with log.begin(tmp_path) as run:
        run.write("planned", version=1, plan={})
        run.write("started", state=State.RUN_TESTS)
    file = tmp_path / run.name / log.EVENTS
    file.write_bytes(file.read_bytes()[:-9])
    assert [event["event"] for event in log.events(tmp_path / run.name)] == ["planned"]
    with log.resume(tmp_path, "") as again:
        again.write("resumed")
    assert [event["event"] for event in log.events(tmp_path / run.name)] == ["planned", "resumed"]


def test_an_event_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    with log.begin(tmp_path) as run:
        run.write("started", state=State.REGEN_SOLR)
        text = (tmp_path / run.name / log.EVENTS).read_text(encoding="utf-8")
    assert json.loads(text)["state"] == "regenSolr"


def test_the_last_run_is_the_one_to_go_on_with(tmp_path: Path) -> None:
    for name in ("20260101-000000-aaaa", "20260102-000000-aaaa"):
        (tmp_path / name).mkdir()
        (tmp_path / name / log.EVENTS).touch()
    with log.resume(tmp_path, "") as run:
        assert run.name == "20260102-000000-aaaa"
    with log.resume(tmp_path, "20260101-000000-aaaa") as run:
        assert run.name == "20260101-000000-aaaa"


def test_there_is_no_going_on_with_what_is_not_there_or_still_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        log.resume(tmp_path, "").__enter__()
    with log.begin(tmp_path) as run, pytest.raises(UsageError, match="still running"):
        log.resume(tmp_path, run.name).__enter__()


def test_dead_are_those_that_neither_passed_nor_run(tmp_path: Path) -> None:
    with log.begin(tmp_path) as passed:
        passed.write("ended", outcome="passed")
    with log.begin(tmp_path) as failed:
        failed.write("ended", outcome="failed")
    with log.begin(tmp_path) as killed:
        killed.write("planned", version=1, plan={})
    with log.begin(tmp_path) as running, log.begin(tmp_path) as living:
        dead = [run.name for run in log.dead(tmp_path, living.name)]
        assert running.name not in dead
    assert sorted(dead) == sorted([failed.name, killed.name])


def test_only_old_runs_that_passed_are_forgotten(tmp_path: Path) -> None:
    for number in range(log.KEPT + 3):
        folder = tmp_path / f"202601{number:02}-000000-aaaa"
        folder.mkdir()
        outcome = "failed" if number == 0 else "passed"
        (folder / log.EVENTS).write_text(
            json.dumps({"event": "ended", "outcome": outcome}) + "\n", encoding="utf-8"
        )
    log.forget_old(tmp_path)
    left = sorted(log.names(tmp_path))
    assert len(left) == log.KEPT + 1
    assert left[0] == "20260100-000000-aaaa"
    assert "20260102-000000-aaaa" not in left
