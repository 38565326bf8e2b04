"""The next version, made by the real bump2version in real repositories: by a person, and for the pipeline."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from haybale.errors import ConfigError, HaybaleError, PrerequisiteError, ReleaseError, UsageError
from haybale.release import bump

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Clone

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]


def bumped(clone: Clone, *arguments: str, offline: bool = False) -> bump.Bumped:
    return bump.bump_version(clone.path, arguments, os.environ, offline=offline)


def test_bump_version_scheme(clone: Clone) -> None:
    made = [
        str(bumped(clone, part).version) for part in ("build", "build", "patch", "build", "minor", "major")
    ]
    assert made == ["v0.4.11-r1", "v0.4.11-r2", "v0.4.12", "v0.4.12-r1", "v0.5.0", "v1.0.0"]
    assert clone.git("tag", "--sort=v:refname", "--format=%(objecttype) %(refname:short)").splitlines() == [
        "tag v0.4.11-r1", "tag v0.4.11-r2", "tag v0.4.12", "tag v0.4.12-r1", "tag v0.5.0", "tag v1.0.0"
    ]  # fmt: skip
    assert clone.git("describe", "--exact-match") == "v1.0.0"
    assert clone.git("show", "-s", "--format=%s|%an", "HEAD") == "Release v1.0.0|Ada"


def test_bump_version_default_part(clone: Clone) -> None:
    assert str(bumped(clone).version) == "v0.4.11-r1"


def test_bump_version_dry_run(clone: Clone) -> None:
    before = clone.state()
    made = bumped(clone, "patch", "--dry-run", "--verbose")
    assert (str(made.version), made.is_dry_run) == ("v0.4.12", True)
    assert "Would commit" in made.stderr
    assert clone.state() == before


def test_bump_version_passes_options(clone: Clone) -> None:
    assert "new_version=0.5.0" in bumped(clone, "minor", "--list", "--no-tag").stdout
    assert clone.git("tag") == ""
    assert (
        str(bumped(clone, "patch", "--new-version", "2.0.0", "--message", "Begin anew").version) == "v2.0.0"
    )
    assert clone.git("show", "-s", "--format=%s") == "Begin anew"


def dirty(clone: Clone) -> None:
    (clone.path / ".bumpversion.cfg").write_text("changed", encoding="utf-8")


def staged(clone: Clone) -> None:
    (clone.path / "new").write_text("new", encoding="utf-8")
    clone.git("add", "new")


def diverge(clone: Clone) -> None:
    """Both sides change the same line."""
    clone.git("checkout", "-q", "-b", "other")
    clone.commit("fought-over", "theirs\n")
    clone.git("checkout", "-q", "main")
    clone.commit("fought-over", "ours\n")


def merging(clone: Clone) -> None:
    diverge(clone)
    assert subprocess.run(["git", "merge", "-q", "other"], cwd=clone.path, check=False).returncode


def rebasing(clone: Clone) -> None:
    diverge(clone)
    assert subprocess.run(["git", "rebase", "-q", "other"], cwd=clone.path, check=False).returncode


def picking(clone: Clone) -> None:
    diverge(clone)
    assert subprocess.run(["git", "cherry-pick", "other"], cwd=clone.path, check=False).returncode


def marked(clone: Clone) -> None:
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    clone.commit(".bumpversion.cfg", f"{text}<<<<<<< HEAD\ntag = True\n=======\ntag = False\n>>>>>>> x\n")


def marked_elsewhere(clone: Clone) -> None:
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    clone.commit("notes.md", "0.4.11\n<<<<<<< HEAD\none\n=======\nother\n>>>>>>> x\n")
    clone.commit(".bumpversion.cfg", f"{text}\n[bumpversion:file:notes.md]\n")


def tagged_here(clone: Clone) -> None:
    clone.git("tag", "v0.4.12")


def tagged_there(clone: Clone) -> None:
    clone.git("push", "-q", "origin", "HEAD:refs/tags/v0.4.12")


def behind(clone: Clone) -> None:
    clone.commit("more")
    clone.git("push", "-q")
    clone.git("reset", "-q", "--hard", "HEAD^")


def unfetched(clone: Clone) -> None:
    elsewhere = clone.another("elsewhere")
    elsewhere.commit("more")
    elsewhere.git("push", "-q")


def gone_another_way(clone: Clone) -> None:
    behind(clone)
    clone.commit("else")


def vanished(clone: Clone) -> None:
    clone.remote.rename(clone.remote.with_name("away"))


def nobody(clone: Clone) -> None:
    del clone
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        del os.environ[name]  # the fixture gives them back


def missing_version(clone: Clone) -> None:
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    clone.commit("notes.md", "no version here\n")
    clone.commit(".bumpversion.cfg", f"{text}\n[bumpversion:file:notes.md]\n")


def other_tags(clone: Clone) -> None:
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    clone.commit(".bumpversion.cfg", text.replace("tag_name = v", "tag_name = release-"))


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (dirty, ReleaseError, ("not committed: .bumpversion.cfg", "commit or stash")),
        (staged, ReleaseError, ("not committed: new", "commit or stash")),
        (merging, ReleaseError, ("a merge is not finished", "git merge --abort")),
        (rebasing, ReleaseError, ("a rebase is not finished", "git rebase --abort")),
        (picking, ReleaseError, ("a cherry-pick is not finished", "git cherry-pick --abort")),
        (marked, ConfigError, (".bumpversion.cfg:11: a conflict marker", "resolve")),
        (marked_elsewhere, ReleaseError, ("notes.md:2: a conflict marker", "resolve")),
        (tagged_here, ReleaseError, ("v0.4.12 exists here", "git tag -d v0.4.12")),
        (tagged_there, ReleaseError, ("v0.4.12 exists on origin", "git pull")),
        (behind, ReleaseError, ("main is behind main of origin", "git pull")),
        (unfetched, ReleaseError, ("main is behind main of origin", "git pull")),
        (gone_another_way, ReleaseError, ("has diverged", "git pull")),
        (vanished, ReleaseError, ("origin could not be asked", "--offline")),
        (nobody, ReleaseError, ("does not know who", "git config user.name")),
        (missing_version, ReleaseError, ("cannot bump the patch part", "fix")),
        (other_tags, ConfigError, ("tag_name is 'release-", "tag_name = v{new_version}")),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_bump_version_refusals_change_nothing(
    clone: Clone,
    spoil: Callable[[Clone], None],
    kind: type[HaybaleError],
    words: tuple[str, str],
    flags: tuple[str, ...],
) -> None:
    what, step = words
    spoil(clone)
    before = clone.state()
    with pytest.raises(kind) as told:
        bumped(clone, "patch", *flags)
    assert what in told.value.message
    assert step in told.value.hint
    assert "Traceback" not in told.value.message + told.value.cause + told.value.log
    assert clone.state() == before


def test_bump_version_allows_untracked_files(clone: Clone) -> None:
    (clone.path / "untracked").write_text("x", encoding="utf-8")
    clone.commit("unpushed")
    clone.commit("heading.rst", "Title 1\n=======\n")
    clone.git("tag", "v0.4.12-unrelated")
    assert str(bumped(clone, "patch").version) == "v0.4.12"
    assert (clone.path / "untracked").exists()


def test_bump_version_offline(clone: Clone) -> None:
    vanished(clone)
    assert str(bumped(clone, "patch", offline=True).version) == "v0.4.12"
    clone.git("tag", "v0.4.13")
    with pytest.raises(ReleaseError, match=r"v0\.4\.13 exists here"):
        bumped(clone, "patch", offline=True)


def test_bump_version_without_remote(clone: Clone) -> None:
    clone.git("remote", "remove", "origin")
    assert str(bumped(clone, "patch").version) == "v0.4.12"


def test_bump_version_upstream(clone: Clone) -> None:
    """The branch here is called otherwise than the one that it follows."""
    clone.git("remote", "rename", "origin", "forge")
    clone.git("branch", "-q", "-m", "main", "mine")
    behind_as_mine = clone.commit("more")
    clone.git("push", "-q", "forge", "mine:main")
    clone.git("reset", "-q", "--hard", f"{behind_as_mine}^")
    with pytest.raises(ReleaseError, match="mine is behind main of forge"):
        bumped(clone, "patch")


def test_bump_version_shallow_clone(clone: Clone) -> None:
    for name in ("one", "two", "three"):
        clone.commit(name)
    clone.git("push", "-q")
    shallow = clone.another("shallow", "--depth=1")
    assert str(bumped(shallow, "patch").version) == "v0.4.12"
    shallow.git("tag", "-d", "v0.4.12")
    clone.git("push", "-q", "--force", "origin", "HEAD~2:main")
    with pytest.raises(ReleaseError, match="behind main of origin") as told:
        bumped(shallow, "patch")
    assert "--unshallow" in told.value.hint


def test_bump_version_hook_refuses(clone: Clone) -> None:
    hook = clone.path / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho not today >&2; exit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    before = clone.state()
    with pytest.raises(ReleaseError, match=r"failed to make v0\.4\.12"):
        bumped(clone, "patch")
    assert clone.state() == before


def configured(clone: Clone, old: str, new: str) -> None:
    text = (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    assert old in text
    clone.commit(".bumpversion.cfg", text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("commit = True\n", "", ":1: commit is not set"),
        ("commit = True\n", "commit = no\n", ":7: commit is no"),
        ("tag = True\n", "", ":1: tag is not set"),
        ("tag = True\n", "tag = False\n", ":8: tag is False"),
        ("tag = True\n", "tag = True\ntag_message =\n", ":9: tag_message is empty"),
    ],
)
def test_bump_version_refuses_configuration_without_commit_or_tag(
    clone: Clone, old: str, new: str, what: str
) -> None:
    configured(clone, old, new)
    before = clone.state()
    with pytest.raises(ConfigError) as told:
        bumped(clone, "patch")
    assert what in told.value.message
    assert clone.state() == before


def test_bump_version_options_count_more_than_configuration(clone: Clone) -> None:
    configured(clone, "commit = True\ntag = True\n", "")
    assert str(bumped(clone, "patch", "--commit", "--tag").version) == "v0.4.12"
    assert clone.git("cat-file", "-t", "v0.4.12") == "tag"


@pytest.mark.parametrize("what", ["tag.gpgSign", "commit.gpgSign", "tag.forceSignAnnotated"])
@pytest.mark.parametrize("arguments", [(), ("--allow-dirty",)])
def test_bump_version_signs_with_a_missing_key(clone: Clone, what: str, arguments: tuple[str, ...]) -> None:
    if arguments:
        clone.commit("notes")
        (clone.path / "notes").write_text("mine", encoding="utf-8")
        clone.git("add", "notes")
    clone.git("config", what, "true")
    clone.git("config", "user.signingKey", "0123456789ABCDEF")
    before = clone.state()
    with pytest.raises(ReleaseError, match="nothing was changed") as told:
        bumped(clone, "patch", *arguments)
    assert "gpg" in told.value.cause
    assert "Command '[" not in told.value.cause
    assert clone.state() == before


def test_bump_version_signs(clone: Clone, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "allowed").write_text(
        f"ada@example.org {key.with_suffix('.pub').read_text(encoding='utf-8')}", encoding="utf-8"
    )
    for name, value in {
        "gpg.format": "ssh", "user.signingKey": f"{key}.pub", "tag.gpgSign": "true", "commit.gpgSign": "true",
        "gpg.ssh.allowedSignersFile": str(tmp_path / "allowed"),
    }.items():  # fmt: skip
        clone.git("config", name, value)
    assert str(bumped(clone, "patch").version) == "v0.4.12"
    clone.git("verify-tag", "v0.4.12")
    clone.git("verify-commit", "HEAD")


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("commit-msg", "echo no ticket >&2; exit 1", "no ticket"),
        ("post-commit", "git tag -a -m x v0.4.12", "already exists"),
        ("post-commit", "test -e .git/more || { >.git/more; git commit -q --allow-empty -m x; }", "made no"),
        (
            "reference-transaction",
            'if [ "$1" = prepared ] && grep -q refs/tags/; then echo no tags >&2; exit 1; fi',
            "no tags",
        ),
        ("pre-commit", "git checkout -q HEAD -- .bumpversion.cfg; echo x >new; git add new", "does not have"),
    ],
)
def test_bump_version_hooks_change_what_is_made(clone: Clone, name: str, script: str, words: str) -> None:
    hook = clone.path / ".git/hooks" / name
    hook.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    hook.chmod(0o755)
    before = clone.git("for-each-ref"), clone.git("rev-parse", "HEAD")
    with pytest.raises(ReleaseError, match="nothing was changed") as told:
        bumped(clone, "patch")
    assert words in told.value.cause
    assert (clone.git("for-each-ref"), clone.git("rev-parse", "HEAD")) == before
    assert clone.git("status", "--porcelain", "--untracked-files=no") == ""


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("patch", "--no-commit"), "--no-commit is not available here"),
        (("micro",), "'micro' is no part"),
        (("--dry-run", "patch"), "the part stands before the options"),
        (("patch", "--tag-name", "x"), "--tag-name is not available here"),
        (("patch", "--config-file=x"), "--config-file is not available here"),
    ],
)
def test_bump_version_explains_slips(clone: Clone, arguments: tuple[str, ...], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        bumped(clone, *arguments)


def test_bump_version_refuses_other_form(clone: Clone) -> None:
    with pytest.raises(ReleaseError, match=r"would make the version 1\.2\.3-r0"):
        bumped(clone, "patch", "--new-version", "1.2.3-r0")


def test_bump_version_without_bump2version(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAYBALE_BUMP2VERSION", "/nowhere/bumpversion")
    with pytest.raises(PrerequisiteError, match="/nowhere/bumpversion, which cannot be run") as told:
        bumped(clone, "patch")
    assert "`haybale bump`" in told.value.hint


def test_bump_command_prints_output(clone: Clone) -> None:
    settings = '[tool.haybale]\nname = "x"\nregistry = "localhost:5000/x"\ncore = "x"\n'
    clone.commit("pyproject.toml", settings)
    command = [sys.executable, "-m", "haybale", "bump", "patch", "--list"]
    done = subprocess.run(command, cwd=clone.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "new_version=0.4.12"
    assert "made v0.4.12" in done.stderr
    again = subprocess.run(
        [*command[:-2], "micro"], cwd=clone.path, capture_output=True, text=True, check=False
    )
    assert again.returncode == UsageError.exit_code
    assert again.stdout == ""


# The pipeline's: beside the work tree ------------------------------------------------------------------


def test_make_release_tree_leaves_repository_alone(clone: Clone) -> None:
    (clone.path / "untracked").write_text("x", encoding="utf-8")
    before = clone.state()
    made = bump.make_release_tree(clone.path, "patch", clone.path.parent / "run" / "tree", os.environ)
    assert clone.state() == before
    assert str(made.version) == "v0.4.12"
    assert made.base == clone.git("rev-parse", "HEAD")
    assert clone.git("rev-parse", f"{made.commit}^") == made.base
    assert "current_version = 0.4.12" in (made.path / ".bumpversion.cfg").read_text(encoding="utf-8")
    assert not (made.path / "untracked").exists()
    bump.remove_release_tree(clone.path, made.path)
    bump.remove_release_tree(clone.path, made.path)
    assert clone.state() == before
    assert len(clone.git("worktree", "list").splitlines()) == 1
    assert not made.path.exists()


def test_make_release_tree_keeps_finished_tree(clone: Clone) -> None:
    folder = clone.path.parent / "tree"
    made = bump.make_release_tree(clone.path, "patch", folder, os.environ)
    assert bump.read_release_tree(folder) == made
    assert bump.make_release_tree(clone.path, "patch", folder, os.environ) == made


def test_make_release_tree_again_for_other_part_or_commit(clone: Clone) -> None:
    folder = clone.path.parent / "tree"
    bump.make_release_tree(clone.path, "patch", folder, os.environ)
    assert str(bump.make_release_tree(clone.path, "build", folder, os.environ).version) == "v0.4.11-r1"
    clone.commit("more")
    made = bump.make_release_tree(clone.path, "build", folder, os.environ)
    assert made.base == clone.git("rev-parse", "HEAD")


def test_read_release_tree_of_other_folders(clone: Clone, tmp_path: Path) -> None:
    """A folder inside of the user's work tree belongs to a repository too: the user's."""
    folder = clone.path / ".haybale" / "tree"
    assert bump.read_release_tree(folder) is None
    folder.mkdir(parents=True)
    assert bump.read_release_tree(folder) is None
    clone.git("worktree", "add", "-q", "--detach", str(tmp_path / "other"))
    assert bump.read_release_tree(tmp_path / "other") is None
    with pytest.raises(ReleaseError, match="not removed"):
        bump.remove_release_tree(clone.path, clone.path)


def test_read_release_tree_cut_off_mark(clone: Clone) -> None:
    folder = clone.path.parent / "tree"
    made = bump.make_release_tree(clone.path, "patch", folder, os.environ)
    bump._marker_file(folder).write_text("", encoding="ascii")
    assert bump.read_release_tree(folder) is None
    assert bump.make_release_tree(clone.path, "patch", folder, os.environ).version == made.version


@pytest.mark.parametrize("got", ["registered", "made the folder", "pointed from there", "pointed back"])
def test_make_release_tree_after_git_was_killed(clone: Clone, got: str) -> None:
    """Git's own steps, in their order, as far as it got."""
    folder = clone.path.parent / "trees/tree"
    made = bump.make_release_tree(clone.path, "patch", folder, os.environ)
    kept = clone.path / ".git/worktrees/tree"
    (kept / "locked").write_text("initializing", encoding="utf-8")
    for name in ("HEAD", "commondir", "index", "ORIG_HEAD", bump.MARKER):
        (kept / name).unlink(missing_ok=True)
    pointer = (folder / ".git").read_bytes()
    shutil.rmtree(folder.parent)
    if got != "registered":
        folder.mkdir(parents=True)
    if got in ("pointed from there", "pointed back"):
        (folder / ".git").write_bytes(pointer)
    if got == "pointed back":
        (kept / "HEAD").write_text("0" * 40, encoding="ascii")
        (kept / "commondir").touch()  # begun, not written
    assert bump.make_release_tree(clone.path, "patch", folder, os.environ).version == made.version
    bump.remove_release_tree(clone.path, folder)
    assert len(clone.git("worktree", "list").splitlines()) == 1


