"""Compare a document as it was prepared with the one that Solr stores. Pure functions.

Solr gives values back in the form of their field's type: a number as a number, a date in milliseconds. So
both sides are brought to that form first. What Solr cannot give back is not compared.
"""

from __future__ import annotations

import functools
import re
import struct
from typing import TYPE_CHECKING, Any, Callable, Mapping

if TYPE_CHECKING:
    from .schema import Field

# How far a coordinate from Solr's doc values may lie from the one that was sent: they have 32 bits.
COORDINATE = 1e-6

# Characters that are shown of a value at most.
MAX_CHARACTERS = 200

_DATE = re.compile(r"(-?\d+-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z")


def find_differences(
    expected: Mapping[str, Any], found: Mapping[str, Any], fields: Mapping[str, Field]
) -> list[tuple[str, Any, Any]]:
    """Return the fields whose values differ, of those that Solr gives back: [(field, expected, found)].

    `expected` holds texts and lists of texts (see documents/encoding.py), `found` is Solr's document. A
    field of `fields` that was not prepared must not be in Solr's document.
    """
    differences = []
    for name, field in fields.items():
        if field.source is None or expected.get(name) == found.get(name):
            continue
        want = _comparable_values(field, expected.get(name))
        have = _comparable_values(field, found.get(name))
        if field.added:
            # What was sent must be there; whatever else is there came from elsewhere.
            right = all(any(is_same(value, other) for other in have) for value in want)
        else:
            right = len(want) == len(have) and all(is_same(*pair) for pair in zip(want, have))
        if not right:
            differences.append((name, shorten(expected.get(name)), shorten(found.get(name))))
    return differences


def _comparable_values(field: Field, value: Any) -> list[Any]:
    """Return a field's values, in the form of its type and in the order in which Solr keeps them."""
    several = [] if value is None else value if isinstance(value, list) else [value]
    values = [convert(each, field.kind) for each in several]
    if field.source == "doc values" and field.multiple:
        # Sorted, and each once.
        return sorted(set(values), key=repr)
    return values


def convert(value: Any, kind: str) -> Any:
    """Return a value in the form of its field's type, whether it was sent (text) or given back (JSON)."""
    try:
        return _converter(kind)(value)
    except (ValueError, OverflowError, struct.error):
        # Not of that form: then it is compared as it is, and differs.
        return str(value)


def _to_float32(value: Any) -> Any:
    """Return the nearest number of 32 bits."""
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def _to_boolean(value: Any) -> bool:
    """Source: BoolField.toInternal in Solr."""
    return str(value)[:1] in ("1", "t", "T")


def _to_point(value: Any) -> Any:
    latitude, longitude = str(value).split(",")
    return (float(latitude), float(longitude))


def _to_date(value: Any) -> Any:
    """Return the seconds as text, and the milliseconds; Solr drops what is finer."""
    found = _DATE.fullmatch(str(value))
    if found is None:
        return str(value)
    whole, fraction = found.groups()
    return (whole, int((fraction or "").ljust(3, "0")[:3]))


# By the beginning of a field type's class.
CONVERTERS: tuple[tuple[tuple[str, ...], Callable[[Any], Any]], ...] = (
    (("Int", "Long", "TrieInt", "TrieLong"), int),
    (("Float", "TrieFloat"), _to_float32),
    (("Double", "TrieDouble"), float),
    (("Bool",), _to_boolean),
    (("DatePoint", "TrieDate"), _to_date),
    (("LatLon", "PointType"), _to_point),
)


@functools.lru_cache(maxsize=None)
def _converter(kind: str) -> Callable[[Any], Any]:
    return next((convert for prefixes, convert in CONVERTERS if kind.startswith(prefixes)), str)


def is_same(one: Any, other: Any) -> bool:
    """Return whether two converted values are the same."""
    if isinstance(one, tuple) and isinstance(other, tuple) and isinstance(one[0], float):
        return all(abs(a - b) <= COORDINATE for a, b in zip(one, other))
    return bool(one == other)


def shorten(value: Any) -> Any:
    """Return a value short enough to read."""
    text = value if isinstance(value, str) else repr(value)
    if value is None or len(text) <= MAX_CHARACTERS:
        return value
    return "{}... ({} characters)".format(text[:MAX_CHARACTERS], len(text))
