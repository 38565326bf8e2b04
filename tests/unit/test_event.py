"""Which event it is, from facts alone: every forge's payload, and what git's history shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import UsageError
from haybale.release.event import (
    Event,
    EventChoice,
    EventFacts,
    asks_for_no_tests,
    decide_event,
    read_ci_run,
    read_payload,
)
from haybale.tools import forge
from haybale.tools.git import Commit, Head

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEAD, BASE, SIDE = "a" * 40, "b" * 40, "c" * 40

MERGE = Commit(hash=HEAD, parents=(BASE, SIDE), message="Merge pull request #12 from ada/topic\n\nAdd it")
MERGE_GITEA = Commit(
    hash=HEAD, parents=(BASE, SIDE), message="Merge pull request 'Add it' (#12) from t into main"
)
MERGE_GITLAB = Commit(
    hash=HEAD,
    parents=(BASE, SIDE),
    message="Merge branch 'topic' into 'main'\n\nAdd it\n\nSee merge request a/site!12",
)
SQUASH = Commit(hash=HEAD, parents=(BASE,), message="Add it (#12)\n\n* one\n* two")
SQUASH_GITLAB = Commit(hash=HEAD, parents=(BASE,), message="Add it\n\nSee merge request a/b/site!12\n")
PLAIN = Commit(hash=HEAD, parents=(BASE,), message="Add it")
PULLED = Commit(hash=HEAD, parents=(BASE, SIDE), message="Merge branch 'main' of forge.example:a/site")
PULLED_TRACKING = Commit(
    hash=HEAD, parents=(BASE, SIDE), message="Merge remote-tracking branch 'origin/main'"
)
LOCAL_MERGE = Commit(hash=HEAD, parents=(BASE, SIDE), message="Merge branch 'topic'")
LOCAL_MERGE_INTO = Commit(hash=HEAD, parents=(BASE, SIDE), message="Merge branch 'topic' into main")
REVERT = Commit(hash=HEAD, parents=(BASE,), message='Revert "Add it (#12)"\n\nThis reverts commit.')
REVERT_BY_PULL = Commit(hash=HEAD, parents=(BASE,), message='Revert "Add it (#12)" (#13)')
PICKED = Commit(hash=HEAD, parents=(BASE,), message=f"Add it (#12)\n\n(cherry picked from commit {SIDE})")
MENTION = Commit(
    hash=HEAD, parents=(BASE,), message="Mend (#12) what was wrong\n\nMerge pull request #13 from x"
)

API = {"GITHUB_API_URL": "https://api.example", "GITHUB_REPOSITORY": "a/site"}
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": HEAD, **API}
GITEA = {**GITHUB, "GITEA_ACTIONS": "true"}
FORGEJO = {**GITHUB, "FORGEJO_ACTIONS": "true"}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_COMMIT_SHA": HEAD,
    "CI_API_V4_URL": "https://api.example",
    "CI_PROJECT_ID": "5",
}

ON_MAIN = {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "push"}
MANUAL = {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_NAME": "workflow_dispatch"}
LAB_MAIN = {"CI_COMMIT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push"}

KNOWN_12 = forge.PullRequestAnswer(pull="12", is_known=True, explanation="the forge names pull request 12")
KNOWN_NONE = forge.PullRequestAnswer(pull=None, is_known=True, explanation="the forge knows no pull request")
SILENT = forge.PullRequestAnswer(
    pull=None, is_known=False, explanation="the forge's API answered 403 (no token was given)"
)


def pull_request(action: str, *, merged: bool = False, base: str = "main") -> dict[str, Any]:
    return {
        "action": action,
        "number": 12,
        "pull_request": {"number": 12, "merged": merged, "base": {"ref": base}},
    }


def checked_out(head: str = HEAD, branch: str | None = None, branches: tuple[str, ...] = ()) -> Head:
    commit = Commit(hash=head, parents=(), message="")
    return Head(commit=commit, branch=branch, branches=branches, changed_files=())


def decided(
    commit: Commit,
    env: Mapping[str, str],
    payload: Mapping[str, Any] | None = None,
    answer: forge.PullRequestAnswer | None = None,
    *,
    main: str = "main",
    **checkout: Any,
) -> Event:
    ci_run = read_ci_run(env, payload or {}, commit.hash, main)
    facts = EventFacts(head=checked_out(**checkout), subject=commit, main=main, ci_run=ci_run, answer=answer)
    return decide_event(facts)


@pytest.mark.parametrize(
    "system",
    [
        {**GITHUB, **ON_MAIN},
        {**GITEA, **ON_MAIN},
        {**FORGEJO, **ON_MAIN},
        {**GITHUB, **MANUAL},
        {**GITEA, **MANUAL},
        {**GITLAB, **LAB_MAIN},
        {**GITLAB, **LAB_MAIN, "CI_PIPELINE_SOURCE": "web"},
        {},
    ],
)
@pytest.mark.parametrize(
    ("commit", "answer", "kind", "pull"),
    [
        # What the forge knows: also of a rebase merge, of which git keeps no trace.
        (MERGE, KNOWN_12, "pr-merge", "12"),
        (SQUASH, KNOWN_12, "pr-merge", "12"),
        (PLAIN, KNOWN_12, "pr-merge", "12"),
        (PLAIN, KNOWN_NONE, "direct-push", None),
        # Anybody may write such a line; the words of a true merge are the forge's.
        (SQUASH, KNOWN_NONE, "direct-push", None),
        (MERGE, KNOWN_NONE, "pr-merge", "12"),
        # Where it does not say, git's words count.
        *(
            (commit, answer, kind, pull)
            for answer in (SILENT, None)
            for commit, kind, pull in (
                (MERGE, "pr-merge", "12"),
                (MERGE_GITEA, "pr-merge", "12"),
                (MERGE_GITLAB, "pr-merge", "12"),
                (SQUASH, "pr-merge", "12"),
                (SQUASH_GITLAB, "pr-merge", "12"),
                (REVERT_BY_PULL, "pr-merge", "13"),
                (PLAIN, "direct-push", None),
                (PULLED, "direct-push", None),
                (PULLED_TRACKING, "direct-push", None),
                (LOCAL_MERGE, "direct-push", None),
                (LOCAL_MERGE_INTO, "direct-push", None),
                (REVERT, "direct-push", None),
                (PICKED, "direct-push", None),
                (MENTION, "direct-push", None),
            )
        ),
    ],
)
def test_decide_event_on_main(
    system: dict[str, str],
    commit: Commit,
    answer: forge.PullRequestAnswer | None,
    kind: str,
    pull: str | None,
) -> None:
    """A push, a web edit (a push too) and a manual run are judged alike: by how the commit came to main."""
    found = decided(commit, system, answer=answer, branch=None if system else "main")
    assert (found.kind, found.pull, found.branch) == (kind, pull, "main")
    assert found.part == {"pr-merge": "patch", "direct-push": "build"}[kind]


@pytest.mark.parametrize("system", [GITHUB, GITEA, FORGEJO])
@pytest.mark.parametrize("name", ["pull_request", "pull_request_target"])
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (pull_request("opened"), ("pull-request", "12", "topic")),
        (pull_request("synchronize"), ("pull-request", "12", "topic")),
        (pull_request("closed"), ("pull-request", "12", "topic")),
        (pull_request("closed", merged=True), ("pr-merge", "12", "main")),
        (pull_request("closed", merged=True, base="v1"), ("branch", None, "v1")),
        # Where the payload is gone, the ref has the number.
        ({}, ("pull-request", "12", "topic")),
    ],
)
def test_decide_event_pull_request(
    system: dict[str, str], name: str, payload: dict[str, Any], expected: tuple[str, str | None, str]
) -> None:
    env = {
        **system,
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REF": "refs/pull/12/merge",
        "GITHUB_HEAD_REF": "topic",
    }
    synthetic = Commit(hash=HEAD, parents=(BASE, SIDE), message="Merge c into b")
    found = decided(synthetic, {**env, "GITHUB_SHA": "d" * 40}, payload)
    assert (found.kind, found.pull, found.branch) == expected
    assert found.part == ("patch" if expected[0] == "pr-merge" else None)


def test_decide_event_merge_queue() -> None:
    ref = f"refs/heads/gh-readonly-queue/main/pr-12-{BASE}"
    found = decided(MERGE, {**GITHUB, "GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": ref})
    assert (found.kind, found.pull, found.part) == ("pull-request", "12", None)


def test_decide_event_gitlab_merge_request() -> None:
    env = {**GITLAB, "CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "12"}
    found = decided(MERGE_GITLAB, {**env, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic"})
    assert (found.kind, found.pull, found.branch) == ("pull-request", "12", "topic")


@pytest.mark.parametrize(
    "env",
    [
        {**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/topic"},
        {**GITHUB, "GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_REF": "refs/heads/topic"},
        {**GITEA, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/topic"},
        {**GITLAB, "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "topic"},
    ],
)
def test_decide_event_branch_is_never_released(env: dict[str, str]) -> None:
    """Not even where the commit is on main as well."""
    found = decided(MERGE, env, branches=("main", "topic"))
    assert (found.kind, found.pull, found.branch, found.part) == ("branch", None, "topic", None)


@pytest.mark.parametrize(
    "env",
    [
        {**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/v1.2.3"},
        {**GITLAB, "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1.2.3"},
    ],
)
def test_decide_event_tag_is_on_no_branch(env: dict[str, str]) -> None:
    found = decided(MERGE, env, branches=("main",))
    assert (found.kind, found.branch) == ("branch", None)


def test_decide_event_main_is_configurable() -> None:
    env = {**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/release/next"}
    assert decided(SQUASH, env, main="release/next").kind == "pr-merge"
    assert decided(SQUASH, {**GITHUB, **ON_MAIN}, main="release/next").kind == "branch"


@pytest.mark.parametrize(
    ("branch", "branches", "expected", "kind"),
    [
        ("main", ("main",), "main", "direct-push"),
        ("topic", ("main", "topic"), "topic", "branch"),
        (None, ("topic", "main"), "main", "direct-push"),
        (None, ("topic", "else"), "topic", "branch"),
        (None, (), None, "branch"),
    ],
)
def test_decide_event_without_ci_system_goes_by_refs(
    branch: str | None, branches: tuple[str, ...], expected: str | None, kind: str
) -> None:
    found = decided(PLAIN, {}, branch=branch, branches=branches)
    assert (found.branch, found.kind) == (expected, kind)


def test_decide_event_ignores_ci_run_of_another_commit() -> None:
    """Somebody checked something else out: the run of main's push must not release that."""
    env = {**GITHUB, **ON_MAIN, "GITHUB_SHA": "d" * 40}
    found = decided(MERGE, env, branch="topic")
    assert (found.kind, found.branch) == ("branch", "topic")
    assert "not what is checked out" in found.reason


