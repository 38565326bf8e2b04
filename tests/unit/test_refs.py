from __future__ import annotations

import pytest

from haybale import image_ref as refs
from haybale.errors import ConfigError

SHA = "sha256:" + "0123456789abcdef" * 4


def test_images_are_named_by_registry_version_and_layer() -> None:
    assert refs.tag("localhost:5000/site", "v1.2.3") == "localhost:5000/site:v1.2.3"
    assert refs.step_tag("r/site", "v1.2.3", "release") == "r/site:v1.2.3"
    assert refs.step_tag("r/site", "v1.2.3", "solr") == "r/site:v1.2.3-solr"


def test_every_layer_reads_the_last_release_s_cache_and_writes_its_own() -> None:
    assert refs.cache("r/site", "release") == ("r/site:last",)
    assert refs.cache("r/site", "tester") == ("r/site:last", "r/site:last-tester")


@pytest.mark.parametrize("bad", ["", "-a", ".a", "a/b", "a:b", "a b", "ä", "a\n", "a" * 129])
def test_what_can_t_be_a_tag_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError, match="can't be an image tag"):
        refs.tag("r/site", bad)
    with pytest.raises(ConfigError, match="can't be an image's name"):
        refs.parse(f"r/site:{bad}")


def test_a_layer_can_make_a_tag_too_long() -> None:
    assert refs.step_tag("r", "v" * 123, "solr").endswith("-solr")
    with pytest.raises(ConfigError, match="can't be an image tag"):
        refs.step_tag("r", "v" * 124, "solr")


@pytest.mark.parametrize(
    ("name", "domain", "path", "tag", "digest"),
    [
        ("python", "docker.io", "library/python", "", ""),
        ("python:3.13-slim", "docker.io", "library/python", "3.13-slim", ""),
        ("my_org/site", "docker.io", "my_org/site", "", ""),
        ("docker.io/python", "docker.io", "library/python", "", ""),
        ("index.docker.io/a/b", "docker.io", "a/b", "", ""),
        ("localhost/site", "localhost", "site", "", ""),
        ("localhost:5000/a/b/c:v1", "localhost:5000", "a/b/c", "v1", ""),
        ("Host/site", "Host", "site", "", ""),
        ("r.example/a--b/c__d.e:_x", "r.example", "a--b/c__d.e", "_x", ""),
        ("[::1]:5000/site", "[::1]:5000", "site", "", ""),
        (f"solr@{SHA}", "docker.io", "library/solr", "", SHA),
        (f"r.example:1/solr:9@{SHA}", "r.example:1", "solr", "9", SHA),
        ("site:5000", "docker.io", "library/site", "5000", ""),
    ],
)
def test_a_name_has_the_parts_that_docker_gives_it(
    name: str, domain: str, path: str, tag: str, digest: str
) -> None:
    assert refs.parse(name) == refs.ImageRef(domain=domain, path=path, tag=tag, digest=digest)


@pytest.mark.parametrize("name", ["python", "a/b:c", f"r.example/a@{SHA}", f"localhost:1/a:b@{SHA}"])
def test_a_complete_name_is_its_own(name: str) -> None:
    complete = str(refs.parse(name))
    assert str(refs.parse(complete)) == complete
    assert complete.endswith(name)


@pytest.mark.parametrize(
    "bad",
    [
        "", "/", "a/", "/a", "a//b", "A", "a/B", "a..b", "a___b", "_a", "a-", "-a/b", "http://r.example/a",
        "r.example:port/a", "r_r.example/a", "a:", "a@", "a b", "a\n", "a@sha256:12", f"a@{SHA.upper()}",
        f"a@md5:{'0' * 32}", f"a@{SHA}@{SHA}", "0" * 64, "a/" * 128 + "a", "a:b:c", "a.b/",
    ],
)  # fmt: skip
def test_what_can_t_be_a_name_is_refused(bad: str) -> None:
    with pytest.raises(ConfigError) as told:
        refs.parse(bad)
    assert repr(bad) in told.value.message
    assert told.value.cause


def test_a_path_has_a_longest_length() -> None:
    assert refs.parse(f"r.example/{'a' * 255}").path == "a" * 255
    with pytest.raises(ConfigError, match="can't be an image's name"):
        refs.parse(f"r.example/{'a' * 256}")
