"""Judging a verification, and counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from haybale.errors import LoadError, VerifyError
from haybale.index import loader as load
from haybale.index import verification as verify

MODEL = verify.Model(
    alias="default", core="hay", model="a.b", database=3, documents=2, skipped=1, found=2, queried=2, sample=2
)
CORE = verify.Core(core="hay", expected={"a.b": 2}, found={"a.b": 2}, total=2)
GOOD = verify.Report(
    seed=7, whole=False, models=(MODEL,), cores=(CORE,), wrong=0, differences=(), not_comparable=("unseen",)
)
WRONG = verify.Difference(model="a.b", key="1", field="title", expected="hay", found=None)


def said(event: str, **fields: Any) -> str:
    return json.dumps({"haybale": 1, "event": event, **fields})


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


def test_a_report_is_read() -> None:
    told: list[load.Progress] = []
    lines = [said("progress", alias="default", model="a.b", done=0, total=3), said("verified", **VERIFIED)]
    assert verify.verify(lines, told.append) == GOOD
    assert [progress.total for progress in told] == [3]
    assert GOOD.compared == 2


@pytest.mark.parametrize("missing", sorted(VERIFIED))
def test_a_report_that_lacks_something(missing: str) -> None:
    part = {name: value for name, value in VERIFIED.items() if name != missing}
    with pytest.raises(LoadError, match="can't be understood"):
        verify.verify([said("verified", **part)])


def test_no_report() -> None:
    with pytest.raises(LoadError, match="ended before it was done"):
        verify.verify([])


def test_a_good_report_passes() -> None:
    verify.judge(GOOD)
    verify.judge(replace(GOOD, models=(replace(MODEL, sample=0),)))


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (replace(GOOD, models=(replace(MODEL, database=4),)), "the database has 4 rows, the loader met 3"),
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
def test_each_mismatch_is_told(report: verify.Report, sentence: str) -> None:
    with pytest.raises(VerifyError, match="1 mismatch") as caught:
        verify.judge(report)
    assert sentence in caught.value.log
    assert "--seed 7" in caught.value.hint


def test_all_mismatches_count_but_not_all_are_listed() -> None:
    report = replace(GOOD, wrong=1000, differences=(WRONG,) * 50)
    with pytest.raises(VerifyError, match="1000 mismatches") as caught:
        verify.judge(report)
    assert len(caught.value.log.splitlines()) == verify.LISTED + 1
    assert "and 10 more" in caught.value.log


def test_equal_counts_pass() -> None:
    verify.check_counts({"a.b": 2, "c.d": 0}, {"a.b": 2})


@pytest.mark.parametrize(
    ("expected", "found", "sentence"),
    [
        ({"a.b": 2}, {}, "a.b: 2 expected, 0 found (-2)"),
        ({}, {"a.b": 2}, "a.b: 0 expected, 2 found (+2), of a type that was not loaded"),
        ({"a.b": 2}, {"a.b": 2, "": 1}, "documents without a type: 0 expected, 1 found"),
    ],
)
def test_unequal_counts(expected: dict[str, int], found: dict[str, int], sentence: str) -> None:
    with pytest.raises(VerifyError) as caught:
        verify.check_counts(expected, found)
    assert sentence in caught.value.log


def test_counts_are_shown_in_one_order() -> None:
    assert verify.shown({"b": 2, "a": 1}) == verify.shown({"a": 1, "b": 2}) == '{"a":1,"b":2}'


def test_the_command_line_carries_what_was_loaded() -> None:
    loaded = load.Loaded(models=(), cores={"hay": {"a.b": 2}})
    command = verify.command(loaded, 50, 7)
    assert command[:6] == ["python", "/haybale/verify.py", "--sample", "50", "--seed", "7"]
    assert json.loads(command[-1]) == {"models": [], "counts": {"hay": {"a.b": 2}}}
    assert "--seed" not in verify.command(loaded, 50)
