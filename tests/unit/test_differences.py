"""Comparing a prepared document with the one that Solr gives back."""

from __future__ import annotations

from typing import Any

import pytest

from haybale.loader.checks.differences import find_differences, shorten
from haybale.loader.checks.schema import Field, Schema, describe_fields

PLAIN = Field(kind="StrField", source="stored", explicit=False, multiple=True, added=False)
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
def test_find_differences_ignores_the_form_of_a_value(kind: str, sent: str, found: Any) -> None:
    field = PLAIN._replace(kind=kind)
    assert find_differences({"f": sent}, {"f": found}, {"f": field}) == []


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
def test_find_differences_finds_another_value(kind: str, sent: Any, found: Any) -> None:
    expected = {} if sent is None else {"f": sent}
    have = {} if found is None else {"f": found}
    field = PLAIN._replace(kind=kind)
    assert find_differences(expected, have, {"f": field}) == [("f", sent, found)]


def test_find_differences_ignores_order_and_repetition_of_doc_values() -> None:
    doc_values = PLAIN._replace(source="doc values")
    assert find_differences({"f": ["b", "a", "b"]}, {"f": ["a", "b"]}, {"f": doc_values}) == []
    assert find_differences({"f": ["b", "a", "b"]}, {"f": ["a"]}, {"f": doc_values})


def test_find_differences_ignores_what_a_copy_field_adds() -> None:
    target = PLAIN._replace(added=True)
    assert find_differences({"f": "a"}, {"f": ["x", "a"]}, {"f": target}) == []
    assert find_differences({}, {"f": ["x"]}, {"f": target}) == []
    assert find_differences({"f": "a"}, {"f": ["x"]}, {"f": target})


def test_find_differences_ignores_what_solr_cannot_give_back() -> None:
    assert find_differences({"f": "a"}, {}, {"f": PLAIN._replace(source=None)}) == []


def test_describe_fields() -> None:
    fields = [
        {"name": "a", "type": "string", "stored": True, "docValues": True},
        {"name": "b", "type": "long", "stored": False, "docValues": True, "useDocValuesAsStored": False},
        {"name": "c", "type": "string", "stored": False, "docValues": False, "multiValued": True},
        {"name": "*_s", "type": "string", "stored": True, "default": "x"},
        {"name": "*", "type": "long", "stored": False},
    ]
    schema = Schema("id", {str(field["name"]): field for field in fields}, KINDS, ("c", "b*"))
    held = describe_fields(schema, ["a", "b", "c", "d_s", "e"])
    assert held == {
        "a": Field("StrField", "stored", explicit=False, multiple=False, added=False),
        "b": Field("LongPointField", "doc values", explicit=True, multiple=False, added=True),
        "c": Field("StrField", None, explicit=False, multiple=True, added=True),
        "d_s": Field("StrField", "stored", explicit=False, multiple=False, added=True),
        "e": Field("LongPointField", None, explicit=False, multiple=False, added=False),
    }


def test_shorten() -> None:
    assert shorten("short") == "short"
    assert shorten(None) is None
    assert shorten(["a"]) == ["a"]
    assert shorten("x" * 1000).startswith("x" * 200 + "... (1000")
