"""Which event it is, on real repositories and with a real server for a forge's API."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from haybale.checkout import read_checkout
from haybale.config import Project, Settings
from haybale.errors import ReleaseError, UsageError
from haybale.release import bump, publish
from haybale.release.event import Event, EventChoice, detect_event
from haybale.tools import forge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.integration.conftest import Clone

    # How something arrives on main; the words are the forge's.
    Way = Callable[[Clone, str], None]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]


@dataclass
class Forge:
    """A forge's API: what it answers to each request in turn (the last one for ever), and what was asked.

    `folder` is where its runner writes things down.
    """

    url: str
    folder: Path
    answers: list[tuple[int, Any]] = field(default_factory=lambda: [(404, {})])
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Forge]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "") or self.headers.get("PRIVATE-TOKEN", "")
            served.asked.append((self.path, token))
            status, document = served.answers.pop(0) if len(served.answers) > 1 else served.answers[0]
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Forge(url=f"http://127.0.0.1:{server.server_port}/api", folder=tmp_path)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def topic(clone: Clone) -> None:
    """Two commits on a branch, and one on main since."""
    clone.git("checkout", "-q", "-b", "topic")
    clone.commit("one")
    clone.commit("two")
    clone.git("checkout", "-q", "main")
    clone.commit("meanwhile")


def merge(clone: Clone, words: str) -> None:
    topic(clone)
    clone.git("merge", "-q", "--no-ff", "-m", words, "topic")


def squash(clone: Clone, words: str) -> None:
    topic(clone)
    clone.git("merge", "-q", "--squash", "topic")
    clone.git("commit", "-q", "-m", words)


def rebase(clone: Clone, words: str) -> None:
    del words  # a rebase keeps the commits' own
    topic(clone)
    clone.git("rebase", "-q", "main", "topic")
    clone.git("checkout", "-q", "main")
    clone.git("merge", "-q", "--ff-only", "topic")


def edit(clone: Clone, words: str) -> None:
    """As a forge commits what was edited on its pages."""
    clone.commit("edited", message=words)


# How each forge words what arrives, by its default templates.
WORDS: dict[str, dict[Way, str]] = {
    "GitHub": {
        merge: "Merge pull request #12 from ada/topic\n\nAdd it",
        squash: "Add it (#12)\n\n* one\n\n* two",
        edit: "Update edited",
    },
    "Gitea": {
        merge: "Merge pull request 'Add it' (#12) from topic into main\n\nReviewed-on: http://x/12",
        squash: "Add it (#12)\n\nReviewed-on: http://x/12",
        edit: "Update edited",
    },
    "GitLab": {
        merge: "Merge branch 'topic' into 'main'\n\nAdd it\n\nSee merge request a/site!12",
        squash: "Add it\n\nSee merge request a/site!12",
        edit: "Update edited",
    },
}

PATHS = {
    "GitHub": "/api/repos/a/site/commits/{head}/pulls?per_page=100",
    "Gitea": "/api/repos/a/site/commits/{head}/pull",
    "GitLab": "/api/projects/5/repository/commits/{head}/merge_requests?per_page=100",
}

TOKENS = {"GitHub": "Bearer secret", "Gitea": "token secret", "GitLab": "secret"}


def runner(system: str, clone: Clone, api: Forge, name: str = "push") -> dict[str, str]:
    """The variables of a run on main, with what the runner writes down."""
    head = clone.git("rev-parse", "HEAD")
    if system == "GitLab":
        return {
            "GITLAB_CI": "true", "CI_PIPELINE_SOURCE": name, "CI_COMMIT_SHA": head,
            "CI_COMMIT_BRANCH": "main", "CI_API_V4_URL": api.url, "CI_PROJECT_ID": "5",
            "GITLAB_TOKEN": "secret",
        }  # fmt: skip
    written = api.folder / "event.json"
    written.write_text(json.dumps({"ref": "refs/heads/main", "after": head}), encoding="utf-8")
    return {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(written),
        "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": head, "GITHUB_API_URL": api.url,
        "GITHUB_REPOSITORY": "a/site", "GITHUB_TOKEN": "secret",
        **({"GITEA_ACTIONS": "true"} if system == "Gitea" else {}),
    }  # fmt: skip


def knows(system: str, clone: Clone) -> Any:
    head = clone.git("rev-parse", "HEAD")
    if system == "GitLab":
        return [{"iid": 12, "state": "merged", "target_branch": "main", "sha": head}]
    one = {
        "number": 12,
        "merged_at": "2026-11-23T00:00:00Z",
        "base": {"ref": "main"},
        "merge_commit_sha": head,
    }
    return one if system == "Gitea" else [one]


def none(system: str) -> tuple[int, Any]:
    """What a forge says of a commit that came by no pull request."""
    return (404, {"message": "not found"}) if system == "Gitea" else (200, [])


def detect(
    clone: Clone, env: Mapping[str, str], choice: EventChoice = "auto", *, remote: str | None = "origin"
) -> Event:
    project = Project(root=clone.path, settings=Settings(name="site", registry="site", core="site"))
    return detect_event(read_checkout(project, {}), choice, env, remote=remote)


@pytest.mark.parametrize("system", ["GitHub", "Gitea", "GitLab"])
@pytest.mark.parametrize("run", ["push", "by hand"])
@pytest.mark.parametrize(
    "arrival",
    [(merge, "patch"), (squash, "patch"), (rebase, "patch"), (edit, "build")],
    ids=lambda each: each[0].__name__,
)
def test_detect_event_part_with_answer_of_forge(
    clone: Clone, api: Forge, system: str, run: str, arrival: tuple[Way, str]
) -> None:
    way, part = arrival
    way(clone, WORDS[system].get(way, ""))
    # CI systems check the commit out by its hash.
    clone.git("checkout", "-q", "--detach")
    api.answers = [(200, knows(system, clone))] if part == "patch" else [none(system)]
    by_hand = "web" if system == "GitLab" else "workflow_dispatch"
    env = runner(system, clone, api, "push" if run == "push" else by_hand)
    found = detect(clone, env)
    assert (found.part, found.branch) == (part, "main"), found.reason
    assert found.pull == ("12" if part == "patch" else None)
    assert api.asked == [
        (PATHS[system].format(head=env.get("GITHUB_SHA") or env["CI_COMMIT_SHA"]), TOKENS[system])
    ]
    assert "secret" not in found.reason


@pytest.mark.parametrize("system", ["GitHub", "Gitea", "GitLab", ""])
@pytest.mark.parametrize(
    "arrival",
    [(merge, "patch"), (squash, "patch"), (rebase, "build"), (edit, "build")],
    ids=lambda each: each[0].__name__,
)
def test_detect_event_part_without_answer_of_forge(
    clone: Clone, api: Forge, system: str, arrival: tuple[Way, str]
) -> None:
    """Git keeps no trace of a rebase merge; everything else is told right, and why is said."""
    way, part = arrival
    way(clone, WORDS[system or "GitHub"].get(way, ""))
    api.answers = [(403, {"message": "Resource not accessible by integration"})]
    env = runner(system, clone, api) if system else {}
    found = detect(clone, env)
    assert found.part == part
    if system:
        assert "answered 403 (the token may not read pull requests)" in found.reason


def test_detect_event_pull_is_direct_push(clone: Clone) -> None:
    other = clone.another("other")
    other.commit("theirs")
    other.git("push", "-q")
    clone.commit("mine")
    clone.git("pull", "-q", "--no-rebase", "--no-edit")
    assert clone.git("show", "-s", "--format=%s").startswith("Merge branch 'main' of")
    assert detect(clone, {}).kind == "direct-push"


def test_detect_event_merge_of_fetched_is_direct_push(clone: Clone) -> None:
    other = clone.another("other")
    other.commit("theirs")
    other.git("push", "-q")
    clone.commit("mine")
    clone.git("fetch", "-q")
    clone.git("merge", "-q", "--no-edit", "origin/main")
    assert clone.git("show", "-s", "--format=%s") == "Merge remote-tracking branch 'origin/main'"
    assert detect(clone, {}).kind == "direct-push"


def test_detect_event_branch_asks_no_forge(clone: Clone, api: Forge) -> None:
    clone.git("checkout", "-q", "-b", "topic")
    env = {**runner("GitHub", clone, api), "GITHUB_REF": "refs/heads/topic"}
    assert detect(clone, env).kind == "branch"
    assert detect(clone, runner("GitHub", clone, api), "direct-push").part == "build"
    assert api.asked == []


def test_detect_event_detached_head(clone: Clone) -> None:
    runner_clone = clone.another("runner")
    runner_clone.git("checkout", "-q", "--detach", "origin/main")
    runner_clone.git("branch", "-q", "-D", "main")
    found = detect(runner_clone, {})
    assert (found.kind, found.branch) == ("direct-push", "main")
    runner_clone.commit("more")
    assert detect(runner_clone, {}).kind == "branch"


@pytest.mark.parametrize("words", ["Add it (#12)", WORDS["GitHub"][merge], WORDS["GitLab"][merge]])
def test_detect_event_merge_in_shallow_clone(clone: Clone, words: str) -> None:
    """Git's log shows no parents where a clone begins; the commit itself has both."""
    merge(clone, words)
    clone.git("push", "-q")
    shallow = clone.another("shallow", "--depth=1")
    assert shallow.git("log", "-1", "--format=%P") == ""
    found = detect(shallow, {})
    assert (found.part, found.pull) == ("patch", "12"), found.reason
    assert "merge commit" in found.reason


