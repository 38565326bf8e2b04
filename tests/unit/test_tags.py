"""Which refs change for a deployment, and what an environment's tag says."""

from __future__ import annotations

import pytest

from haybale.deploy.tags import REMEMBERED, compute_changes, tag_message
from haybale.image_ref import ImageRef
from haybale.release.record import ReleaseRecord

IMAGE = ImageRef.parse("registry.example/site@sha256:" + "1" * 64)
RECORD = ReleaseRecord(
    version="v0.4.12", commit="c" * 40, site=IMAGE, index=IMAGE, key="0" * 32, components={}, dump="f" * 64,
    bases={}, counts={}, tests={},
)  # fmt: skip

DEPLOY, LAST = "refs/tags/dev/deploy", "refs/tags/last/dev/deploy"


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
def test_compute_changes_remembers_what_was_deployed(
    there: dict[str, str], moved: dict[str, tuple[str, str]]
) -> None:
    assert compute_changes("dev", there, "new") == moved


def test_tag_message_remembers_versions() -> None:
    def message(deployed: tuple[str, ...], *, is_rollback: bool = False) -> list[str]:
        text = tag_message("dev", RECORD, "sha256:ab", is_rollback=is_rollback, deployed=deployed)
        return text.splitlines()

    lines = message(("v0.4.10", "v0.4.11"))
    assert lines[0] == "Deploy v0.4.12 to dev"
    assert "deployed: v0.4.10 v0.4.11 v0.4.12" in lines
    assert "record: sha256:ab" in lines
    assert message((), is_rollback=True)[0] == "Roll dev back to v0.4.12"
    last = message(tuple(f"v1.0.{number}" for number in range(500)))[-1].split()
    assert last[-2:] == ["v1.0.499", "v0.4.12"]
    assert len(last) == 1 + REMEMBERED
