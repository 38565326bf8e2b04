"""What an index image says of itself."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from haybale.errors import VerifyError
from haybale.index import image as current
from haybale.index import inspect
from haybale.index.key import Component, Key
from haybale.index.verification import VerificationReport, VerifiedModel

KEY = Key(
    value="1" * 32,
    components={
        "dump": Component(name="dump", digest="ab" * 32),
        "core": Component(name="core", digest="cd" * 32, files={}, value="hay"),
    },
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
LABELS = current.labels(KEY, {"app.note": 1230}, REPORT)


def shown(labels: dict[str, str]) -> str:
    said = inspect.document("r.example/hay:solr-1", labels)
    stream = io.StringIO()
    console = Console(file=stream, width=120)
    console.print(inspect.table(said))
    return "\n".join(inspect.lines(said)) + stream.getvalue()


def test_a_report_comes_back_from_its_label() -> None:
    assert VerificationReport.from_json(REPORT.to_json()) == REPORT


def test_an_image_says_what_it_holds_and_how_it_was_verified() -> None:
    text = shown(LABELS)
    for part in ("1,230 documents", "app.note", "1,234", "a sample (seed 7)", "unseen", "dump: abababababab"):
        assert part in text
    whole = replace(REPORT, whole=True)
    assert "all documents" in shown(current.labels(KEY, {"app.note": 1230}, whole))


def test_an_image_says_what_would_have_made_it_sooner() -> None:
    told = current.labels(KEY, {"app.note": 1230}, REPORT, ["app.note: add select_related('author')"])
    assert "sooner app.note: add select_related('author')" in shown(told)
    assert inspect.document("name", told)["advice"] == ["app.note: add select_related('author')"]
    assert inspect.document("name", {**LABELS, current.ADVICE_LABEL: "{"})["advice"] == []


def test_the_document_is_for_programs() -> None:
    said = json.loads(inspect.as_json(inspect.document("name", LABELS)))
    assert said["key"] == KEY.value
    assert said["components"] == {"dump": "ab" * 32, "core": "hay"}
    assert said["counts"] == {"app.note": 1230}
    assert said["verification"]["compared"] == 200


def test_an_image_of_an_older_haybale_has_no_report() -> None:
    old = {label: value for label, value in LABELS.items() if label != current.REPORT_LABEL}
    assert "no report of its verification" in shown(old)
    assert "1,230 documents" in shown(old)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"format": 1}', '{"format": 2}'])
def test_a_label_that_is_no_report_is_told(text: str) -> None:
    with pytest.raises(VerifyError, match="report of the verification"):
        VerificationReport.from_json(text)
