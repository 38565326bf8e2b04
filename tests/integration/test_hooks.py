"""Hooks of the pipeline: real commands around steps that stand in for those of a push."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from haybale import config, errors
from haybale.checkout import Checkout
from haybale.errors import HookError
from haybale.index.key import Component, Key
from haybale.pipeline import journal, runner
from haybale.pipeline.context import Context, Result
from haybale.pipeline.graph import Facts
from haybale.pipeline.plan import make_plan
from haybale.pipeline.runner import Runner
from haybale.pipeline.steps import STEPS, Step
from haybale.states import State
from haybale.terminal import Terminal
from haybale.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haybale.images.store import ImageStore

pytestmark = pytest.mark.integration

FACTS = Facts(
    event="branch", evidence="topic is checked out", branch="topic", pull=None, revision="a" * 40,
    released=None, key="0" * 32, image_local=True, image_in_registry=False, dump_at_head=False,
    notest=None, strategy="key", publish=False,
)  # fmt: skip

# Writes down what it was told, and how it was called.
NOTE = """\
#!/bin/sh
tr -d '\\n' >>told.jsonl
printf '\\n' >>told.jsonl
echo "noted $1" in "$(basename "$PWD")"
test "$1" != fail || { echo "no, not today" >&2; exit 3; }
"""


@dataclass(frozen=True, kw_only=True)
class Made(Result):
    """What every step makes here."""

    name: str


class Pipeline:
    """A repository with hooks, and steps that make nothing."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.done, self.failing = root, list[str](), set[State]()
        self.present = False
        monkeypatch.setattr(runner, "STEPS", {state: self.stand_in(state) for state in STEPS})
        script = root / "ci/note"
        script.parent.mkdir(parents=True)
        script.write_text(NOTE, encoding="utf-8")
        script.chmod(0o755)

    def stand_in(self, state: State) -> Step[Made]:
        return Step(run=lambda _: self.step(state), result=Made, is_present=lambda *_: self.present)

    def step(self, state: State) -> Made:
        self.done.append(str(state))
        if state in self.failing:
            raise errors.TestsFailedError("2 tests failed", cause="they did", hint="look")
        return Made(name=str(state))

    def run(self, hooks: str, *, resumed: journal.Run | None = None) -> dict[str, Any]:
        """Run it, with these tables below [tool.haybale.hooks]; return the run's summary."""
        (self.root / "pyproject.toml").write_text(
            f'[tool.haybale]\nname = "site"\nregistry = "r.example/site"\n{hooks}', encoding="utf-8"
        )
        project = config.load(self.root, {})
        version = Version.parse("v1.2.3")
        checkout = Checkout(project=project, env={}, version=version, head=None)
        key = Key.from_components([Component(name="dump", digest="0" * 64)])
        plan = make_plan(FACTS, project.settings.hooks)
        history = resumed.history() if resumed else None
        with self.begin(resumed) as run:
            context = Context(
                checkout=checkout, built=checkout, key=key, store=cast("ImageStore", None), env={}, run=run,
                terminal=Terminal(), push_index=False, is_resumed=resumed is not None,
            )  # fmt: skip
            if resumed is None:
                run.write(journal.Planned(run=run.name, plan=plan.to_dict()))
            try:
                Runner(context, plan, history).run_steps()
            finally:
                self.last = replace(run)
            return dict(json.loads((run.folder / "summary.json").read_text(encoding="utf-8")))

    @contextlib.contextmanager
    def begin(self, resumed: journal.Run | None) -> Iterator[journal.Run]:
        runs = self.root / ".haybale/runs"
        begun = journal.resume_run(runs, resumed.name) if resumed else journal.begin_run(runs)
        with begun as run:
            yield run

    def told(self) -> list[dict[str, Any]]:
        """What the hooks were told, in order; it is forgotten then."""
        file = self.root / "told.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    # Called from another folder: hooks run from the repository's root.
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Pipeline(tmp_path / "repository", monkeypatch)


def moments(told: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(each["when"], each["state"], each["outcome"]) for each in told]


