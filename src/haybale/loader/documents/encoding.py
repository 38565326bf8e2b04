"""What Haystack's Solr backend would send for a prepared document, as JSON. Pure functions.

Haystack gives each document to pysolr, always with boosts, so pysolr sends XML: every value as text
(haystack/backends/solr_backend.py, SolrSearchBackend.update; pysolr.py, Solr._build_xml_doc and
Solr._from_python). Solr gets the very same texts from us, in JSON, which both sides handle much faster.
Values stay texts on purpose: Solr parses them by the field's type as it does those of XML, where a JSON
number would come out differently in a string field (1e+22 as 1.0E22).

Boosts are left out: Solr has ignored index-time boosts since 7.0.
"""

from __future__ import annotations

import json
import re
from typing import Any, Iterable, Iterator, Mapping

# Keys of a prepared document that pysolr does not take for fields.
BOOST = "boost"
NESTED = "_childDocuments_"
NESTED_FIELD = "_doc"
_NO_FIELDS = frozenset((BOOST, NESTED, NESTED_FIELD))

# Outside XML 1.0's Char production (https://www.w3.org/TR/xml/#charsets); pysolr drops these.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")

# An XML parser hands on every line end as one \n (https://www.w3.org/TR/xml/#sec-line-ends), so that
# is what Solr stores of a text that Haystack sends.
_LINE_END = re.compile("\r\n?")

# What has one of these is changed on its way. This search nearly always finds nothing, and searching a text
# is much faster than rewriting it.
_UNUSUAL = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")

# Made once: json.dumps makes one each time that it is given separators.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class UnsendableValueError(Exception):
    """A prepared value cannot be sent, by Haystack neither; `field` is its name, the cause is chained."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def solr_text(value: Any) -> str:
    """Return the text that Solr receives for one value. Source: pysolr.py, Solr._from_python."""
    if isinstance(value, str):
        out = value if type(value) is str else "{0}".format(value)
    elif hasattr(value, "strftime"):
        out = _date_text(value)
    elif isinstance(value, bool):
        out = "true" if value else "false"
    elif isinstance(value, bytes):
        out = value.decode("utf-8", errors="replace")
    else:
        # format() and str() differ, for enumerations among others, and pysolr uses this one.
        out = "{0}".format(value)
    return _LINE_END.sub("\n", _NOT_XML.sub("", out)) if _UNUSUAL.search(out) else out


def _date_text(value: Any) -> str:
    """Return a date at midnight, or a date and time in UTC (naive ones count as UTC), as Solr writes it."""
    if not hasattr(value, "hour"):
        return str(value.isoformat()) + "T00:00:00Z"
    offset = value.utcoffset()
    if offset:
        value -= offset
    return str(value.replace(tzinfo=None).isoformat()) + "Z"


def is_null(value: Any) -> bool:
    """Return whether a value is not sent at all. Source: pysolr.py, Solr._is_null_value.

    Only a real, empty `str` is null: empty bytes, an empty lazy string, or a text of control characters
    only is sent as an empty text.
    """
    return value is None or (isinstance(value, str) and len(value) == 0)


def build_document(prepared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON document for what `SearchIndex.full_prepare` returned.

    A field's value is one text, or a list of two or more. Only list, tuple and set are several values, as
    with pysolr; a set's are sorted, so that the same data always gives the same index. Raises
    `UnsendableValueError`.
    """
    fields: dict[str, Any] = {}
    nested: list[dict[str, Any]] = []
    for name, value in prepared.items():
        if name in _NO_FIELDS:
            if name == BOOST:
                continue
            children = value if name == NESTED or isinstance(value, (list, tuple, set)) else (value,)
            nested.extend(build_document(child) for child in children if not is_null(child))
            continue
        if type(value) is str:
            # Most values, without further questions.
            if value:
                fields[name] = solr_text(value)
            continue
        try:
            texts = _texts(value)
        except Exception as error:
            raise UnsendableValueError(name) from error
        if texts:
            fields[name] = texts[0] if len(texts) == 1 else texts
    if nested:
        fields[NESTED] = nested
    return fields


def _texts(value: Any) -> list[str]:
    if not isinstance(value, (list, tuple, set)):
        return [] if is_null(value) else [solr_text(value)]
    texts = [solr_text(bit) for bit in value if not is_null(bit)]
    return sorted(texts) if isinstance(value, set) else texts


def encode_document(fields: Mapping[str, Any]) -> bytes:
    """Return a document's JSON, UTF-8."""
    return _encode(fields).encode("utf-8")


def update_body(encoded: Iterable[bytes]) -> bytes:
    """Return the body of an update request (`/update`, application/json) with these documents."""
    return b"[" + b",".join(encoded) + b"]"


def flatten(fields: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the document and those nested in it: each is a document of its own to Solr."""
    yield fields
    for child in fields.get(NESTED, ()):
        yield from flatten(child)