# A version's own commit --------------------------------------------------------------------------------


def released(clone: Clone) -> None:
    tree = bump.make_release_tree(clone.path, "patch", clone.path.with_name("tree"), os.environ)
    publish.push_version(clone.path, tree, "origin", "main", [])
    bump.remove_release_tree(clone.path, tree.path)


def test_detect_event_released_version(clone: Clone) -> None:
    assert detect(clone, {}).released is None
    released(clone)
    assert detect(clone, {}).released == "v0.4.12"
    clone.commit("more")
    assert detect(clone, {}).released is None


@pytest.mark.parametrize("depth", ["--depth=1", "--depth=2"])
def test_detect_event_clone_without_tags_asks_remote(clone: Clone, depth: str) -> None:
    """What a CI system checks out for the push that a run made: no tag, no history."""
    released(clone)
    shallow = clone.another("shallow", depth, "--no-tags")
    assert detect(shallow, {}).released == "v0.4.12"
    clone.remote.rename(clone.remote.with_name("away"))
    with pytest.raises(ReleaseError, match="origin could not be asked"):
        detect(shallow, {})
    # A run that makes no version has no need to know.
    assert detect(shallow, {}, remote=None).released is None


def test_detect_event_without_remote(clone: Clone) -> None:
    clone.commit("more")
    clone.remote.rename(clone.remote.with_name("away"))
    assert detect(clone, {}, remote=None).part == "build"
    # Only the remote knows whether the commit is part of a version already.
    with pytest.raises(ReleaseError, match="origin could not be asked"):
        detect(clone, {})