def test_remove_release_tree_keeps_other_worktrees(clone: Clone, tmp_path: Path) -> None:
    """Also one whose disk is away just now: `git worktree prune` would forget it."""
    clone.git("worktree", "add", "-q", "--detach", str(tmp_path / "theirs"))
    (tmp_path / "theirs").rename(tmp_path / "away")
    folder = tmp_path / "tree"
    bump.make_release_tree(clone.path, "patch", folder, os.environ)
    bump.remove_release_tree(clone.path, folder)
    assert str(tmp_path / "theirs") in clone.git("worktree", "list")


def test_make_release_tree_failure_leaves_no_folder(clone: Clone) -> None:
    clone.git("tag", "v0.4.12")
    folder = clone.path.parent / "tree"
    with pytest.raises(ReleaseError, match=r"v0\.4\.12 exists here"):
        bump.make_release_tree(clone.path, "patch", folder, os.environ)
    assert not folder.exists()
    assert len(clone.git("worktree", "list").splitlines()) == 1


def test_make_release_tree_runs_no_hooks(clone: Clone) -> None:
    for name in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction"):
        hook = clone.path / ".git/hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        hook.chmod(0o755)
    assert (
        str(bump.make_release_tree(clone.path, "patch", clone.path.parent / "tree", os.environ).version)
        == "v0.4.12"
    )


