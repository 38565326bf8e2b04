"""git's adapter under a user's configuration that changes what git prints and does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from haybale.release import bump, publish
from haybale.tools import git
from tests.integration.hostile import PLANTED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Clone

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]


def read_everything(clone: Clone) -> list[Any]:
    root = clone.path
    return [
        git.read_head(root), git.read_commit(root), git.changed_files(root), git.untracked_files(root),
        git.current_branch(root), git.local_tags(root, "v*"),
        git.remote_refs(root, "origin", "refs/tags/*"),
        git.list_commits(root, None, "HEAD"), git.last_change(root, [".bumpversion.cfg"]),
        git.commit_date(root, "HEAD"), git.find_upstream(root, "main"), git.remote_pages(root),
        git.read_history(root, 9, "v*"), git.uncommitted_files(root, ["änderung", "new"]),
        git.count_commits(root, "HEAD^", "HEAD"),
        git.read_tag(root, "v0.4.11"), git.default_branch(root), git.has_identity(root),
    ]  # fmt: skip


def test_a_user_s_configuration_changes_nothing_that_is_read(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.commit("änderung", message="Grüße, ändere es")
    clone.git("tag", "-a", "-m", "Grüße", "v0.4.11")
    clone.git("push", "-q", "origin", "main", "v0.4.11")
    (clone.path / "änderung").write_text("other", encoding="utf-8")
    (clone.path / "new").write_text("new", encoding="utf-8")
    expected = read_everything(clone)
    planted = tmp_path / "gitconfig"
    planted.write_text(PLANTED, encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(planted))
    assert read_everything(clone) == expected


def test_a_user_s_configuration_changes_no_version(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.git("tag", "-a", "-m", "mine", "mine")
    planted = tmp_path / "gitconfig"
    planted.write_text(PLANTED, encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(planted))
    tree = bump.make_release_tree(clone.path, "patch", tmp_path / "tree", os.environ)
    done = publish.push_version(clone.path, tree, "origin", "main", [])
    assert done.notes == ()
    assert set(clone.remote_refs()) == {"refs/heads/main", "refs/tags/v0.4.12"}
    made = bump.bump_version(clone.path, ("build",), os.environ)
    assert str(made.version) == "v0.4.12-r1"
    monkeypatch.delenv("GIT_CONFIG_GLOBAL")
    assert git.read_commit(clone.path).subject == "Release v0.4.12-r1"
    assert git.read_tag(clone.path, "v0.4.12-r1") is not None


def test_branch_named_like_a_tag(clone: Clone) -> None:
    clone.git("tag", "-a", "-m", "x", "v0.4.11")
    clone.git("branch", "v0.4.11")
    clone.git("tag", "main")
    clone.git("commit", "-q", "--allow-empty", "-m", "More")
    assert git.current_branch(clone.path) == "main"
    head = git.read_head(clone.path)
    assert head is not None
    assert head.branch == "main"
    assert list(git.local_tags(clone.path, "v*")) == ["v0.4.11"]


def test_remote_pages_are_resolved_by_git(clone: Clone) -> None:
    clone.git("config", "url.git@forge.example:.insteadOf", "work:")
    clone.git("remote", "set-url", "origin", "work:group/site.git")
    assert git.remote_pages(clone.path) == "https://forge.example/group/site"
