from haybale.deploy.prune import select_unused


def test_select_unused_keeps_digests_in_use() -> None:
    tags = {
        "v1": "sha256:a", "v1-solr": "sha256:b", "solr-key": "sha256:b", "another": "sha256:a",
        "old": "sha256:c", "older": "sha256:c", "named": "sha256:d", "last": "sha256:e",
        "last-solr": "sha256:f", "sha256-a": "sha256:g", "sha256-c": "sha256:h", "latest": "sha256:i",
    }  # fmt: skip
    found = select_unused(tags, used_tags={"v1", "named"}, used_digests={"sha256:a", "sha256:b"})
    assert set(found) == {"old", "older", "sha256-c", "latest"}
    assert select_unused({}, used_tags=(), used_digests=()) == {}