@pytest.mark.parametrize("options", [(), ("--no-tags",), ("--depth=1", "--no-tags")])
def test_detect_event_of_a_commit_that_a_newer_version_contains(
    clone: Clone, options: tuple[str, ...]
) -> None:
    """A run started again, or overtaken by another push's run (routedns#626, commitlore#683)."""
    clone.commit("first")
    clone.git("push", "-q")
    first = clone.another("first", *options)
    clone.commit("second")
    clone.git("push", "-q")
    second = clone.another("second", *options)
    released(clone)
    assert [detect(each, {}).released for each in (first, second)] == ["v0.4.12", "v0.4.12"]
    clone.commit("third")
    clone.git("push", "-q")
    released(clone)
    # The first version that has the commit.
    assert [detect(each, {}).released for each in (first, second)] == ["v0.4.12", "v0.4.12"]
    clone.commit("fourth")
    assert detect(clone, {}).released is None


def test_detect_event_of_a_version_in_another_file(clone: Clone) -> None:
    """The version in setup.cfg, a clone without tags (setuptools-git-versioning#83)."""
    clone.git("mv", ".bumpversion.cfg", "setup.cfg")
    clone.git("commit", "-qm", "Keep the version in setup.cfg")
    clone.git("push", "-q")
    released(clone)
    assert detect(clone.another("bare", "--no-tags"), {}).released == "v0.4.12"


MERGES = [
    "Merge pull request #12 from someone/topic",
    "Merge pull request #12 in PROJ/site from topic to main",
    "Merge pull request 'Add it' (#12) from topic into main",
    "Merged in topic (pull request #12)",
    "Pull request #12: Add it",
    "Merged PR 12: Add it",
    "Add it (#12)",
    "Add it (!12)",
    "Merge branch 'topic' into 'main'\n\nSee merge request group/site!12",
]


