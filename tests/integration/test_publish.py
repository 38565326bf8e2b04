"""Publishing to a real bare repository: alone, refused, killed, and six at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import ReleaseError
from haybale.release import bump, publish
from haybale.release.remote import read_tag_messages, remote_tags
from haybale.tools import git
from haybale.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from haybale.release.bump import ReleaseTree
    from tests.integration.conftest import Clone

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]

LINES = ["image: registry/site:v0.4.12@sha256:12", "index-key: 1-ab"]


def tree_of(clone: Clone, part: bump.VersionPart = "patch") -> ReleaseTree:
    return bump.make_release_tree(
        clone.path, part, clone.path.with_name(f"{clone.path.name}-tree"), os.environ
    )


def pushed(clone: Clone, tree: ReleaseTree) -> publish.Published:
    return publish.push_version(clone.path, tree, "origin", "main", LINES)


def test_push_version_commit_and_tag_arrive(clone: Clone) -> None:
    tree = tree_of(clone)
    done = pushed(clone, tree)
    assert clone.remote_refs() == {"refs/heads/main": tree.commit, "refs/tags/v0.4.12": done.tag}
    assert clone.git("cat-file", "-t", done.tag) == "tag"
    assert clone.git("rev-parse", "v0.4.12^{commit}") == tree.commit
    assert clone.git("for-each-ref", "--format=%(taggername) %(contents:subject)", "refs/tags") == (
        "Ada Release v0.4.12"
    )
    tags = remote_tags(clone.path, "origin", "v0.4.12")
    assert tags["v0.4.12"].commit == tree.commit
    assert read_tag_messages(clone.path, "origin", tags)["v0.4.12"][2:4] == LINES
    assert publish.is_published(clone.path, "origin", "v0.4.12", tree.commit)
    # The branch here, its files and what is known of the remote have come along.
    assert clone.git("rev-parse", "main") == clone.git("rev-parse", "origin/main") == tree.commit
    assert clone.git("status", "--porcelain") == ""
    assert done.notes == ()


def test_make_release_tree_is_not_visible(clone: Clone) -> None:
    before, there = clone.state(), clone.remote_refs()
    tree_of(clone)
    assert (clone.state(), clone.remote_refs()) == (before, there)


def test_is_published_unknown_version(clone: Clone) -> None:
    assert not publish.is_published(clone.path, "origin", "v9.9.9", clone.git("rev-parse", "HEAD"))
    assert read_tag_messages(clone.path, "origin", {}) == {}
    clone.remote.rename(clone.remote.with_name("away"))
    with pytest.raises(ReleaseError, match="could not be asked"):
        publish.is_published(clone.path, "origin", "v9.9.9", "")
    missing = {"v9.9.9": git.RemoteTag(hash="1" * 40, commit="2" * 40)}
    with pytest.raises(ReleaseError, match=r"v9\.9\.9 could not be fetched"):
        read_tag_messages(clone.path, "origin", missing)


def test_push_version_detached_head(clone: Clone) -> None:
    """As CI systems check out."""
    head = clone.git("rev-parse", "HEAD")
    clone.git("checkout", "-q", "--detach")
    tree = tree_of(clone)
    assert pushed(clone, tree).notes == ()
    assert clone.git("rev-parse", "HEAD") == head
    assert clone.remote_refs()["refs/heads/main"] == tree.commit


def test_push_version_keeps_change_in_the_way(clone: Clone) -> None:
    tree = tree_of(clone)
    (clone.path / ".bumpversion.cfg").write_text("mine", encoding="utf-8")
    (note,) = pushed(clone, tree).notes
    assert "git pull" in note
    assert (clone.path / ".bumpversion.cfg").read_text(encoding="utf-8") == "mine"
    assert clone.git("rev-parse", "HEAD") == tree.base


def test_push_version_keeps_change_elsewhere(clone: Clone) -> None:
    clone.commit("notes")
    clone.git("push", "-q")
    tree = tree_of(clone)
    (clone.path / "notes").write_text("mine", encoding="utf-8")
    assert pushed(clone, tree).notes == ()
    assert (clone.path / "notes").read_text(encoding="utf-8") == "mine"
    assert clone.git("rev-parse", "HEAD") == tree.commit


def test_push_version_keeps_new_commit(clone: Clone) -> None:
    tree = tree_of(clone)
    own = clone.commit("meanwhile")
    (note,) = pushed(clone, tree).notes
    assert "git pull" in note
    assert clone.git("rev-parse", "main") == own


def test_push_version_pushes_no_other_tags(clone: Clone) -> None:
    """A push of more than three tags at once gives no event on some forges."""
    clone.git("config", "push.followTags", "true")
    clone.git("tag", "-a", "-m", "mine", "mine")
    pushed(clone, tree_of(clone))
    assert set(clone.remote_refs()) == {"refs/heads/main", "refs/tags/v0.4.12"}


@pytest.mark.parametrize("refused", ["refs/heads/main", "refs/tags/v0.4.12"])
@pytest.mark.parametrize("hook", ["update", "pre-receive"])
def test_push_version_refused_by_hook(clone: Clone, hook: str, refused: str) -> None:
    script = clone.remote / "hooks" / hook
    body = f'case "$1$(cat)" in *{refused}*) echo "no entry" >&2; exit 1;; esac'
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(0o755)
    tree = tree_of(clone)
    before, there = clone.state(), clone.remote_refs()
    with pytest.raises(ReleaseError, match=r"did not take v0\.4\.12") as told:
        pushed(clone, tree)
    assert not isinstance(told.value, publish.PublishedFirstError)
    assert "no entry" in told.value.log
    assert (clone.state(), clone.remote_refs()) == (before, there)
    # With the hook out of the way it goes on with the same commit.
    script.unlink()
    assert pushed(clone, tree).commit == tree.commit


def test_push_version_remote_vanished(clone: Clone) -> None:
    tree = tree_of(clone)
    before = clone.state()
    clone.remote.rename(clone.remote.with_name("away"))
    with pytest.raises(ReleaseError, match="origin could not be asked"):
        pushed(clone, tree)
    assert clone.state() == before


def test_push_version_loser_hears_who_won(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    other = clone.another("other")
    tree = tree_of(clone)
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Grace")
    winner = pushed(other, tree_of(other))
    before, there = clone.state(), clone.remote_refs()
    with pytest.raises(publish.PublishedFirstError, match=r"Grace published v0\.4\.12 first") as told:
        pushed(clone, tree)
    assert (told.value.version, told.value.commit, told.value.who) == ("v0.4.12", winner.commit, "Grace")
    assert (clone.state(), clone.remote_refs()) == (before, there)


def test_raise_if_taken(clone: Clone) -> None:
    other = clone.another("other")
    tree, winner = tree_of(clone), tree_of(other)
    publish.raise_if_taken(clone.path, tree, "origin", "main")
    pushed(other, winner)
    with pytest.raises(publish.PublishedFirstError, match=r"Ada published v0\.4\.12 first"):
        publish.raise_if_taken(clone.path, tree, "origin", "main")
    # The winner, going on after it was killed, has not lost to itself.
    publish.raise_if_taken(other.path, winner, "origin", "main")


def test_push_version_loser_hears_who_won_while_the_remote_moves_its_refs(clone: Clone) -> None:
    """A remote moves its refs one after the other: the winner's tag may be seen there with the old branch."""
    pushed(clone, tree_of(clone))
    before = clone.remote_refs()["refs/heads/main"]
    other = clone.another("other")
    tree = tree_of(clone)
    winner = pushed(other, tree_of(other))
    subprocess.run(["git", "update-ref", "refs/heads/main", before], cwd=clone.remote, check=True)
    with pytest.raises(publish.PublishedFirstError, match=r"Ada published v0\.4\.13 first") as told:
        pushed(clone, tree)
    assert (told.value.version, told.value.commit) == ("v0.4.13", winner.commit)


