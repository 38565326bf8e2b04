"""Compare a document as it was prepared with the one that Solr stores. Pure functions.

Solr gives values back in the form of their field's type: a number as a number, a date in milliseconds. So
both sides are brought to that form first. What Solr can't give back is not compared, and said so.
"""

from __future__ import annotations

import functools
import re
import struct
from fnmatch import fnmatchcase
from typing import Any, Callable, Iterable, Mapping, NamedTuple

# How far a coordinate from Solr's doc values may lie from the one that was sent: they have 32 bits.
COORDINATE = 1e-6

MILLISECOND = 1000

# What is shown of a value at most.
SHOWN = 200

_DATE = re.compile(r"(-?\d+-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


class Field(NamedTuple):
    """How Solr holds a field: `kind` is its type's class, `source` where its values come back from."""

    kind: str
    source: str  # "stored", "columns" (doc values), or "" where they can't be had
    explicit: bool  # must be asked for by name
    multiple: bool
    added: bool  # others add to it: it is the target of a copyField, or has a default


class Schema(NamedTuple):
    """A core's schema: a plain value.

    `key` is its unique key. `fields` maps a field's name, or the pattern of a dynamic one (*_s, in the order
    in which Solr tries them), to what its schema API says of it; `kinds` a type's name to its class
    (StrField). `targets` are the names and patterns that copyFields add to.
    """

    key: str
    fields: Mapping[str, Mapping[str, Any]]
    kinds: Mapping[str, str]
    targets: tuple[str, ...]


class Difference(NamedTuple):
    """A field whose value in Solr is not what was prepared."""

    field: str
    expected: Any
    found: Any


def fields_of(schema: Schema, names: Iterable[str]) -> dict[str, Field]:
    """Return how Solr holds each of `names`."""
    found = {}
    for name in names:
        field = schema.fields.get(name)
        if field is None:
            field = next((schema.fields[each] for each in schema.fields if _matches(name, each)), {})
        columns = bool(field.get("docValues"))
        source = "stored" if field.get("stored") else "columns" if columns else ""
        found[name] = Field(
            kind=schema.kinds.get(field.get("type", ""), ""),
            source=source,
            explicit=source == "columns" and not field.get("useDocValuesAsStored", True),
            multiple=bool(field.get("multiValued")),
            added="default" in field or any(fnmatchcase(name, target) for target in schema.targets),
        )
    return found


def _matches(name: str, pattern: str) -> bool:
    return "*" in pattern and fnmatchcase(name, pattern)


def differences(
    expected: Mapping[str, Any], found: Mapping[str, Any], fields: Mapping[str, Field]
) -> list[Difference]:
    """Return the fields whose values differ, of those that Solr gives back.

    `expected` holds texts and lists of texts (see haybale_documents.document), `found` is Solr's document. A
    field of `fields` that was not prepared must not be in Solr's document.
    """
    wrong = []
    for name, field in fields.items():
        if not field.source or expected.get(name) == found.get(name):
            continue
        want = sorted_if(field, [form(value, field.kind) for value in listed(expected.get(name))])
        have = sorted_if(field, [form(value, field.kind) for value in listed(found.get(name))])
        if field.added:
            # What was sent must be there; whatever else is there came from elsewhere.
            right = all(any(same(value, other) for other in have) for value in want)
        else:
            right = len(want) == len(have) and all(same(*pair) for pair in zip(want, have))  # noqa: B905 - Python 3.9
        if not right:
            wrong.append(Difference(name, shown(expected.get(name)), shown(found.get(name))))
    return wrong


def listed(value: Any) -> list[Any]:
    """Return a field's values as a list, empty for none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def sorted_if(field: Field, values: list[Any]) -> list[Any]:
    """Return the values in the order in which doc values keep them: sorted, and texts each once."""
    if field.source != "columns" or not field.multiple:
        return values
    return sorted(set(values), key=repr)


def form(value: Any, kind: str) -> Any:
    """Return a value in the form of its field's type, whether it was sent (text) or given back (JSON)."""
    try:
        return _converter(kind)(value)
    except (ValueError, OverflowError, struct.error):
        # Not of that form: then it is compared as it is, and differs.
        return str(value)


def _single(value: Any) -> Any:
    """Return the nearest number of 32 bits."""
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def _boolean(value: Any) -> bool:
    """Source: BoolField.toInternal in Solr."""
    return str(value)[:1] in ("1", "t", "T")


def _point(value: Any) -> Any:
    latitude, longitude = str(value).split(",")
    return (float(latitude), float(longitude))


def _date(value: Any) -> Any:
    """Return the seconds as text, and the milliseconds; Solr drops what is finer."""
    found = _DATE.fullmatch(str(value))
    if found is None:
        return str(value)
    whole, fraction = found.groups()
    return (whole, int((fraction or "0").ljust(6, "0")[:6]) // MILLISECOND)


# By the beginning of a field type's class.
FORMS: tuple[tuple[tuple[str, ...], Callable[[Any], Any]], ...] = (
    (("Int", "Long", "TrieInt", "TrieLong"), int),
    (("Float", "TrieFloat"), _single),
    (("Double", "TrieDouble"), float),
    (("Bool",), _boolean),
    (("DatePoint", "TrieDate"), _date),
    (("LatLon", "PointType"), _point),
)


@functools.lru_cache(maxsize=None)
def _converter(kind: str) -> Callable[[Any], Any]:
    return next((form for prefixes, form in FORMS if kind.startswith(prefixes)), str)


def same(one: Any, other: Any) -> bool:
    """Return whether two values in form are the same."""
    if isinstance(one, tuple) and isinstance(other, tuple) and isinstance(one[0], float):
        pairs = zip(one, other)  # noqa: B905 - Python 3.9
        return all(abs(a - b) <= COORDINATE for a, b in pairs)
    return bool(one == other)


def shown(value: Any) -> Any:
    """Return a value short enough to read."""
    text = value if isinstance(value, str) else repr(value)
    if value is None or len(text) <= SHOWN:
        return value
    return "{}... ({} characters)".format(text[:SHOWN], len(text))