@pytest.mark.parametrize(
    ("env", "author"),
    [
        (
            {"GITHUB_ACTOR": "ada", "GITHUB_ACTOR_ID": "7", "GITHUB_SERVER_URL": "https://github.com"},
            "ada <7+ada@users.noreply.github.com>",
        ),
        (
            {"GITHUB_ACTOR": "ada", "GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": "http://127.0.0.1:3000/"},
            "ada <ada@noreply.127.0.0.1>",
        ),
        ({"GITLAB_USER_NAME": "Ada L", "GITLAB_USER_EMAIL": "a@x.org"}, "Ada L <a@x.org>"),
    ],
)
def test_make_release_tree_identity_of_ci_system(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], author: str
) -> None:
    nobody(clone)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    made = bump.make_release_tree(clone.path, "patch", clone.path.parent / "tree", os.environ)
    assert clone.git("show", "-s", "--format=%an <%ae>", made.commit) == author
    assert clone.git("show", "-s", "--format=%cn <%ce>", made.commit) == author


def test_make_release_tree_killed_at_any_moment(clone: Clone, tmp_path: Path) -> None:
    """The process group is killed at ever later moments, until one attempt gets through."""
    folder = tmp_path / "tree"
    before = clone.state()
    script = (
        "import os, sys; from pathlib import Path; from haybale.release import bump; "
        "bump.make_release_tree(Path(sys.argv[1]), 'patch', Path(sys.argv[2]), os.environ)"
    )
    command = [sys.executable, "-c", script, str(clone.path), str(folder)]
    # A part of what it takes undisturbed, on this machine.
    began = time.monotonic()
    subprocess.run(command, check=True)
    step = (time.monotonic() - began) / 12
    bump.remove_release_tree(clone.path, folder)
    killed, wait = 0, step
    while True:
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
        try:
            _, said = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            killed += 1
            wait += step
            assert clone.state() == before
            if killed % 3 == 0:
                made = bump.make_release_tree(clone.path, "patch", folder, os.environ)
                assert str(made.version) == "v0.4.12"
                bump.remove_release_tree(clone.path, folder)
            continue
        assert process.returncode == 0, said
        break
    assert killed > 3
    made_last = bump.read_release_tree(folder)
    assert made_last is not None
    assert str(made_last.version) == "v0.4.12"
    assert clone.state() == before
