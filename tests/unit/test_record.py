from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from haybale.deploy import prune
from haybale.deploy import tags as deploy
from haybale.errors import ReleaseError
from haybale.release import record, releases
from haybale.release.record import Record, Suite

MADE = Record(
    version="v0.4.12",
    commit="c" * 40,
    site="registry.example/site@sha256:" + "1" * 64,
    index="registry.example/site@sha256:" + "2" * 64,
    key="0" * 32,
    components={"dump": "d" * 64, "core": "e" * 64},
    dump="f" * 64,
    bases={"site": "sha256:3", "index": "sha256:4"},
    counts={"app.note": 12, "app.\N{LATIN SMALL LETTER U WITH DIAERESIS}": 3},
    tests={"site": Suite(tests=249, skipped=1)},
)

DEPLOY, LAST = "refs/tags/dev/deploy", "refs/tags/last/dev/deploy"


def test_a_record_comes_back_from_its_document() -> None:
    assert record.parse(MADE.document) == MADE
    assert record.of_message(["Release v0.4.12", "", MADE.line, "release-id: 1"]) == MADE
    assert record.of_message(["Release v0.4.12"]) is None


def test_one_record_has_one_text() -> None:
    turned = replace(MADE, components=dict(sorted(MADE.components.items(), reverse=True)))
    assert turned.document == MADE.document
    assert MADE.document.isascii()
    assert "\n" not in MADE.document
    assert " " not in MADE.document
    assert MADE.digest == f"sha256:{hashlib.sha256(MADE.document.encode()).hexdigest()}"
    assert replace(MADE, dump="0" * 64).digest != MADE.digest


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
def test_what_is_no_record_of_this_format_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ReleaseError, match=words):
        record.parse(json.dumps({**json.loads(MADE.document), **changed}))


@pytest.mark.parametrize("name", sorted(json.loads(MADE.document)))
def test_a_part_that_is_missing_is_named(name: str) -> None:
    document = json.loads(MADE.document)
    del document[name]
    with pytest.raises(ReleaseError) as told:
        record.parse(json.dumps(document))
    assert f"'{name}'" in told.value.cause


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"record"'])
def test_what_is_no_document_is_no_record(text: str) -> None:
    with pytest.raises(ReleaseError, match="no release record"):
        record.parse(text)


def test_the_same_record_is_kept_as_the_same_bytes() -> None:
    subject = {"size": 3, "digest": "sha256:" + "1" * 64, "mediaType": "a/b"}
    made = releases.manifest(MADE, subject)
    assert made == releases.manifest(record.parse(MADE.document), dict(reversed(subject.items())))
    document = json.loads(made)
    assert document["subject"] == subject
    assert document["layers"][0]["digest"] == MADE.digest
    assert document["layers"][0]["size"] == len(MADE.document)


@pytest.mark.parametrize(
    ("there", "moved"),
    [
        ({}, {DEPLOY: ("", "new")}),
        ({DEPLOY: "now"}, {LAST: ("", "now"), DEPLOY: ("now", "new")}),
        ({DEPLOY: "now", LAST: "old"}, {LAST: ("old", "now"), DEPLOY: ("now", "new")}),
        # Somebody removed the tag: there is nothing to remember, and what was remembered stays.
        ({LAST: "old"}, {DEPLOY: ("", "new")}),
    ],
)
def test_what_an_environment_followed_is_remembered(
    there: dict[str, str], moved: dict[str, tuple[str, str]]
) -> None:
    assert deploy.moves("dev", there, "new") == moved


def test_an_environment_s_tag_remembers_what_was_there() -> None:
    said = deploy.message("dev", MADE, back=False, deployed=("v0.4.10", "v0.4.11")).splitlines()
    assert said[0] == "Deploy v0.4.12 to dev"
    assert "deployed: v0.4.10 v0.4.11 v0.4.12" in said
    assert f"record: {MADE.digest}" in said
    assert deploy.message("dev", MADE, back=True, deployed=()).startswith("Roll dev back to v0.4.12\n")
    many = tuple(f"v1.0.{number}" for number in range(500))
    last = deploy.message("dev", MADE, back=False, deployed=many).splitlines()[-1].split()
    assert last[-2:] == ["v1.0.499", "v0.4.12"]
    assert len(last) == 1 + deploy.REMEMBERED


def test_nothing_goes_whose_digest_is_in_use_under_any_name() -> None:
    tags = {
        "v1": "sha256:a", "v1-solr": "sha256:b", "solr-key": "sha256:b", "another": "sha256:a",
        "old": "sha256:c", "older": "sha256:c", "named": "sha256:d", "last": "sha256:e",
        "last-solr": "sha256:f", "sha256-a": "sha256:g", "sha256-c": "sha256:h", "latest": "sha256:i",
    }  # fmt: skip
    found = prune.unused(tags, kept={"v1", "named"}, digests={"sha256:a", "sha256:b"})
    assert set(found) == {"old", "older", "sha256-c", "latest"}
    assert prune.unused({}, kept=(), digests=()) == {}
