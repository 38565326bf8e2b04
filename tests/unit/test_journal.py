"""The journal of a run: what is in it after any end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from haybale.errors import UsageError
from haybale.pipeline import journal
from haybale.pipeline.graph import Facts
from haybale.pipeline.journal import Ended, Event, Failed, Finished, Planned, Resumed, Started
from haybale.pipeline.plan import Plan, PlannedStep
from haybale.states import State

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan(
    facts=Facts(
        event="branch", evidence="topic is checked out", branch="topic", pull=None, revision="a" * 40,
        released=None, key="0123456789abcdef0123456789abcdef", image_local=False, image_in_registry=False,
        dump_at_head=False, notest=None, strategy="key", publish=False,
    ),
    steps=(PlannedStep(state=State.ON_PUSH, reason="topic is checked out"),),
)  # fmt: skip
EVENTS = (
    Planned(run="20260101-000000-aaaa", plan=PLAN.to_dict()),
    Resumed(),
    Started(state=State.REGEN_SOLR),
    Finished(state=State.REGEN_SOLR, outcome="done", seconds=1.5, result={"id": "sha256:1"}),
    Failed(state=State.RUN_TESTS, message="tests failed: site"),
    Ended(outcome="failed"),
)


def finished(state: State, result: dict[str, str]) -> Finished:
    return Finished(state=state, outcome="done", seconds=0.0, result=result)


@pytest.mark.parametrize("event", EVENTS)
def test_event_from_dict_reads_what_event_to_dict_gave(event: Event) -> None:
    document = json.loads(json.dumps({"time": "", **journal.event_to_dict(event)}))
    assert document["event"] in journal.EVENTS
    assert journal.event_from_dict(document) == event


def test_read_history_reads_what_write_wrote(tmp_path: Path) -> None:
    with journal.begin_run(tmp_path) as run:
        run.write(Planned(run=run.name, plan=PLAN.to_dict()))
        run.write(finished(State.UNTAG_SOLR_IMAGE, {"id": "old"}))
        run.write(finished(State.UNTAG_SOLR_IMAGE, {"id": "new"}))
        assert run.history() == journal.read_history(run.folder)
    history = journal.read_history(tmp_path / run.name)
    assert [type(event) for event in history.events] == [Planned, Finished, Finished]
    assert history.plan == PLAN
    assert history.last_result(State.UNTAG_SOLR_IMAGE) == {"id": "new"}
    assert history.last_result(State.RUN_TESTS) is None
    assert not history.has_passed


def test_history_has_no_plan_of_another_version(tmp_path: Path) -> None:
    with journal.begin_run(tmp_path) as run:
        run.write(Planned(run=run.name, plan=PLAN.to_dict(), version=journal.FORMAT_VERSION - 1))
    assert run.history().events
    assert run.history().plan is None


def test_history_has_no_plan_whose_form_is_unknown(tmp_path: Path) -> None:
    with journal.begin_run(tmp_path) as run:
        run.write(Planned(run=run.name, plan={**PLAN.to_dict(), "version": 0}))
    assert run.history().plan is None


def test_read_history_ignores_fields_that_it_does_not_know(tmp_path: Path) -> None:
    lines = ['{"event": "finished", "state": "onPush", "outcome": "done", "seconds": 0, "product": {}}',
             '{"event": "ended", "outcome": "passed"}']  # fmt: skip
    (tmp_path / journal.FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    history = journal.read_history(tmp_path)
    assert history.has_passed
    assert history.last_result(State.ON_PUSH) is None


def test_read_history_ignores_a_line_that_a_crash_cut_off(tmp_path: Path) -> None:
    with journal.begin_run(tmp_path) as run:
        run.write(Planned(run=run.name, plan={}))
        run.write(Started(state=State.RUN_TESTS))
    file = tmp_path / run.name / journal.FILE
    file.write_bytes(file.read_bytes()[:-9])
    assert [type(event) for event in run.history().events] == [Planned]
    with journal.resume_run(tmp_path) as again:
        again.write(Resumed())
    assert [type(event) for event in run.history().events] == [Planned, Resumed]


def test_write_returns_when_the_event_is_in_the_file(tmp_path: Path) -> None:
    with journal.begin_run(tmp_path) as run:
        run.write(Started(state=State.REGEN_SOLR))
        text = (tmp_path / run.name / journal.FILE).read_text(encoding="utf-8")
    document = json.loads(text)
    assert document.pop("time")
    assert document == {"event": "started", "state": "regenSolr"}


def test_resume_run_takes_the_last_one_unless_another_is_named(tmp_path: Path) -> None:
    for name in ("20260101-000000-aaaa", "20260102-000000-aaaa"):
        (tmp_path / name).mkdir()
        (tmp_path / name / journal.FILE).touch()
    with journal.resume_run(tmp_path) as run:
        assert run.name == "20260102-000000-aaaa"
    with journal.resume_run(tmp_path, "20260101-000000-aaaa") as run:
        assert run.name == "20260101-000000-aaaa"


def test_resume_run_refuses_what_is_missing_or_still_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        journal.resume_run(tmp_path).__enter__()
    with journal.begin_run(tmp_path) as run, pytest.raises(UsageError, match="still running"):
        journal.resume_run(tmp_path, run.name).__enter__()


def test_dead_runs_neither_passed_nor_run(tmp_path: Path) -> None:
    with journal.begin_run(tmp_path) as passed:
        passed.write(Ended(outcome="passed"))
    with journal.begin_run(tmp_path) as failed:
        failed.write(Ended(outcome="failed"))
    with journal.begin_run(tmp_path) as killed:
        killed.write(Planned(run=killed.name, plan={}))
    with journal.begin_run(tmp_path) as running, journal.begin_run(tmp_path) as living:
        dead = [run.name for run in journal.dead_runs(tmp_path, living.name)]
        assert running.name not in dead
    assert sorted(dead) == sorted([failed.name, killed.name])


def test_remove_old_runs_removes_only_old_ones_that_passed(tmp_path: Path) -> None:
    for number in range(journal.KEPT + 3):
        folder = tmp_path / f"202601{number:02}-000000-aaaa"
        folder.mkdir()
        outcome = "failed" if number == 0 else "passed"
        (folder / journal.FILE).write_text(
            json.dumps({"event": "ended", "outcome": outcome}) + "\n", encoding="utf-8"
        )
    journal.remove_old_runs(tmp_path)
    left = sorted(journal.run_names(tmp_path))
    assert len(left) == journal.KEPT + 1
    assert left[0] == "20260100-000000-aaaa"
    assert "20260102-000000-aaaa" not in left