@pytest.mark.parametrize("message", MERGES)
@pytest.mark.parametrize("depth", [(), ("--depth=1",)])
def test_detect_event_of_a_true_merge_by_its_wording(
    clone: Clone, message: str, depth: tuple[str, ...]
) -> None:
    """Also where a shallow clone ends at the merge, and git shows no parents (kelos#862, fledge#459)."""
    clone.git("checkout", "-qb", "topic")
    clone.commit("topic")
    clone.git("checkout", "-q", "main")
    clone.git("merge", "-q", "--no-ff", "-m", message, "topic")
    clone.git("push", "-q")
    seen = clone.another("seen", *depth) if depth else clone
    found = detect(seen, {}, remote=None)
    assert (found.kind, found.pull) == ("pr-merge", "12")
    assert "its merge commit names pull request 12" in found.reason


def test_detect_event_of_a_merged_pull_request_below_a_direct_commit(clone: Clone) -> None:
    released(clone)
    clone.commit("word", message="Fix a word")
    clone.commit("squashed", message="Add it (#12)")
    clone.commit("more", message="Reword")
    found = detect(clone, {})
    assert (found.kind, found.pull, found.part) == ("pr-merge", "12", "patch")
    assert "is in no version yet" in found.reason
    clone.git("push", "-q")
    released(clone)
    # Its version is made: what comes now is a direct push.
    clone.commit("again")
    assert detect(clone, {}).kind == "direct-push"


def test_detect_event_without_any_version_looks_at_head_alone(clone: Clone) -> None:
    clone.commit("squashed", message="Add it (#12)")
    clone.commit("more", message="Reword")
    assert detect(clone, {}).kind == "direct-push"


@pytest.mark.parametrize("choice", ["pr-merge", "direct-push"])
def test_detect_event_refuses_a_choice_that_is_not_of_main(clone: Clone, choice: EventChoice) -> None:
    clone.git("checkout", "-qb", "topic")
    with pytest.raises(UsageError, match=f"--event {choice} is not possible here"):
        detect(clone, {}, choice=choice)


def test_detect_event_notest_below_version(clone: Clone) -> None:
    commit = clone.commit("word", message="Mend a word [notest]")
    assert detect(clone, {}).notest == commit
    clone.git("push", "-q")
    released(clone)
    assert clone.git("show", "-s", "--format=%s") == "Release v0.4.12"
    assert detect(clone, {}).notest == commit
    clone.commit("more")
    assert detect(clone, {}).notest is None


def test_detect_event_merge_below_versions_of_others(clone: Clone, api: Forge) -> None:
    """Two versions of others lie on top of the merge that the run is for."""
    merge(clone, WORDS["GitHub"][merge])
    clone.git("push", "-q")
    env = runner("GitHub", clone, api)
    api.answers = [(200, knows("GitHub", clone))]
    late = clone.another("late", "--depth=1")
    late.git("checkout", "-q", "--detach")
    released(clone)
    released(clone)
    publish.catch_up(late.path, "origin", "main")
    found = detect(late, env)
    assert (found.part, found.pull, found.released) == ("patch", "12", "v0.4.13")


@pytest.mark.parametrize(
    "options", [(), ("--no-tags",), ("--no-tags", "--depth=1"), ("--depth=1",)], ids=" ".join
)
def test_detect_event_commit_that_a_newer_version_has(clone: Clone, options: tuple[str, ...]) -> None:
    """Two quick pushes: the first one's run publishes both; or all jobs of a run are run again."""
    first = clone.commit("one")
    second = clone.commit("two")
    clone.git("push", "-q")
    late = clone.another("late", *options)
    late.git("checkout", "-q", "--detach")
    assert detect(late, {}).released is None
    released(clone)
    released(clone)
    for commit in (second,) if "--depth=1" in options else (second, first):
        late.git("checkout", "-q", commit)
        assert detect(late, {}, "direct-push").released == "v0.4.12"
    assert late.git("tag") == ""
    clone.commit("more")
    assert detect(clone, {}).released is None


