"""Whether a verification or a number of counts is valid."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from haybale.errors import LoadError, VerifyError
from haybale.index.loader import follow_loader
from haybale.index.verification import (
    MAX_MISMATCHES,
    VerificationReport,
    VerifiedCore,
    VerifiedModel,
    counts_to_json,
    raise_if_counts_differ,
    raise_if_invalid,
)
from haybale.loader.events import PROTOCOL_VERSION, Difference, LoadProgress

MODEL = VerifiedModel(
    alias="default", core="hay", model="a.b", database=3, documents=2, skipped=1, found=2, queried=2, sample=2
)
CORE = VerifiedCore(core="hay", expected={"a.b": 2}, found={"a.b": 2}, total=2)
GOOD = VerificationReport(
    seed=7, whole=False, models=(MODEL,), cores=(CORE,), wrong=0, differences=(), not_comparable=("unseen",)
)
WRONG = Difference(model="a.b", key="1", field="title", expected="hay", found=None)


def event_line(event: str, **fields: Any) -> str:
    return json.dumps({"haybale": PROTOCOL_VERSION, "event": event, **fields})


VERIFIED = {
    "seed": 7,
    "whole": False,
    "models": [
        {
            "alias": "default",
            "core": "hay",
            "model": "a.b",
            "database": 3,
            "documents": 2,
            "skipped": 1,
            "found": 2,
            "queried": 2,
            "sample": 2,
        }
    ],
    "cores": [{"core": "hay", "expected": {"a.b": 2}, "found": {"a.b": 2}, "total": 2}],
    "wrong": 0,
    "differences": [],
    "not_comparable": ["unseen"],
}


def test_follow_loader_reads_a_report() -> None:
    told: list[LoadProgress] = []
    lines = [
        event_line("progress", alias="default", model="a.b", done=0, total=3),
        event_line("verified", **VERIFIED),
    ]
    assert follow_loader(lines, told.append, last="verified").verification() == GOOD
    assert [progress.total for progress in told] == [3]
    assert GOOD.compared == 2


@pytest.mark.parametrize("missing", sorted(VERIFIED))
def test_follow_loader_refuses_a_report_that_lacks_something(missing: str) -> None:
    part = {name: value for name, value in VERIFIED.items() if name != missing}
    with pytest.raises(LoadError, match="cannot be understood"):
        follow_loader([event_line("verified", **part)], lambda _: None, last="verified")


def test_follow_loader_without_a_report() -> None:
    with pytest.raises(LoadError, match="ended before it was done"):
        follow_loader([], lambda _: None, last="verified")


def test_raise_if_invalid_accepts_a_valid_report() -> None:
    raise_if_invalid(GOOD)
    raise_if_invalid(replace(GOOD, models=(replace(MODEL, sample=0),)))


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (replace(GOOD, models=(replace(MODEL, database=4),)), "the database has 4 rows, the loader read 3"),
        (
            replace(GOOD, models=(replace(MODEL, skipped=0, database=2, sample=0),)),
            "no document was compared",
        ),
        (replace(GOOD, cores=(replace(CORE, found={"a.b": 1}, total=1),)), "a.b: 2 expected, 1 found (-1)"),
        (replace(GOOD, cores=(replace(CORE, found={"a.b": 2, "c": 1}, total=3),)), "c: 0 expected, 1 found"),
        (
            replace(GOOD, cores=(replace(CORE, found={"a.b": 2, "": 1}, total=3),)),
            "without a type: 0 expected",
        ),
        (replace(GOOD, cores=(replace(CORE, total=3),)), "3 documents in all, 2 by their type"),
        (replace(GOOD, cores=(), models=()), "nothing was loaded"),
        (
            replace(GOOD, models=(replace(MODEL, queried=0),)),
            "Solr holds 2 documents, Haystack (default) finds 0",
        ),
        (replace(GOOD, whole=True, models=(replace(MODEL, sample=1),)), "2 documents, 1 compared"),
        (replace(GOOD, wrong=1, differences=(WRONG,)), "a.b 1, field title: expected 'hay', found None"),
    ],
)
def test_raise_if_invalid_names_each_mismatch(report: VerificationReport, sentence: str) -> None:
    with pytest.raises(VerifyError, match="1 mismatch") as caught:
        raise_if_invalid(report)
    assert sentence in caught.value.log
    assert "--seed 7" in caught.value.hint


def test_raise_if_invalid_counts_all_mismatches_and_lists_the_first() -> None:
    report = replace(GOOD, wrong=1000, differences=(WRONG,) * 50)
    with pytest.raises(VerifyError, match="1000 mismatches") as caught:
        raise_if_invalid(report)
    assert len(caught.value.log.splitlines()) == MAX_MISMATCHES + 1
    assert "and 10 more" in caught.value.log


def test_raise_if_counts_differ_accepts_equal_counts() -> None:
    raise_if_counts_differ({"a.b": 2, "c.d": 0}, {"a.b": 2}, "hay")


@pytest.mark.parametrize(
    ("expected", "found", "sentence"),
    [
        ({"a.b": 2}, {}, "a.b: 2 expected, 0 found (-2)"),
        ({}, {"a.b": 2}, "a.b: 0 expected, 2 found (+2), of a type that was not loaded"),
        ({"a.b": 2}, {"a.b": 2, "": 1}, "documents without a type: 0 expected, 1 found"),
    ],
)
def test_raise_if_counts_differ_names_unequal_counts(
    expected: dict[str, int], found: dict[str, int], sentence: str
) -> None:
    with pytest.raises(VerifyError, match="the core hay ") as caught:
        raise_if_counts_differ(expected, found, "hay")
    assert sentence in caught.value.log


def test_counts_to_json_has_one_order() -> None:
    assert counts_to_json({"b": 2, "a": 1}) == counts_to_json({"a": 1, "b": 2}) == '{"a":1,"b":2}'


def test_raise_if_invalid_names_the_setting_for_a_value_that_varies() -> None:
    varying = WRONG._replace(field="indexed", varies=True)
    with pytest.raises(VerifyError) as caught:
        raise_if_invalid(replace(GOOD, wrong=2, differences=(WRONG, varying), exempt=("a.b.seen",)))
    assert caught.value.cause == "another value each time that a row is prepared: a.b.indexed"
    assert caught.value.hint.endswith('verify_ignore = ["a.b.seen", "a.b.indexed"]')


def test_report_keeps_what_is_exempt() -> None:
    report = replace(GOOD, cores=(), exempt=("a.b.seen",))
    assert VerificationReport.from_json(report.to_json()) == report