def test_decide_event_takes_ci_run_of_commit_below_version() -> None:
    """A run that was overtaken goes on from the winner's version, and is still what it was."""
    found = decided(MERGE, {**GITHUB, **ON_MAIN}, head=SIDE)
    assert (found.kind, found.pull) == ("pr-merge", "12")


@pytest.mark.parametrize(("flag", "part"), [("pr-merge", "patch"), ("direct-push", "build")])
def test_decide_event_choice_counts_first(flag: EventChoice, part: str) -> None:
    for commit in (MERGE, PLAIN):
        facts = EventFacts(head=checked_out(branch="main"), subject=commit, main="main", ci_run=None)
        found = decide_event(facts, flag)
        assert (found.kind, found.part) == (flag, part)
        assert flag in found.reason


@pytest.mark.parametrize("flag", ["pr-merge", "direct-push"])
@pytest.mark.parametrize(
    ("env", "branch"),
    [
        ({}, "topic"),
        ({**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/topic"}, None),
        ({**GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/tags/main"}, None),
        ({**GITHUB, "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/12/merge"}, None),
        ({**GITLAB, "CI_MERGE_REQUEST_IID": "12"}, "main"),
    ],
)
def test_decide_event_refuses_choice_elsewhere_than_on_main(
    flag: EventChoice, env: dict[str, str], branch: str | None
) -> None:
    run = read_ci_run(env, {}, HEAD, "main")
    facts = EventFacts(head=checked_out(branch=branch), subject=MERGE, main="main", ci_run=run)
    with pytest.raises(UsageError, match=f"--event {flag} is not possible here"):
        decide_event(facts, flag)


@pytest.mark.parametrize("flag", ["pr-merge", "direct-push"])
def test_decide_event_takes_choice_where_no_branch_is_known(flag: EventChoice) -> None:
    facts = EventFacts(head=checked_out(), subject=MERGE, main="main", ci_run=None)
    assert decide_event(facts, flag).kind == flag


@pytest.mark.parametrize(
    "message",
    [
        "Merged in topic (pull request #12)\n\nAdd it",
        "Pull request #12: Add it\n\nMerge in A/site from topic to main",
        "Merged PR 12: Add it",
        "Add it (#12)",
        "Add it (!12)",
        "Add it\n\nSee merge request a/b/site!12",
    ],
)
@pytest.mark.parametrize("parents", [(BASE,), (BASE, SIDE)], ids=["squash", "merge"])
def test_decide_event_knows_wordings_of_forges(message: str, parents: tuple[str, ...]) -> None:
    found = decided(Commit(hash=HEAD, parents=parents, message=message), {}, branch="main")
    assert (found.kind, found.pull) == ("pr-merge", "12")


@pytest.mark.parametrize(
    "message",
    [
        "Merge pull request #12 in A/site from topic to main",
        "Merge pull request 'Add it' (!12) from topic into main",
    ],
)
def test_decide_event_knows_wordings_of_true_merges(message: str) -> None:
    found = decided(Commit(hash=HEAD, parents=(BASE, SIDE), message=message), {}, branch="main")
    assert (found.kind, found.pull) == ("pr-merge", "12")
    assert decided(Commit(hash=HEAD, parents=(BASE,), message=message), {}, branch="main").pull is None


@pytest.mark.parametrize(
    ("env", "answer", "words"),
    [
        ({**GITHUB, **ON_MAIN}, KNOWN_12, ("GitHub's push event on main", "names pull request 12")),
        ({**GITHUB, **MANUAL}, SILENT, ("GitHub's workflow_dispatch event", "answered 403", "not that of")),
        ({**FORGEJO, **ON_MAIN}, None, ("Forgejo's push event", "not that of a merged")),
        ({**GITLAB, **LAB_MAIN}, None, ("GitLab's pipeline for a push event on main",)),
    ],
)
def test_decide_event_reason_names_its_source(
    env: dict[str, str], answer: forge.PullRequestAnswer | None, words: tuple[str, ...]
) -> None:
    said = decided(PLAIN, env, answer=answer).reason
    assert [word for word in words if word not in said] == []
    assert "\n" not in said


@pytest.mark.parametrize(
    ("env", "kind", "token"),
    [
        ({**GITHUB, **ON_MAIN, "GITHUB_TOKEN": "t"}, "github", "t"),
        ({**GITHUB, **ON_MAIN, "GH_TOKEN": "t"}, "github", "t"),
        ({**GITHUB, **ON_MAIN}, "github", ""),
        ({**GITEA, **ON_MAIN, "GITEA_TOKEN": "t"}, "gitea", "t"),
        ({**FORGEJO, **ON_MAIN, "GITHUB_TOKEN": "t"}, "gitea", "t"),
        ({**GITLAB, **LAB_MAIN, "GITLAB_TOKEN": "t"}, "gitlab", "t"),
        ({**GITLAB, **LAB_MAIN, "CI_PROJECT_VISIBILITY": "public"}, "gitlab", ""),
    ],
)
def test_read_ci_run_query(env: dict[str, str], kind: str, token: str) -> None:
    ci_run = read_ci_run(env, {}, HEAD, "main")
    assert ci_run is not None
    assert ci_run.query is not None
    assert (ci_run.query.kind, ci_run.query.token, ci_run.query.commit) == (kind, token, HEAD)


@pytest.mark.parametrize(
    "env",
    [{**GITLAB, **LAB_MAIN}, {"GITHUB_ACTIONS": "true", **ON_MAIN}, {**GITLAB, "CI_MERGE_REQUEST_IID": "1"}],
)
def test_read_ci_run_without_query(env: dict[str, str]) -> None:
    ci_run = read_ci_run(env, {}, HEAD, "main")
    assert ci_run is not None
    assert ci_run.query is None


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '"text"'])
def test_read_payload_unreadable_is_empty(tmp_path: Path, text: str) -> None:
    file = tmp_path / "event.json"
    file.write_text(text, encoding="utf-8")
    assert read_payload({"GITHUB_EVENT_PATH": str(file)}) == {}
    assert read_payload({"GITHUB_EVENT_PATH": str(tmp_path)}) == {}
    assert read_payload({}) == {}
    file.write_text(json.dumps({"number": 1}), encoding="utf-8")
    assert read_payload({"GITHUB_EVENT_PATH": str(file)}) == {"number": 1}


@pytest.mark.parametrize(
    ("message", "skips"),
    [
        ("Mend a word [notest]", True),
        ("Mend\n\n[NoTest]", True),
        ("Mend a word", False),
        ("Say what notest does", False),
    ],
)
def test_asks_for_no_tests(message: str, skips: bool) -> None:
    assert asks_for_no_tests(message) is skips


def question(kind: forge.Kind) -> forge.PullRequestQuery:
    return forge.PullRequestQuery(
        kind=kind, api="https://api.example/", repository="a/s", commit=HEAD, main="main"
    )


def merged(kind: forge.Kind, number: int, **more: Any) -> dict[str, Any]:
    if kind == "gitlab":
        return {"iid": number, "state": "merged", "target_branch": "main", "sha": SIDE, **more}
    return {"number": number, "merged_at": "2026-01-01T00:00:00Z", "base": {"ref": "main"}, **more}


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_the_merged_pull_request_is_found_among_others(kind: forge.Kind) -> None:
    others = {
        "github": [merged(kind, 1, merged_at=None), merged(kind, 2, base={"ref": "v1"}), merged(kind, 3)],
        "gitlab": [merged(kind, 1, state="opened"), merged(kind, 2, target_branch="v1"), merged(kind, 3)],
        "gitea": [],
    }[kind]
    assert forge.parse_response(question(kind), 200, others).pull == "3"
    own = merged(
        kind, 4, **{"github": {"merge_commit_sha": HEAD}, "gitlab": {"sha": HEAD}, "gitea": {}}[kind]
    )
    assert forge.parse_response(question(kind), 200, [*others, own]).pull == "4"
    assert forge.parse_response(question(kind), 200, others[:2]) == forge.PullRequestAnswer(
        pull=None, is_known=True, explanation="the forge knows no pull request merged into main for it"
    )


def test_gitea_answers_with_one() -> None:
    assert forge.parse_response(question("gitea"), 200, merged("gitea", 4)).pull == "4"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "no token"),
        (403, "no token"),
        (404, "knows no pull request"),
        (429, "too many"),
        (500, "answered 500"),
    ],
)
def test_no_answer_is_never_taken_for_none(status: int, words: str) -> None:
    answer = forge.parse_response(question("github"), status, None)
    assert not answer.is_known
    assert words in answer.explanation


@pytest.mark.parametrize("document", ["text", 5, [None, "x"], {"base": 5}, [{"base": None, "merged_at": 1}]])
def test_strange_answers_name_no_pull_request(document: Any) -> None:
    assert forge.parse_response(question("github"), 200, document).pull is None


def test_the_addresses() -> None:
    assert (
        forge.request_url(question("github"))
        == f"https://api.example/repos/a/s/commits/{HEAD}/pulls?per_page=100"
    )
    assert forge.request_url(question("gitea")) == f"https://api.example/repos/a/s/commits/{HEAD}/pull"
    assert forge.request_url(question("gitlab")) == (
        f"https://api.example/projects/a/s/repository/commits/{HEAD}/merge_requests?per_page=100"
    )
