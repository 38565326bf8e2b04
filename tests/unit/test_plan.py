"""The decision over everything that it can be made from."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from haybale.config import HookSettings
from haybale.pipeline.graph import EDGES, NODES, Edge, Facts, Strategy
from haybale.pipeline.plan import Plan, make_plan
from haybale.release.event import EventKind
from haybale.states import State

FACTS = Facts(
    event="pr-merge",
    evidence="a merge commit of pull request 7",
    branch="main",
    pull=None,
    revision="a" * 40,
    released=None,
    key="0123456789abcdef0123456789abcdef",
    image_local=False,
    image_in_registry=False,
    dump_at_head=False,
    notest=None,
    strategy="key",
    publish=True,
)

EVERY = [
    replace(
        FACTS, event=event, released=released, image_local=here, image_in_registry=there and not here,
        dump_at_head=at_head, notest=notest, strategy=strategy, publish=publish,
        pull="7" if event == "pull-request" else None,
    )
    for event, released, here, there, at_head, notest, strategy, publish in itertools.product(
        get_args(EventKind), (None, "v1.2.3"), (False, True), (False, True), (False, True), (None, "abc123"),
        get_args(Strategy), (False, True),
    )
]  # fmt: skip


def states(facts: Facts) -> list[State]:
    return [step.state for step in make_plan(facts).steps]


def run(facts: Facts) -> set[State]:
    return {step.state for step in make_plan(facts).steps if not step.skip}


def test_make_plan_has_the_hooks_of_what_is_not_skipped() -> None:
    hooks = {name: HookSettings(before=("a",), after=("b", "c")) for name in ("bumpVersion", "runTests")}
    plan = make_plan(replace(FACTS, event="branch"), hooks)
    found = {step.state: (step.before, step.after) for step in plan.steps if step.before or step.after}
    assert found == {State.RUN_TESTS: (("a",), ("b", "c"))}
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_make_plan_follows_edges_of_the_graph() -> None:
    """From a state to the next there is an edge, or the way into or out of a composite state."""
    for facts in EVERY:
        way = states(facts)
        assert way[0] == State.ON_PUSH
        assert way[-1] == State.PUBLISH
        for before, after in itertools.pairwise(way):
            assert any(leads(edge, before, after) for edge in EDGES), f"{before} -> {after}"


def leads(edge: Edge, before: State, after: State) -> bool:
    if edge.source is None:
        return (edge.within, edge.target) == (before, after)
    inside = {node.state: node.inside for node in NODES}
    return (edge.target == after and edge.source in {before, inside[before]}) or inside[after] == before


def test_make_plan_makes_or_pulls_the_index_image_and_never_both() -> None:
    for facts in EVERY:
        assert len(run(facts) & {State.REGEN_SOLR, State.PULL_SOLR_IMAGE}) == 1


def test_make_plan_by_key_makes_no_index_that_exists() -> None:
    for facts in EVERY:
        made = State.REGEN_SOLR in run(facts)
        exists = facts.image_local or facts.image_in_registry
        if facts.strategy == "key":
            assert made == (not exists)
        else:
            assert made == (facts.dump_at_head or not exists)


def test_make_plan_makes_a_version_of_main_once_and_only_to_be_published() -> None:
    for facts in EVERY:
        on_main = facts.event in {"pr-merge", "direct-push"}
        released = on_main and facts.publish and not facts.released
        bumps = run(facts) & {State.BV_PATCH, State.BV_MERGE}
        assert bool(bumps) == released
        assert (State.PUBLISH in run(facts)) == released
        if released:
            assert bumps == {State.BV_PATCH if facts.event == "pr-merge" else State.BV_MERGE}


def test_make_plan_skips_tests_only_where_the_commit_says_so_and_gives_that_as_reason() -> None:
    for facts in EVERY:
        (step,) = [step for step in make_plan(facts).steps if step.state == State.RUN_TESTS]
        assert step.skip == bool(facts.notest)
        assert (facts.notest or "") in step.reason


def test_from_dict_reads_what_to_dict_gave() -> None:
    for facts in EVERY:
        planned = make_plan(facts)
        assert Plan.from_dict(json.loads(json.dumps(planned.to_dict()))) == planned


def test_to_dict_has_the_documented_form() -> None:
    document = make_plan(replace(FACTS, image_local=True)).to_dict()
    assert document["version"] == 2
    assert list(document) == ["version", "facts", "steps"]
    assert document["steps"][0] == {
        "state": "onPush", "runs": True, "reason": "a merge commit of pull request 7",
    }  # fmt: skip
    assert [step["state"] for step in document["steps"]] == [
        "onPush", "changeDetected", "newData", "checkCurrentSolrExists", "pullSolrImage", "untagSolrImage",
        "postCheck", "bumpVersion", "bvPatch", "retagSolrImage", "buildTestRunner", "runTests", "publish",
    ]  # fmt: skip


def test_to_dict_has_just_the_documented_facts() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `facts` \| (.+) \|$", page, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(make_plan(FACTS).to_dict()["facts"])


def test_from_dict_refuses_another_version() -> None:
    with pytest.raises(ValueError, match="version 3"):
        Plan.from_dict({**make_plan(FACTS).to_dict(), "version": 3})
