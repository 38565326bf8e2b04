"""Compare what Haystack's backend sends with what the loader sends: `python -m barn.conformance SEED`.

Haystack's backend runs as it is, with pysolr's request taken out of its hands; its XML is read by a parser,
as Solr does. Prints what differs, as JSON: [[id, field, Haystack's values, ours]], and how much was compared.
"""

# ruff: noqa: PLC0415, S311, S314, T201 - models come after `setup`, nothing here is a secret, the XML is ours

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import django

ROUNDS = 400


def main(seed: int) -> None:
    """Compare every row of every index, and documents made up by chance."""
    django.setup()
    from haybale_loader.documents import encoding, site
    from haystack import connections
    from haystack.exceptions import SkipDocument

    # Before anything is replaced: what changes pysolr is refused.
    sources = site.find_sources(lambda _: None)
    backend = connections["barn"].get_backend()
    sent: list[str] = []
    backend.conn._send_request = lambda _method, _path="", body=None, *_, **__: sent.append(body)
    differences = []
    compared = 0

    def compare(documents: list[dict[str, Any]]) -> None:
        nonlocal compared
        theirs = [fields for body in sent for fields in read_xml(body)]
        sent.clear()
        body = encoding.update_body(encoding.encode_document(each) for each in documents)
        ours = [read_json(each) for each in json.loads(body)]
        if len(theirs) != len(ours):
            differences.append(["", "", len(theirs), len(ours)])
        for one, other in zip(theirs, ours):
            compared += 1
            differences.extend(
                [one.get("id"), name, one.get(name), other.get(name)]
                for name in sorted({*one, *other})
                if not same(one.get(name), other.get(name))
            )

    for source in sources:
        for rows in site.read_pages(source.queryset(), source.whole(), 50):
            backend.update(source.index, rows)
            documents = [site.prepare(source, row) for row in rows]
            compare([each for each in documents if each is not None])

    for number, made in enumerate(make_up(seed)):
        skipped = number % 10 == 7

        class Index:
            """As much of a search index as the backend asks for."""

            @staticmethod
            def full_prepare(row: dict[str, Any], skipped: bool = skipped) -> dict[str, Any]:
                """Return the row, or skip it."""
                if skipped:
                    raise SkipDocument
                return row

            @staticmethod
            def get_field_weights() -> dict[str, float]:
                """Return boosts as an index has them."""
                return {"field_1": 1.0, "field_2": 2.5}

        backend.update(Index, [made])
        compare([] if skipped else [encoding.build_document(made)])
    print(json.dumps({"differences": differences, "compared": compared}))


def make_up(seed: int) -> Iterator[dict[str, Any]]:
    """Yield prepared documents of values by chance, some with a document nested in them."""
    from barn import oddities

    chance = random.Random(seed)
    for number in range(ROUNDS):
        made = {"id": f"made.up.{number}", "boost": 2}
        made.update({f"field_{each}": oddities.draw(chance) for each in range(8)})
        if number % 10 == 0:
            made["_doc"] = [{"id": f"child.{number}", "word_s": oddities.draw(chance)}]
        yield made


def read_xml(body: str) -> list[dict[str, Any]]:
    """Return the documents of an XML update: field -> values, and "children"."""
    return [_document(each) for each in ET.fromstring(body.encode()).findall("doc")]


def _document(element: ET.Element) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field in element.findall("field"):
        fields.setdefault(field.attrib["name"], []).append(field.text or "")
    children = [_document(child) for child in element.findall("doc")]
    return {**fields, "children": children} if children else fields


def read_json(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document of a JSON update in the same form."""
    fields = {name: value if isinstance(value, list) else [value] for name, value in document.items()}
    children = fields.pop("_childDocuments_", [])
    return {**fields, "children": [read_json(child) for child in children]} if children else fields


def same(one: Any, other: Any) -> bool:
    """Return whether two fields have the same values. A set's come in any order, and only sets are sorted."""
    if one is None or other is None or one == other:
        return bool(one == other)
    if any(isinstance(value, dict) for value in (*one, *other)):
        return len(one) == len(other) and all(
            a.keys() == b.keys() and all(same(a[name], b[name]) for name in a) for a, b in zip(one, other)
        )
    return Counter(one) == Counter(other) and other == sorted(other)


if __name__ == "__main__":
    main(int(sys.argv[1]))
