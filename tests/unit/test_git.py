from __future__ import annotations

import pytest

from haybale.tools import git


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://user:secret@forge.example/a/b.git", "https://forge.example/a/b.git"),
        ("https://forge.example/a/b", "https://forge.example/a/b"),
        ("https://token@forge.example:8443/a", "https://forge.example:8443/a"),
        ("ssh://git@forge.example/a/b", "ssh://forge.example/a/b"),
        ("git@forge.example:a/b.git", "git@forge.example:a/b.git"),
        ("/srv/git/a.git", None),
        ("file:///srv/git/a.git", None),
        ("../a.git", None),
    ],
)
def test_public_url_has_no_credentials_and_no_local_path(url: str, kept: str | None) -> None:
    assert git.public_url(url) == kept


@pytest.mark.parametrize(
    ("url", "pages"),
    [
        ("git@forge.example:a/b.git", "https://forge.example/a/b"),
        ("forge.example:a/b", "https://forge.example/a/b"),
        ("git@forge.example:/srv/a/b.git", "https://forge.example/srv/a/b"),
        ("git@gitlab.com:group/sub/group/b.git", "https://gitlab.com/group/sub/group/b"),
        ("[git@forge.example:2222]:a/b.git", "https://forge.example/a/b"),
        ("ssh://git@forge.example:2222/a/b.git/", "https://forge.example/a/b"),
        ("git+ssh://ada@forge.example/a/b.git", "https://forge.example/a/b"),
        ("git://forge.example/a/b.git", "https://forge.example/a/b"),
        ("ssh://git@ssh.github.com:443/a/b.git", "https://github.com/a/b"),
        ("ssh://git@altssh.bitbucket.org:443/a/b.git", "https://bitbucket.org/a/b"),
        ("git@ssh.dev.azure.com:v3/org/project/b", "https://dev.azure.com/org/project/_git/b"),
        ("https://ada:s3cret@forge.example:8443/a/b.git", "https://forge.example:8443/a/b"),
        ("http://forge.example:3000/a/b", "http://forge.example:3000/a/b"),
        ("https://forge.example/a/b.git?token=s3cret", "https://forge.example/a/b"),
        ("file:///srv/git/a.git", None),
        ("/srv/git/a.git", None),
        ("./a:b", None),
        ("../a.git", None),
        ("C:/a/b.git", None),
        ("ext::sh -c x", None),
        ("codecommit::eu-west-1://a", None),
    ],
)
def test_pages_url_is_an_address_of_the_web(url: str, pages: str | None) -> None:
    assert git.pages_url(url) == pages


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "unable to access 'https://ada:s3cret@forge.example/a.git/': 403",
            "unable to access 'https://forge.example/a.git/': 403",
        ),
        (
            "https://token@forge.example and ssh://git@forge.example",
            "https://forge.example and ssh://forge.example",
        ),
        ("http://a:b@c@forge.example/x@y", "http://forge.example/x@y"),
        ("git@forge.example:a/b.git", "git@forge.example:a/b.git"),
    ],
)
def test_scrub_credentials_removes_them_from_every_url(said: str, shown: str) -> None:
    assert git.scrub_credentials(said) == shown


def test_parse_tags_peels_annotated_tags() -> None:
    found = git.parse_tags(
        {"refs/heads/main": "m", "refs/tags/v1": "t", "refs/tags/v1^{}": "c", "refs/tags/light": "d"}
    )
    assert found == {
        "v1": git.RemoteTag(hash="t", commit="c"),
        "light": git.RemoteTag(hash="d", commit="d"),
    }


def test_commit_subject_is_the_first_line() -> None:
    assert git.Commit(hash="a", parents=(), message="One\n\ntwo").subject == "One"
