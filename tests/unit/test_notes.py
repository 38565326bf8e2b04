"""What release notes say of the index, and how they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from haybale.commands.release import notes_markdown
from haybale.image_ref import ImageRef
from haybale.release.notes import MEANING, UNRELEASED, IndexChange, ReleaseNotes, compare_index
from haybale.release.record import ReleaseRecord
from haybale.tools.git import CommitSummary

IMAGE = ImageRef.parse(f"r/hay@sha256:{'1' * 64}")
COMPONENTS = dict.fromkeys(MEANING, "1" * 64)


def record(**counts: int) -> ReleaseRecord:
    return ReleaseRecord(
        version="v1.0.0", commit="a" * 40, site=IMAGE, index=IMAGE, key="1" * 32,
        components=COMPONENTS, dump="d", bases={}, counts=counts, tests={},
    )  # fmt: skip


def commit(subject: str, author: str = "Ada") -> CommitSummary:
    return CommitSummary(hash="c" * 40, date="2026-11-23", author=author, subject=subject)


def written(
    found: IndexChange, *commits: CommitSummary, before: str | None = "v1.0.0", version: str = "v1.1.0"
) -> str:
    return notes_markdown(
        ReleaseNotes(before=before, version=version, day="2026-11-23", index=found, commits=commits)
    )


def test_compare_index_changed_schema() -> None:
    found = compare_index(record(), {**COMPONENTS, "solr-conf": "2" * 64}, {})
    assert (found.rebuilt, found.changed) == (True, ("solr-conf",))
    assert "**the schema (Solr's configuration) changed: index rebuilt**" in written(found)


def test_compare_index_same_components() -> None:
    found = compare_index(record(), COMPONENTS, {})
    assert found.rebuilt is False
    assert "Unchanged: the same index as before." in written(found)


@pytest.mark.parametrize("components", [None, COMPONENTS])
def test_compare_index_without_both_records(components: dict[str, str] | None) -> None:
    found = compare_index(record() if components is None else None, components, None)
    assert found.rebuilt is None
    assert "Not known" in written(found)


def test_compare_index_orders_changes() -> None:
    now = {**COMPONENTS, "a-new-one": "3" * 64, "dump": "2" * 64}
    del now["fixtures"]
    assert compare_index(record(), now, {}).changed == ("dump", "fixtures", "a-new-one")


def test_compare_index_counts() -> None:
    found = compare_index(
        record(address=233, topic=22, gone=1),
        {**COMPONENTS, "dump": "2"},
        {"address": 1234, "topic": 22, "new": 5},
    )
    assert found.counts == {"address": (233, 1234), "gone": (1, 0), "new": (0, 5)}
    assert "- address: 233 documents before, 1,234 now" in written(found)


def test_compare_index_unreleased_has_no_counts() -> None:
    assert compare_index(record(address=233), {**COMPONENTS, "dump": "2"}, None).counts == {}


def test_meaning_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/index-key.md").read_text(encoding="utf-8")
    assert [name for name in MEANING if f"`{name}`" not in page] == []


def test_notes_markdown_escapes_commits() -> None:
    text = written(compare_index(record(), COMPONENTS, {}), commit("Take *all* of <x> and `y_z`", "A_da"))
    assert "- Take \\*all\\* of \\<x\\> and \\`y\\_z\\` (ccccccccc, A\\_da)" in text
    assert "1 change since v1.0.0." in text


def test_notes_markdown_first_and_unreleased() -> None:
    found = compare_index(None, None, None)
    assert "since the beginning" in written(found, before=None)
    assert written(found, version=UNRELEASED).startswith("# Not released yet (2026-11-23)\n")


def test_release_notes_to_dict() -> None:
    found = compare_index(record(address=1), {**COMPONENTS, "dump": "2"}, {"address": 2})
    made = ReleaseNotes(before="v1.0.0", version="v1.1.0", day="", index=found, commits=(commit("Mend it"),))
    said = json.loads(json.dumps(made.to_dict()))
    assert said["index"] == {"rebuilt": True, "changed": ["dump"], "counts": {"address": [1, 2]}}
    assert said["commits"][0]["subject"] == "Mend it"
