"""What is sent for a prepared document; that Haystack sends the same is an integration test."""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import haybale

INSITE = Path(haybale.__file__).parent / "loader"
sys.path.append(str(INSITE))

import haybale_documents  # noqa: E402 - found only now

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
def test_text_of_a_value(value: Any, text: str) -> None:
    assert haybale_documents.text(value) == text


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
def test_field_of_a_document(value: Any, sent: Any) -> None:
    expected = {"id": "1"} if sent is None else {"id": "1", "field": sent}
    assert haybale_documents.document({"id": "1", "field": value}) == expected


def test_a_boost_is_no_field() -> None:
    assert haybale_documents.document({"id": 1, "boost": 2.5}) == {"id": "1"}


def test_nested_documents_are_documents() -> None:
    prepared = {"id": 1, "_doc": {"id": 2, "x": ""}, "_childDocuments_": [{"id": 3}]}
    fields = haybale_documents.document(prepared)
    assert fields == {"id": "1", "_childDocuments_": [{"id": "2"}, {"id": "3"}]}
    assert [each["id"] for each in haybale_documents.flatten(fields)] == ["1", "2", "3"]


def test_a_value_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(haybale_documents.ValueRefused) as caught:
        haybale_documents.document({"when": dt.datetime.min.replace(tzinfo=EAST)})
    assert caught.value.field == "when"
    assert isinstance(caught.value.__cause__, OverflowError)


def test_the_body_is_json() -> None:
    encoded = [haybale_documents.encode(each) for each in ({"id": "1"}, {"id": "ü\u2028\n"})]
    assert json.loads(haybale_documents.body(encoded)) == [{"id": "1"}, {"id": "ü\u2028\n"}]


@pytest.mark.parametrize("script", sorted(INSITE.glob("*.py")), ids=lambda path: path.name)
def test_the_scripts_are_python_3_9(script: Path) -> None:
    ast.parse(script.read_text(encoding="utf-8"), feature_version=(3, 9))
