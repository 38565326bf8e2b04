from __future__ import annotations

import pytest

from haybale.errors import ConfigError
from haybale.image_ref import ImageRef, cache_images, index_image, stage_image

SHA = "sha256:" + "0123456789abcdef" * 4


def test_stage_image_names_registry_version_and_stage() -> None:
    local, hub = ImageRef.parse("localhost:5000/site"), ImageRef.parse("r/site")
    assert str(stage_image(local, "v1.2.3", "release")) == "localhost:5000/site:v1.2.3"
    assert str(stage_image(hub, "v1.2.3", "release")) == "r/site:v1.2.3"
    assert str(stage_image(hub, "v1.2.3", "solr")) == "r/site:v1.2.3-solr"
    assert str(index_image(hub, "a" * 32)) == f"r/site:solr-{'a' * 32}"


def test_cache_images_are_the_last_release_s_and_the_stage_s_own() -> None:
    site = ImageRef.parse("r/site")
    assert [str(each) for each in cache_images(site, "release")] == ["r/site:last"]
    assert [str(each) for each in cache_images(site, "tester")] == ["r/site:last", "r/site:last-tester"]


@pytest.mark.parametrize("bad", ["", "-a", ".a", "a/b", "a:b", "a b", "ä", "a\n", "a" * 129])
def test_with_tag_refuses_what_is_not_a_tag(bad: str) -> None:
    with pytest.raises(ConfigError, match="cannot be an image tag"):
        ImageRef.parse("r/site").with_tag(bad)
    with pytest.raises(ConfigError, match="cannot be an image's name"):
        ImageRef.parse(f"r/site:{bad}")


def test_stage_image_refuses_a_version_that_its_stage_makes_too_long() -> None:
    repository = ImageRef.parse("r")
    assert str(stage_image(repository, "v" * 123, "solr")).endswith("-solr")
    with pytest.raises(ConfigError, match="cannot be an image tag"):
        stage_image(repository, "v" * 124, "solr")


def test_with_tag_and_with_digest_replace_both() -> None:
    image = ImageRef.parse(f"r.example/site:v1@{SHA}")
    assert str(image.with_tag("v2")) == "r.example/site:v2"
    assert str(image.with_digest(SHA)) == f"r.example/site@{SHA}"


@pytest.mark.parametrize(
    ("name", "domain", "path", "tag", "digest"),
    [
        ("python", "docker.io", "library/python", None, None),
        ("python:3.13-slim", "docker.io", "library/python", "3.13-slim", None),
        ("my_org/site", "docker.io", "my_org/site", None, None),
        ("docker.io/python", "docker.io", "library/python", None, None),
        ("index.docker.io/a/b", "docker.io", "a/b", None, None),
        ("localhost/site", "localhost", "site", None, None),
        ("localhost:5000/a/b/c:v1", "localhost:5000", "a/b/c", "v1", None),
        ("Host/site", "Host", "site", None, None),
        ("r.example/a--b/c__d.e:_x", "r.example", "a--b/c__d.e", "_x", None),
        ("[::1]:5000/site", "[::1]:5000", "site", None, None),
        (f"solr@{SHA}", "docker.io", "library/solr", None, SHA),
        (f"r.example:1/solr:9@{SHA}", "r.example:1", "solr", "9", SHA),
        ("site:5000", "docker.io", "library/site", "5000", None),
    ],
)
def test_parse_completes_a_name_as_docker_does(
    name: str, domain: str, path: str, tag: str | None, digest: str | None
) -> None:
    assert ImageRef.parse(name) == ImageRef(domain=domain, path=path, tag=tag, digest=digest)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("python", "python"),
        ("docker.io/library/python:3", "python:3"),
        ("index.docker.io/a/b:c", "a/b:c"),
        ("docker.io/a.b/c", "docker.io/a.b/c"),
        ("docker.io/localhost/c", "docker.io/localhost/c"),
        ("library/a/b", "library/a/b"),
        (f"r.example/a@{SHA}", f"r.example/a@{SHA}"),
        (f"localhost:1/a:b@{SHA}", f"localhost:1/a:b@{SHA}"),
    ],
)
def test_str_is_the_name_as_docker_prints_it_and_parses_to_the_same(name: str, shown: str) -> None:
    image = ImageRef.parse(name)
    assert str(image) == shown
    assert ImageRef.parse(shown) == image


@pytest.mark.parametrize(
    "bad",
    [
        "", "/", "a/", "/a", "a//b", "A", "a/B", "a..b", "a___b", "_a", "a-", "-a/b", "http://r.example/a",
        "r.example:port/a", "r_r.example/a", "a:", "a@", "a b", "a\n", "a@sha256:12", f"a@{SHA.upper()}",
        f"a@md5:{'0' * 32}", f"a@{SHA}@{SHA}", "0" * 64, "a/" * 128 + "a", "a:b:c", "a.b/",
    ],
)  # fmt: skip
def test_parse_refuses_what_is_not_a_name(bad: str) -> None:
    with pytest.raises(ConfigError) as told:
        ImageRef.parse(bad)
    assert repr(bad) in told.value.message
    assert told.value.cause


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("user:canary@r.example/a", "***@r.example/a"),
        ("canary@r.example/a", "***@r.example/a"),
        ("user:canary@localhost:5000", "***@localhost:5000"),
        ("user:can@ary@r.example/a:1", "***@r.example/a:1"),
        (f"user:canary@r.example/a@{SHA}", f"***@r.example/a@{SHA}"),
        ("https://user:canary@r.example/a", "***@r.example/a"),
    ],
)
def test_parse_shows_no_login(name: str, shown: str) -> None:
    with pytest.raises(ConfigError) as told:
        ImageRef.parse(name)
    assert told.value.message == f"{shown!r} cannot be an image's name"
    assert "docker login" in told.value.cause
    assert "ary" not in told.value.cause


def test_parse_refuses_a_path_that_is_too_long() -> None:
    assert ImageRef.parse(f"r.example/{'a' * 255}").path == "a" * 255
    with pytest.raises(ConfigError, match="cannot be an image's name"):
        ImageRef.parse(f"r.example/{'a' * 256}")