def test_detect_event_version_in_setup_cfg(clone: Clone) -> None:
    clone.git("mv", ".bumpversion.cfg", "setup.cfg")
    clone.git("commit", "-q", "-m", "Move it")
    clone.git("push", "-q")
    released(clone)
    untagged = clone.another("untagged", "--no-tags")
    assert detect(untagged, {}).released == "v0.4.12"
    clone.remote.rename(clone.remote.with_name("away"))
    with pytest.raises(ReleaseError, match="origin could not be asked"):
        detect(untagged, {})


def test_detect_event_unrelated_newer_version(clone: Clone) -> None:
    """A version of another branch does not have this commit."""
    clone.git("checkout", "-q", "-b", "next")
    clone.commit("big")
    clone.git("tag", "-a", "-m", "x", "v9.0.0")
    clone.git("push", "-q", "origin", "v9.0.0")
    clone.git("checkout", "-q", "main")
    clone.commit("small")
    assert detect(clone, {}).released is None


def test_detect_event_pull_request_among_commits_of_a_push(clone: Clone) -> None:
    released(clone)
    squash(clone, "Add it (#12)")
    clone.commit("fix")
    found = detect(clone, {})
    assert (found.part, found.pull) == ("patch", "12"), found.reason
    clone.git("push", "-q")
    released(clone)
    clone.commit("more")
    assert detect(clone, {}).part == "build"


def test_detect_event_pull_request_among_commits_asks_forge(clone: Clone, api: Forge) -> None:
    released(clone)
    squash(clone, "Mention it (#12)")
    clone.commit("fix")
    api.answers = [none("GitHub")]
    assert detect(clone, runner("GitHub", clone, api)).part == "build"
    api.answers = [none("GitHub"), (200, knows("GitHub", clone))]
    assert detect(clone, runner("GitHub", clone, api)).part == "patch"


# The forge's API, when it does not just answer ---------------------------------------------------------


def question(api: Forge) -> forge.PullRequestQuery:
    return forge.PullRequestQuery(
        kind="github", api=api.url, repository="a/site", commit="c" * 40, main="main", token="t"
    )


MERGED = [{"number": 7, "merged_at": "2026-01-01T00:00:00Z", "base": {"ref": "main"}}]


def test_find_merged_pull_asks_again(api: Forge) -> None:
    api.answers = [(502, {}), (429, {}), (200, MERGED)]
    api.headers = {"Retry-After": "0"}
    assert forge.find_merged_pull(question(api)).pull == "7"
    assert len(api.asked) == 3


@pytest.mark.parametrize(
    ("status", "said", "times"),
    [
        (401, "answered 401 (the token may not", 1),
        (403, "answered 403 (the token may not", 1),
        (404, "answered 404 (it knows no pull request for the commit, or", 1),
        (429, "answered 429 (too many requests)", forge.RETRIES + 1),
        (503, "answered 503", forge.RETRIES + 1),
    ],
)
def test_find_merged_pull_explains_failure(api: Forge, status: int, said: str, times: int) -> None:
    api.answers = [(status, {})]
    api.headers = {"Retry-After": "0"}
    answer = forge.find_merged_pull(question(api))
    assert not answer.is_known
    assert said in answer.explanation
    assert len(api.asked) == times


def test_find_merged_pull_page_is_no_answer(api: Forge) -> None:
    api.answers = [(200, b"<html>Log in</html>")]
    assert not forge.find_merged_pull(question(api)).is_known


def test_find_merged_pull_silent_or_absent_forge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forge, "TIMEOUT", (0.2, 0.2))
    monkeypatch.setattr(forge, "RETRIES", 1)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        # It listens, and nobody takes what comes in.
        asked = forge.PullRequestQuery(
            kind="github", api=f"http://robot:hunter2@127.0.0.1:{silent.server_port}", repository="a/site",
            commit="c" * 40, main="main",
        )  # fmt: skip
        answer = forge.find_merged_pull(asked)
        assert not answer.is_known
        assert "hunter2" not in answer.explanation
    gone = forge.find_merged_pull(asked)
    assert not gone.is_known
    assert "did not answer" in gone.explanation


def test_find_merged_pull_token_stays_with_host(api: Forge) -> None:
    """The same server, under another name for it: another host as far as HTTP goes."""
    elsewhere = api.url.replace("127.0.0.1", "localhost")
    api.answers = [(302, {}), (200, MERGED)]
    api.headers = {"Location": f"{elsewhere}/other"}
    forge.find_merged_pull(question(api))
    assert [token for _, token in api.asked] == ["Bearer t", ""]