def test_hooks_run_around_steps_and_groups(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    note = 'before = ["./ci/note \'to start\'"]\nafter = ["ci/note"]\n'
    tables = "".join(
        f"[tool.haybale.hooks.{state}]\n{note}"
        for state in ("onPush", "changeDetected", "newData", "pullSolrImage", "bumpVersion", "runTests")
    )
    assert pipeline.run(tables)["outcome"] == "passed"
    told = pipeline.told()
    assert moments(told) == [
        ("before", "onPush", None),
        ("before", "changeDetected", None),
        ("before", "newData", None),
        ("after", "newData", "done"),
        ("before", "pullSolrImage", None),
        ("after", "pullSolrImage", "done"),
        ("after", "changeDetected", "done"),
        ("before", "runTests", None),
        ("after", "runTests", "done"),
        ("after", "onPush", "done"),
    ]
    pulled = told[5]
    assert pulled["version"] == 1
    assert pulled["result"] == {"name": "pullSolrImage"}
    assert pulled["facts"]["branch"] == "topic"
    assert (pulled["release"], pulled["error"], pulled["run"]) == ("v1.2.3", None, pipeline.last.name)
    assert "noted to start in repository" in capsys.readouterr().err


def test_hook_before_that_fails_stops_the_pipeline(pipeline: Pipeline) -> None:
    tables = (
        '[tool.haybale.hooks.untagSolrImage]\nbefore = ["ci/note", "ci/note fail", "ci/note"]\n'
        'after = ["ci/note"]\n[tool.haybale.hooks.onPush]\nafter = ["ci/note"]\n'
    )
    with pytest.raises(HookError, match="the hook before untagSolrImage failed: ci/note fail") as told:
        pipeline.run(tables)
    assert told.value.cause == "it exited with 3"
    assert "no, not today" in told.value.log
    assert "[tool.haybale.hooks.untagSolrImage]" in told.value.hint
    assert pipeline.done == ["pullSolrImage"]
    documents = pipeline.told()
    assert moments(documents)[2:] == [("after", "untagSolrImage", "failed"), ("after", "onPush", "failed")]
    assert documents[-1]["error"] == {
        "code": 15, "message": told.value.message, "cause": told.value.cause, "hint": told.value.hint,
    }  # fmt: skip
    summary = json.loads((pipeline.last.folder / "summary.json").read_text(encoding="utf-8"))
    assert (summary["outcome"], summary["steps"][-1]["state"]) == ("failed", "untagSolrImage")


def test_hook_after_runs_where_the_step_failed_and_hides_no_failure(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.failing = {State.RUN_TESTS}
    with pytest.raises(errors.TestsFailedError, match="2 tests failed"):
        pipeline.run('[tool.haybale.hooks.runTests]\nafter = ["ci/note fail"]\n')
    (told,) = pipeline.told()
    assert (told["outcome"], told["error"]["message"], told["result"]) == ("failed", "2 tests failed", None)
    assert "the hook after runTests failed" in capsys.readouterr().err


def test_hook_after_that_fails_fails_the_run_and_not_the_step(pipeline: Pipeline) -> None:
    with pytest.raises(HookError, match="the hook after pullSolrImage failed"):
        pipeline.run('[tool.haybale.hooks.pullSolrImage]\nafter = ["ci/note fail"]\n')
    summary = json.loads((pipeline.last.folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["outcome"] == "failed"
    assert {step["state"]: step["outcome"] for step in summary["steps"]}["pullSolrImage"] == "done"
    assert summary["error"]["code"] == 15


def test_hooks_of_a_resumed_run_are_those_that_were_not_run(pipeline: Pipeline) -> None:
    tables = "".join(
        f'[tool.haybale.hooks.{state}]\nbefore = ["ci/note"]\nafter = ["ci/note"]\n'
        for state in ("pullSolrImage", "untagSolrImage")
    )
    pipeline.failing, pipeline.present = {State.UNTAG_SOLR_IMAGE}, True
    with pytest.raises(errors.TestsFailedError):
        pipeline.run(tables)
    assert len(pipeline.told()) == 4
    pipeline.failing = set()
    pipeline.run(tables, resumed=pipeline.last)
    assert moments(pipeline.told()) == [
        ("before", "untagSolrImage", None), ("after", "untagSolrImage", "done"),
    ]  # fmt: skip


def test_hook_after_runs_again_where_it_failed_before_the_run_was_resumed(pipeline: Pipeline) -> None:
    pipeline.present = True
    with pytest.raises(HookError):
        pipeline.run('[tool.haybale.hooks.pullSolrImage]\nafter = ["ci/note fail"]\n')
    pipeline.told()
    pipeline.run('[tool.haybale.hooks.pullSolrImage]\nafter = ["ci/note"]\n', resumed=pipeline.last)
    assert moments(pipeline.told()) == [("after", "pullSolrImage", "resumed")]
    assert pipeline.done.count("pullSolrImage") == 1


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        ("./ci/missing", "is not there, or is not executable"),
        ("no-such-command-here --x", "is not there, or is not executable"),
        ("./ci/plain", "is not there, or is not executable"),
        ("./ci/garbled", "a script begins with #!"),
    ],
)
def test_hook_that_cannot_be_run_is_told(pipeline: Pipeline, command: str, cause: str) -> None:
    (pipeline.root / "ci/plain").write_text("#!/bin/sh\n", encoding="utf-8")
    garbled = Path(pipeline.root / "ci/garbled")
    garbled.write_text("echo without an interpreter\n", encoding="utf-8")
    garbled.chmod(0o755)
    with pytest.raises(HookError, match="the hook before onPush could not be run") as told:
        pipeline.run(f'[tool.haybale.hooks.onPush]\nbefore = ["{command}"]\n')
    assert cause in told.value.cause
