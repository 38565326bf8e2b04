"""Comparing a prepared document with the one that Solr gives back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import haybale

sys.path.append(str(Path(haybale.__file__).parent / "loader"))

import haybale_compare as compare

PLAIN = compare.Field(kind="StrField", source="stored", explicit=False, multiple=True, added=False)
KINDS = {"string": "StrField", "long": "LongPointField"}


@pytest.mark.parametrize(
    ("kind", "sent", "found"),
    [
        ("IntPointField", "7", 7),
        ("LongPointField", "-9223372036854775808", -(2**63)),
        ("FloatPointField", "0.1", 0.1),
        ("FloatPointField", "0.10000000149011612", 0.1),
        ("FloatPointField", "1e+22", 9.9999998e21),
        ("DoublePointField", "0.30000000000000004", 0.30000000000000004),
        ("TrieIntField", "007", 7),
        ("BoolField", "true", True),
        ("BoolField", "1", True),
        ("BoolField", "no", False),
        ("DatePointField", "2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999Z"),
        ("DatePointField", "2024-02-29T23:59:59.000500Z", "2024-02-29T23:59:59Z"),
        ("DatePointField", "2024-02-29T00:00:00.100000Z", "2024-02-29T00:00:00.1Z"),
        ("LatLonPointSpatialField", "1.25,-2.5", "1.2500000000000000,-2.4999999999"),
        ("StrField", "7", "7"),
        ("TextField", "a b", "a b"),
    ],
)
def test_the_same_value_in_another_form(kind: str, sent: str, found: Any) -> None:
    field = PLAIN._replace(kind=kind)
    assert compare.differences({"f": sent}, {"f": found}, {"f": field}) == []


@pytest.mark.parametrize(
    ("kind", "sent", "found"),
    [
        ("IntPointField", "7", 8),
        ("IntPointField", "seven", 7),
        ("FloatPointField", "0.1", 0.10001),
        ("DoublePointField", "0.30000000000000004", 0.3),
        ("BoolField", "true", False),
        ("DatePointField", "2024-02-29T23:59:59.999999Z", "2024-03-01T00:00:00Z"),
        ("LatLonPointSpatialField", "1.25,-2.5", "1.25,-2.6"),
        ("StrField", "7", "07"),
        ("StrField", "a", None),
        ("StrField", None, "a"),
        ("StrField", ["a", "b"], ["b", "a"]),
        ("StrField", ["a", "a"], ["a"]),
        ("TextField", "a b", "a  b"),
    ],
)
def test_another_value(kind: str, sent: Any, found: Any) -> None:
    expected = {} if sent is None else {"f": sent}
    have = {} if found is None else {"f": found}
    field = PLAIN._replace(kind=kind)
    assert compare.differences(expected, have, {"f": field}) == [compare.Difference("f", sent, found)]


def test_doc_values_lose_order_and_repetition() -> None:
    columns = PLAIN._replace(source="columns")
    assert compare.differences({"f": ["b", "a", "b"]}, {"f": ["a", "b"]}, {"f": columns}) == []
    assert compare.differences({"f": ["b", "a", "b"]}, {"f": ["a"]}, {"f": columns})


def test_a_copy_adds_to_what_was_sent() -> None:
    target = PLAIN._replace(added=True)
    assert compare.differences({"f": "a"}, {"f": ["x", "a"]}, {"f": target}) == []
    assert compare.differences({}, {"f": ["x"]}, {"f": target}) == []
    assert compare.differences({"f": "a"}, {"f": ["x"]}, {"f": target})


def test_what_solr_cannot_give_back_is_not_compared() -> None:
    assert compare.differences({"f": "a"}, {}, {"f": PLAIN._replace(source="")}) == []


def test_how_solr_holds_a_field() -> None:
    fields = [
        {"name": "a", "type": "string", "stored": True, "docValues": True},
        {"name": "b", "type": "long", "stored": False, "docValues": True, "useDocValuesAsStored": False},
        {"name": "c", "type": "string", "stored": False, "docValues": False, "multiValued": True},
        {"name": "*_s", "type": "string", "stored": True, "default": "x"},
        {"name": "*", "type": "long", "stored": False},
    ]
    schema = compare.Schema("id", {str(field["name"]): field for field in fields}, KINDS, ("c", "b*"))
    held = compare.fields_of(schema, ["a", "b", "c", "d_s", "e"])
    assert held == {
        "a": compare.Field("StrField", "stored", explicit=False, multiple=False, added=False),
        "b": compare.Field("LongPointField", "columns", explicit=True, multiple=False, added=True),
        "c": compare.Field("StrField", "", explicit=False, multiple=True, added=True),
        "d_s": compare.Field("StrField", "stored", explicit=False, multiple=False, added=True),
        "e": compare.Field("LongPointField", "", explicit=False, multiple=False, added=False),
    }


def test_long_values_are_shown_short() -> None:
    assert compare.shown("short") == "short"
    assert compare.shown(None) is None
    assert compare.shown(["a"]) == ["a"]
    assert compare.shown("x" * 1000).startswith("x" * 200 + "... (1000")
