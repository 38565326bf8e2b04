import pytest

from haybale.deploy.prune import is_haybales, select_unused
from haybale.version import Version


def test_select_unused_keeps_digests_in_use() -> None:
    tags = {
        "v1": "sha256:a", "v1-solr": "sha256:b", "solr-key": "sha256:b", "another": "sha256:a",
        "old": "sha256:c", "older": "sha256:c", "named": "sha256:d", "last": "sha256:e",
        "last-solr": "sha256:f", "sha256-a": "sha256:g", "sha256-c": "sha256:h", "latest": "sha256:i",
    }  # fmt: skip
    found = select_unused(tags, used_tags={"v1", "named"}, used_digests={"sha256:a", "sha256:b"})
    assert set(found) == {"old", "older", "sha256-c", "latest"}
    assert select_unused({}, used_tags=(), used_digests=()) == {}


@pytest.mark.parametrize(
    ("tag", "first", "ours"),
    [
        ("v2.0.1", "v2.0.1", True),
        ("v2.0.1-solr", "v2.0.1", True),
        ("v2.0.1-r3-7-tester", "v2.0.1", True),
        ("v2.0.0-solr", "v2.0.1", False),
        ("2.0.0", "v2.0.1", False),
        ("v2.0.1.4", "v2.0.1", False),
        ("latest", "v2.0.1", False),
        ("main-0123abc", "v2.0.1", False),
        ("v2.0.1", None, False),
        ("solr-0123456789abcdef", None, True),
        ("solr-9.10", None, False),
    ],
)
def test_is_haybales_goes_by_the_form_and_the_first_version(tag: str, first: str | None, ours: bool) -> None:
    assert is_haybales(tag, Version.parse(first) if first else None) is ours
