"""What is sent for a prepared document; that Haystack sends the same is an integration test."""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import json
from pathlib import Path
from typing import Any

import pytest

import haybale
from haybale.loader.documents.encoding import (
    UnsendableValueError,
    build_document,
    encode_document,
    flatten,
    solr_text,
    update_body,
)

LOADER = Path(haybale.__file__).parent / "loader"

EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("a\r\nb\rc\nd", "a\nb\nc\nd"),
        ("a\x00b\x0bc\x1fd\te", "abcd\te"),
        ("\ud800\ufffe\uffff\U0001f33e", "\U0001f33e"),
        ("\r\x00\n", "\n"),
        (b"caf\xc3\xa9 \xff", "café \ufffd"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1e22, "1e+22"),
        (float("nan"), "nan"),
        (decimal.Decimal("1.10"), "1.10"),
        (dt.date(987, 6, 5), "0987-06-05T00:00:00Z"),
        (dt.datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=EAST), "2023-12-31T18:30:00.000005Z"),
        (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "2024-01-01T00:00:00Z"),
        (dt.datetime(2024, 1, 1).replace(tzinfo=None), "2024-01-01T00:00:00Z"),  # noqa: DTZ001 - naive on purpose
        (dt.time(12, 30), "12:30:00Z"),
        (frozenset(["x"]), "frozenset({'x'})"),
        (None, "None"),
    ],
)
def test_solr_text(value: Any, text: str) -> None:
    assert solr_text(value) == text


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        ("", None),
        ([], None),
        ([None, ""], None),
        (b"", ""),
        ("\x00", ""),
        (["one"], "one"),
        (["b", "", None, "a"], ["b", "a"]),
        (("b", 1), ["b", "1"]),
        ({"b", "c", "a", ""}, ["a", "b", "c"]),
        ([["x", ""]], "['x', '']"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_build_document_field(value: Any, sent: Any) -> None:
    expected = {"id": "1"} if sent is None else {"id": "1", "field": sent}
    assert build_document({"id": "1", "field": value}) == expected


def test_build_document_drops_boosts() -> None:
    assert build_document({"id": 1, "boost": 2.5}) == {"id": "1"}


def test_build_document_with_nested_documents() -> None:
    prepared = {"id": 1, "_doc": {"id": 2, "x": ""}, "_childDocuments_": [{"id": 3}]}
    fields = build_document(prepared)
    assert fields == {"id": "1", "_childDocuments_": [{"id": "2"}, {"id": "3"}]}
    assert [each["id"] for each in flatten(fields)] == ["1", "2", "3"]


def test_build_document_names_the_field_that_cannot_be_sent() -> None:
    with pytest.raises(UnsendableValueError) as caught:
        build_document({"when": dt.datetime.min.replace(tzinfo=EAST)})
    assert caught.value.field == "when"
    assert isinstance(caught.value.__cause__, OverflowError)


def test_update_body_is_json() -> None:
    encoded = [encode_document(each) for each in ({"id": "1"}, {"id": "ü\u2028\n"})]
    assert json.loads(update_body(encoded)) == [{"id": "1"}, {"id": "ü\u2028\n"}]


@pytest.mark.parametrize("module", sorted(LOADER.rglob("*.py")), ids=lambda path: path.name)
def test_the_loader_is_python_3_9(module: Path) -> None:
    ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 9))
