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
        ("/srv/git/a.git", ""),
        ("file:///srv/git/a.git", ""),
        ("../a.git", ""),
    ],
)
def test_a_remote_keeps_no_credentials_and_no_path_of_a_machine(url: str, kept: str) -> None:
    assert git.without_credentials(url) == kept