def test_push_version_same_commit_twice(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runners share an identity, and the clock has seconds: one must not take the other's tag for its own."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", "1700000000 +0000")
    other = clone.another("other")
    one, same = tree_of(clone), tree_of(other)
    assert one.commit == same.commit
    words = "\n".join(publish.tag_message_lines(Version.parse("v0.4.12"), LINES))
    theirs = git.create_tag_object(clone.path, "v0.4.12", one.commit, words)
    # The other run has looked, and is about to push, when this one's push arrives.
    changes = f"{one.commit}:refs/heads/main {theirs}:refs/tags/v0.4.12"
    before_push(other, f"env -u GIT_DIR git -C {clone.path} push -q --atomic origin {changes}")
    with pytest.raises(publish.PublishedFirstError):
        pushed(other, same)
    assert clone.remote_refs()["refs/tags/v0.4.12"] == theirs


def before_push(clone: Clone, body: str) -> None:
    """Do something the first time that a push from a clone has begun and nothing was sent."""
    hook = clone.path / ".git/hooks/pre-push"
    hook.write_text(f'#!/bin/sh\nrm -- "$0"\n{body}\n', encoding="utf-8")
    hook.chmod(0o755)


def test_push_version_loses_to_other_part(clone: Clone) -> None:
    other = clone.another("other")
    tree = tree_of(clone)
    pushed(other, tree_of(other, "minor"))
    with pytest.raises(
        publish.PublishedFirstError, match=r"v0\.4\.12 was not published: Ada published v0\.5\.0 first"
    ):
        pushed(clone, tree)


def test_is_in_version_of_somebody_else(clone: Clone) -> None:
    other, late = clone.another("other"), clone.another("late", "--depth=1", "--no-tags")
    trees = tree_of(clone), tree_of(late)
    pushed(other, tree_of(other, "minor"))
    for loser, tree in zip((clone, late), trees, strict=True):
        with pytest.raises(publish.PublishedFirstError) as told:
            pushed(loser, tree)
        assert publish.is_in_version(loser.path, told.value)
    clone.commit("more")
    assert not publish.is_in_version(clone.path, told.value)
    only_commit = publish.PublishedFirstError("x", commit=told.value.commit, version=None, who=None)
    assert not publish.is_in_version(late.path, only_commit)


def test_push_version_loses_to_plain_commit(clone: Clone) -> None:
    other = clone.another("other")
    tree = tree_of(clone)
    commit = other.commit("more")
    other.git("push", "-q")
    there = clone.remote_refs()
    with pytest.raises(publish.PublishedFirstError, match=f"main of origin is at {commit[:12]} now") as told:
        pushed(clone, tree)
    assert (told.value.version, told.value.commit) == (None, commit)
    assert clone.remote_refs() == there


def test_push_version_names_a_commit_that_was_not_pushed(clone: Clone) -> None:
    clone.commit("more")
    there = clone.remote_refs()
    with pytest.raises(ReleaseError, match="which is before") as told:
        pushed(clone, tree_of(clone))
    assert not isinstance(told.value, publish.PublishedFirstError)
    assert told.value.hint.startswith("git push origin main")
    assert clone.remote_refs() == there


def test_push_version_never_moves_tag(clone: Clone) -> None:
    tree = tree_of(clone)
    clone.git("push", "-q", "origin", "HEAD:refs/tags/v0.4.12")
    there = clone.remote_refs()
    with pytest.raises(publish.PublishedFirstError, match=r"published v0\.4\.12 first"):
        pushed(clone, tree)
    assert clone.remote_refs() == there


def test_catch_up_then_next_version(clone: Clone) -> None:
    other = clone.another("other")
    tree = tree_of(clone)
    winner = pushed(other, tree_of(other))
    with pytest.raises(publish.PublishedFirstError):
        pushed(clone, tree)
    publish.catch_up(clone.path, "origin", "main")
    assert clone.git("rev-parse", "main", "v0.4.12^{commit}").split() == [winner.commit, winner.commit]
    following = pushed(clone, tree_of(clone))
    assert str(following.version) == "v0.4.13"
    assert clone.git("rev-parse", f"{following.commit}^") == winner.commit


def test_catch_up_only_forward(clone: Clone) -> None:
    other = clone.another("other")
    other.commit("theirs")
    other.git("push", "-q")
    clone.commit("mine")
    before = clone.state()
    with pytest.raises(ReleaseError, match="cannot be brought up"):
        publish.catch_up(clone.path, "origin", "main")
    assert clone.state() == before


def test_catch_up_shallow_detached_clone(clone: Clone) -> None:
    clone.git("tag", "-a", "-m", "old", "v0.4.11", "HEAD")
    clone.commit("more")
    clone.git("push", "-q", "--follow-tags")
    runner = clone.another("runner", "--depth=1", "--no-tags")
    runner.git("checkout", "-q", "--detach")
    pushed(clone, tree_of(clone))
    publish.catch_up(runner.path, "origin", "main")
    assert runner.git("rev-parse", "HEAD") == clone.git("rev-parse", "main")
    assert runner.git("tag") == "v0.4.12"
    assert runner.git("rev-parse", "--is-shallow-repository") == "true"
    assert str(pushed(runner, tree_of(runner)).version) == "v0.4.13"


def test_push_version_keeps_local_tag(clone: Clone) -> None:
    tree = tree_of(clone)
    clone.git("tag", "v0.4.12", "HEAD")
    (note,) = pushed(clone, tree).notes
    assert "--force" in note
    assert clone.git("rev-parse", "v0.4.12") == tree.base


# Interrupted -------------------------------------------------------------------------------------------

SCRIPT = """
import json, os, sys
from pathlib import Path
from haybale.errors import HaybaleError
from haybale.release import bump, publish
from haybale.release.remote import read_tag_messages, remote_tags

root, folder, part, wanted, again = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], 12
tree = bump.make_release_tree(root, part, folder, os.environ)
print("ready", flush=True)
sys.stdin.readline()
while True:
    try:
        done = publish.push_version(root, tree, "origin", "main", ["by: " + root.name])
    except publish.PublishedFirstError as lost:
        again -= 1
        if wanted == "next" and again:
            publish.catch_up(root, "origin", "main")
            tree = bump.make_release_tree(root, part, folder, os.environ)
            continue
        print(json.dumps({"lost": lost.version, "to": lost.commit}))
    except HaybaleError as error:
        print(json.dumps({"error": error.message, "cause": error.cause, "log": error.log}))
    else:
        print(json.dumps({"version": str(done.version), "commit": done.commit, "tag": done.tag}))
    break
"""


def publisher(clone: Clone, part: str = "patch", wanted: str = "one") -> subprocess.Popen[str]:
    folder = clone.path.with_name(f"{clone.path.name}-tree")
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, clone.path, folder, part, wanted], start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def at_once(publishers: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """Start them at one moment, and return what became of each."""
    for each in publishers:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in publishers:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    results = []
    for each in publishers:
        out, err = each.communicate(timeout=300)
        assert each.returncode == 0, err
        results.append(json.loads(out))
    return results


@pytest.mark.parametrize("moment", ["before the push", "while the remote takes it", "after the push"])
def test_push_version_killed_then_resumed(clone: Clone, tmp_path: Path, moment: str) -> None:
    """The client is killed; the server goes on by itself, as a forge's would."""
    told, go = tmp_path / "told", tmp_path / "go"
    hooks = {
        "before the push": clone.path / ".git/hooks/pre-push",
        "while the remote takes it": clone.remote / "hooks/pre-receive",
        "after the push": clone.remote / "hooks/post-receive",
    }
    os.mkfifo(told)
    os.mkfifo(go)
    hook = hooks[moment]
    # The fifos make the moment certain: the hook says that it is there, and waits.
    # Where the client is the one killed, a process of its own session does not die with it.
    hook.write_text(f"#!/bin/sh\necho here >{told}\ncat {go} >/dev/null\nexit 0\n", encoding="utf-8")
    hook.chmod(0o755)
    process = publisher(clone)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    told.read_text(encoding="utf-8")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    hook.unlink()
    go.write_text("go", encoding="utf-8")
    folder = clone.path.with_name("clone-tree")
    made = bump.read_release_tree(folder)
    assert made is not None
    done = publish.push_version(clone.path, tree_of(clone), "origin", "main", ["by: clone"])
    assert (done.version, done.commit) == (Version.parse("v0.4.12"), made.commit)
    assert clone.remote_refs() == {"refs/heads/main": made.commit, "refs/tags/v0.4.12": done.tag}
    # And once more, with everything done.
    assert publish.push_version(clone.path, tree_of_again(folder), "origin", "main", ["else"]) == done


def test_push_version_arrives_late(clone: Clone, tmp_path: Path) -> None:
    """The remote is still at it when the run goes on; it comes through just before the second push."""
    told, go = tmp_path / "told", tmp_path / "go"
    os.mkfifo(told)
    os.mkfifo(go)
    hook = clone.remote / "hooks/pre-receive"
    hook.write_text(f"#!/bin/sh\necho here >{told}\ncat {go} >/dev/null\n", encoding="utf-8")
    hook.chmod(0o755)
    process = publisher(clone)
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    told.read_text(encoding="utf-8")
    process.kill()
    process.communicate()
    hook.unlink()
    there = f"git --git-dir={clone.remote} rev-parse -q --verify refs/tags/v0.4.12"
    before_push(clone, f"echo go >{go}\nuntil {there}; do sleep 0.05; done")
    tree = tree_of_again(clone.path.with_name("clone-tree"))
    done = publish.push_version(clone.path, tree, "origin", "main", ["by: clone"])
    assert clone.remote_refs() == {"refs/heads/main": tree.commit, "refs/tags/v0.4.12": done.tag}


def tree_of_again(folder: Path) -> ReleaseTree:
    found = bump.read_release_tree(folder)
    assert found is not None
    return found


# Six at once -------------------------------------------------------------------------------------------

PUBLISHERS = 6


def history(clone: Clone) -> dict[str, str]:
    """Check all that a chain of versions promises, and return it: tag -> commit."""
    clone.git("fetch", "-q", "--tags", "--force", "origin")
    main = clone.git("rev-list", "--first-parent", "origin/main").splitlines()
    assert clone.git("rev-list", "origin/main").splitlines() == main, "linear"
    tags = {tag: clone.git("rev-parse", f"{tag}^{{commit}}") for tag in clone.git("tag").split()}
    assert len(set(tags.values())) == len(tags), "no commit is two versions"
    for tag, commit in tags.items():
        assert commit in main
        assert f"current_version = {tag[1:]}\n" in clone.git("show", f"{commit}:.bumpversion.cfg") + "\n"
    bumps = clone.git("log", "--format=%H", "origin/main", "--grep=^Release v").splitlines()
    assert set(bumps) == set(tags.values()), "no version's commit lacks its tag"
    return tags


@pytest.mark.parametrize("parts", [["patch"] * PUBLISHERS, ["patch", "build", "minor"] * 2])
def test_push_version_six_at_once_one_wins(clone: Clone, parts: list[str]) -> None:
    clones = [clone.another(f"runner{number}") for number in range(PUBLISHERS)]
    for number in range(1, 6):
        results = at_once([publisher(each, part=part) for each, part in zip(clones, parts, strict=True)])
        winners = [result for result in results if "version" in result]
        assert len(winners) == 1, results
        assert [result for result in results if "error" in result] == []
        assert {result["to"] for result in results if "lost" in result} == {winners[0]["commit"]}
        tags = history(clone)
        assert len(tags) == number
        assert tags[winners[0]["version"]] == winners[0]["commit"] == clone.git("rev-parse", "origin/main")
        for each, result in zip(clones, results, strict=True):
            if "version" not in result:
                publish.catch_up(each.path, "origin", "main")


def test_push_version_six_at_once_each_next(clone: Clone) -> None:
    clones = [clone.another(f"runner{number}") for number in range(PUBLISHERS)]
    for number in range(1, 4):
        results = at_once([publisher(each, wanted="next") for each in clones])
        assert [result for result in results if "version" not in result] == []
        tags = history(clone)
        expected = [f"v0.4.{11 + each}" for each in range(1, number * PUBLISHERS + 1)]
        assert sorted(tags, key=lambda tag: Version.parse(tag).patch) == expected
        assert {result["version"]: result["commit"] for result in results}.items() <= tags.items()
        for each in clones:
            publish.catch_up(each.path, "origin", "main")


# Secrets -----------------------------------------------------------------------------------------------


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that lets nobody in; its address, with a password."""

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://robot:hunter2@127.0.0.1:{server.server_port}/site.git"
        server.shutdown()
        thread.join()


def test_push_version_hides_password(clone: Clone, refusing: str) -> None:
    tree = tree_of(clone)
    clone.git("remote", "set-url", "origin", refusing)
    with pytest.raises(ReleaseError, match="could not be asked") as told:
        pushed(clone, tree)
    said = told.value.message + told.value.cause + told.value.hint + told.value.log
    assert "127.0.0.1" in said
    assert "hunter2" not in said
    assert "robot" not in said
