from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from haybale.errors import ReleaseError
from haybale.image_ref import ImageRef
from haybale.release.record import ReleaseRecord, Suite, find_record, record_manifest

RECORD = ReleaseRecord(
    version="v0.4.12",
    commit="c" * 40,
    site=ImageRef.parse("registry.example/site@sha256:" + "1" * 64),
    index=ImageRef.parse("registry.example/site@sha256:" + "2" * 64),
    key="0" * 32,
    components={"dump": "d" * 64, "core": "e" * 64},
    dump="f" * 64,
    bases={"site": "sha256:3", "index": "sha256:4"},
    counts={"app.note": 12, "app.\N{LATIN SMALL LETTER U WITH DIAERESIS}": 3},
    tests={"site": Suite(tests=249, skipped=1)},
)


def test_from_json_round_trip() -> None:
    assert ReleaseRecord.from_json(RECORD.to_json()) == RECORD
    assert find_record(["Release v0.4.12", "", RECORD.tag_line, "release-id: 1"]) == RECORD
    assert find_record(["Release v0.4.12"]) is None


def test_to_json_is_canonical() -> None:
    turned = replace(RECORD, components=dict(sorted(RECORD.components.items(), reverse=True)))
    assert turned.to_json() == RECORD.to_json()
    assert RECORD.to_json().isascii()
    assert "\n" not in RECORD.to_json()
    assert " " not in RECORD.to_json()
    assert RECORD.digest == f"sha256:{hashlib.sha256(RECORD.to_json().encode()).hexdigest()}"
    assert replace(RECORD, dump="0" * 64).digest != RECORD.digest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": 2}, "has format 2, not 1"),
        ({"site": 3}, "no release record"),
        ({"components": ["dump"]}, "no release record"),
        ({"tests": {"site": {"tests": 3}}}, "no release record"),
        ({"counts": {"app.note": "many"}}, "no release record"),
    ],
)
def test_from_json_refuses_other_formats(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ReleaseError, match=words):
        ReleaseRecord.from_json(json.dumps({**json.loads(RECORD.to_json()), **changed}))


@pytest.mark.parametrize("name", sorted(json.loads(RECORD.to_json())))
def test_from_json_names_missing_field(name: str) -> None:
    document = json.loads(RECORD.to_json())
    del document[name]
    with pytest.raises(ReleaseError) as told:
        ReleaseRecord.from_json(json.dumps(document))
    assert f"'{name}'" in told.value.cause


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"record"'])
def test_from_json_refuses_other_documents(text: str) -> None:
    with pytest.raises(ReleaseError, match="no release record"):
        ReleaseRecord.from_json(text)


def test_record_manifest_is_canonical() -> None:
    subject = {"size": 3, "digest": "sha256:" + "1" * 64, "mediaType": "a/b"}
    made = record_manifest(RECORD, subject)
    assert made == record_manifest(ReleaseRecord.from_json(RECORD.to_json()), dict(reversed(subject.items())))
    document = json.loads(made)
    assert document["subject"] == subject
    assert document["layers"][0]["digest"] == RECORD.digest
    assert document["layers"][0]["size"] == len(RECORD.to_json())
