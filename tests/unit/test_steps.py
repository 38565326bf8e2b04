from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from haybale.errors import ReleaseError
from haybale.image_ref import ImageRef
from haybale.index.image import IndexImage
from haybale.pipeline import steps
from haybale.pipeline.context import Context
from haybale.pipeline.graph import NODES, Kind
from haybale.pipeline.steps import STEPS, NamedImages, PassedTests, PublishedVersion
from haybale.release.bump import ReleaseTree
from haybale.release.record import Suite
from haybale.version import Version

if TYPE_CHECKING:
    from haybale.pipeline.context import Result

INDEX = IndexImage(
    name=ImageRef.parse("example.org/site:solr-0123"), id="sha256:1", cores={"sotu": {"archive.topic": 3}},
    advice=("add select_related('address')",),
)  # fmt: skip
RESULTS: tuple[Result, ...] = (
    INDEX,
    NamedImages(images={"solr:latest": "sha256:1"}),
    ReleaseTree(path=Path("/x/tree"), commit="a" * 40, version=Version.parse("v1.2.3-r1"), base="b" * 40),
    steps.TestedImages(images={"example.org/site:v1.2.3-r1": "sha256:2", "example.org/site:solr-0123": None}),
    PassedTests(
        images={"example.org/site:v1.2.3-r1": "sha256:2"}, suites={"site": Suite(tests=3, skipped=1)}
    ),
    PublishedVersion(version="v1.2.3-r1", commit="a" * 40, images={"example.org/site:v1.2.3-r1": "sha256:3"}),
)


def context(*results: Result) -> Context:
    """A context that has nothing but results."""
    nothing = cast("Any", None)
    return Context(
        checkout=nothing, built=nothing, key=nothing, store=nothing, env={}, run=nothing, terminal=nothing,
        push_index=False, results=results,
    )  # fmt: skip


def test_steps_are_of_every_state_that_is_a_step() -> None:
    assert set(STEPS) == {node.state for node in NODES if node.kind is Kind.STEP}


@pytest.mark.parametrize("result", RESULTS)
def test_from_dict_reads_what_to_dict_gave(result: Result) -> None:
    assert type(result).from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_results_of_every_step_are_read_back() -> None:
    assert {step.result for step in STEPS.values()} == set(map(type, RESULTS))


def test_find_returns_the_last_result_of_a_kind() -> None:
    old, new = NamedImages(images={"solr:latest": "old"}), NamedImages(images={"solr:latest": "new"})
    assert context(old, new, INDEX).find(NamedImages) is new
    assert context(INDEX).find(ReleaseTree) is None


def test_require_raises_where_no_step_made_a_result() -> None:
    assert context(INDEX).require(IndexImage) is INDEX
    with pytest.raises(ReleaseError, match="ReleaseTree"):
        context(INDEX).require(ReleaseTree)
