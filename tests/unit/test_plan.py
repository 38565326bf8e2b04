"""The decision over everything that it can be made from."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import get_args

import pytest

from haybale.pipeline import plan as plans
from haybale.pipeline.graph import EDGES, NODES, Edge, State
from haybale.pipeline.plan import Facts, Strategy, plan, text
from haybale.release.event import Kind

FACTS = Facts(
    event="pr-merge",
    evidence="a merge commit of pull request 7",
    branch="main",
    pull="",
    revision="a" * 40,
    released="",
    key="0123456789abcdef0123456789abcdef",
    here=False,
    there=False,
    dump_at_head=False,
    notest="",
    strategy="key",
    publish=True,
)

EVERY = [
    replace(
        FACTS, event=event, released=released, here=here, there=there and not here, dump_at_head=at_head,
        notest=notest, strategy=strategy, publish=publish, pull="7" if event == "pull-request" else "",
    )
    for event, released, here, there, at_head, notest, strategy, publish in itertools.product(
        get_args(Kind), ("", "v1.2.3"), (False, True), (False, True), (False, True), ("", "abc123"),
        get_args(Strategy), (False, True),
    )
]  # fmt: skip


def states(facts: Facts) -> list[State]:
    return [step.state for step in plan(facts).steps]


def run(facts: Facts) -> set[State]:
    return {step.state for step in plan(facts).steps if not step.skip}


def test_every_way_is_one_through_the_graph() -> None:
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


def test_the_index_image_is_made_or_pulled_and_never_both() -> None:
    for facts in EVERY:
        assert len(run(facts) & {State.REGEN_SOLR, State.PULL_SOLR_IMAGE}) == 1


def test_an_index_that_exists_is_not_made_again_by_the_key() -> None:
    for facts in EVERY:
        made = State.REGEN_SOLR in run(facts)
        exists = facts.here or facts.there
        if facts.strategy == "key":
            assert made == (not exists)
        else:
            assert made == (facts.dump_at_head or not exists)


def test_a_version_is_made_of_main_alone_once_and_only_to_be_published() -> None:
    for facts in EVERY:
        on_main = facts.event in {"pr-merge", "direct-push"}
        released = on_main and facts.publish and not facts.released
        bumps = run(facts) & {State.BV_PATCH, State.BV_MERGE}
        assert bool(bumps) == released
        assert (State.PUBLISH in run(facts)) == released
        if released:
            assert bumps == {State.BV_PATCH if facts.event == "pr-merge" else State.BV_MERGE}


def test_tests_are_skipped_only_where_the_commit_says_so_and_then_visibly() -> None:
    for facts in EVERY:
        (step,) = [step for step in plan(facts).steps if step.state == State.RUN_TESTS]
        assert step.skip == bool(facts.notest)
        assert not step.skip or facts.notest in step.reason


def test_a_plan_comes_back_from_its_json() -> None:
    for facts in EVERY:
        planned = plan(facts)
        assert plans.of_json(json.loads(json.dumps(planned.as_json()))) == planned


def test_the_plan_as_json_is_what_the_documentation_says() -> None:
    document = plan(replace(FACTS, here=True)).as_json()
    assert document["version"] == 1
    assert list(document) == ["version", "facts", "steps"]
    assert document["steps"][0] == {
        "state": "onPush", "runs": True, "reason": "a merge commit of pull request 7",
    }  # fmt: skip
    assert [step["state"] for step in document["steps"]] == [
        "onPush", "changeDetected", "newData", "checkCurrentSolrExists", "pullSolrImage", "untagSolrImage",
        "postCheck", "bumpVersion", "bvPatch", "retagSolrImage", "buildTestRunner", "runTests", "publish",
    ]  # fmt: skip


def test_another_version_of_the_json_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        plans.of_json({**plan(FACTS).as_json(), "version": 2})


def test_the_text_names_what_is_not_done_in_brackets() -> None:
    lines = text(plan(replace(FACTS, event="branch", branch="topic"))).splitlines()
    assert any(line.startswith("(publish)") and "the branch topic" in line for line in lines)
    assert any(line.startswith("regenSolr ") for line in lines)
