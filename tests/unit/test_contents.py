"""What an index image says of itself."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from haybale.errors import VerifyError
from haybale.image_ref import ImageRef
from haybale.index.contents import IndexContents, read_contents
from haybale.index.image import ADVICE_LABEL, REPORT_LABEL, index_labels
from haybale.index.key import Component, Key
from haybale.index.rendering import contents_lines, contents_table
from haybale.index.verification import VerificationReport, VerifiedModel

KEY = Key.from_components(
    [
        Component(name="bases", digest="12" * 32, value="python:3.13-slim solr:9.10.1-slim"),
        Component(name="core", digest="cd" * 32, value="hay"),
        Component(name="dump", digest="ef" * 32, value="ab" * 32),
        Component(name="solr-conf", digest="34" * 32, files={"solr_conf/schema.xml": "5" * 16}),
    ]
)
REPORT = VerificationReport(
    seed=7,
    whole=False,
    models=(
        VerifiedModel(
            alias="default", core="hay", model="app.note",
            database=1234, documents=1230, skipped=4, found=1230, queried=1230, sample=200,
        ),
    ),
    cores=(),
    wrong=0,
    differences=(),
    not_comparable=("unseen",),
)  # fmt: skip
LABELS = index_labels(KEY, {"hay": {"app.note": 1230}}, REPORT)


def contents(labels: dict[str, str]) -> IndexContents:
    return read_contents(ImageRef.parse("r.example/hay:solr-1"), labels)


def rendered(labels: dict[str, str]) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(contents_table(contents(labels)))
    return "\n".join(contents_lines(contents(labels))) + stream.getvalue()


def test_verification_report_comes_back_from_its_label() -> None:
    assert VerificationReport.from_json(REPORT.to_json()) == REPORT


def test_contents_say_what_is_indexed_and_how_it_was_verified() -> None:
    text = rendered(LABELS)
    for part in (
        "1,230 documents",
        "app.note",
        "1,234",
        "a sample (seed 7)",
        "unseen",
        "dump       abababababab",
    ):
        assert part in text
    whole = replace(REPORT, whole=True)
    assert "all documents" in rendered(index_labels(KEY, {"hay": {"app.note": 1230}}, whole))


def test_contents_tell_cores_apart_where_there_are_more() -> None:
    assert "core" not in rendered(LABELS).partition("documents")[2].partition("app.note")[0].split()
    text = rendered(index_labels(KEY, {"hay": {"app.note": 1230}, "straw": {"app.note": 77}}, REPORT))
    assert "1,307 documents" in text
    rows = [line.strip("│ ").split() for line in text.splitlines() if "app.note" in line]
    assert [row[0] for row in rows] == ["hay", "straw"]
    assert "77" in rows[1]


def test_contents_say_what_is_served_otherwise() -> None:
    labels = index_labels(KEY, {"hay": {"app.note": 1}}, REPORT, serving=["conf/solrconfig.xml: no lock"])
    assert "served conf/solrconfig.xml: no lock" in rendered(labels)
    assert contents(labels).to_dict()["serving"] == ["conf/solrconfig.xml: no lock"]
    assert contents(LABELS).serving == ()


def test_contents_have_the_advice_of_the_loader() -> None:
    told = index_labels(KEY, {"hay": {"app.note": 1230}}, REPORT, ["app.note: add select_related('author')"])
    assert "advice app.note: add select_related('author')" in rendered(told)
    assert contents(told).advice == ("app.note: add select_related('author')",)
    assert contents({**LABELS, ADVICE_LABEL: "{"}).advice == ()


def test_contents_to_dict_is_plain_values() -> None:
    document = json.loads(json.dumps(contents(LABELS).to_dict()))
    assert document["key"] == KEY.value
    assert document["components"]["dump"] == {"digest": "ef" * 32, "value": "ab" * 32}
    assert document["components"]["core"]["value"] == "hay"
    assert document["counts"] == {"app.note": 1230}
    assert document["cores"] == {"hay": {"app.note": 1230}}
    assert document["verification"]["compared"] == 200


def test_contents_of_an_older_haybale_have_no_report() -> None:
    old = {label: value for label, value in LABELS.items() if label != REPORT_LABEL}
    assert "no report of its verification" in rendered(old)
    assert "1,230 documents" in rendered(old)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"format": 1}', '{"format": 2}'])
def test_verification_report_refuses_other_labels(text: str) -> None:
    with pytest.raises(VerifyError, match="report of the verification"):
        VerificationReport.from_json(text)
