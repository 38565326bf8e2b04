"""Which event a run is for: a merged pull request, a direct push, an open pull request, or a branch.

The command line counts first, then what the CI system knows, then what git's history shows. Nobody's name
counts: forges, bots and people commit under names of every kind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from haybale.errors import PrerequisiteError, UsageError
from haybale.release.remote import VERSION_REFS, fetch_refs, find_versions, remote_refs
from haybale.tools import forge, git
from haybale.version import TAG_PATTERNS, Version, is_version

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from haybale.checkout import Checkout
    from haybale.release.bump import VersionPart

EventKind = Literal["pr-merge", "direct-push", "pull-request", "branch"]
# What --event takes.
EventChoice = Literal["pr-merge", "direct-push", "auto"]

# What is bumped for a kind of event; for the others nothing is.
BUMPED_PARTS: Mapping[EventKind, VersionPart] = {"pr-merge": "patch", "direct-push": "build"}

# How forges name a pull request in the first line of a true merge: GitHub and Bitbucket Data Center; Gitea.
MERGED = re.compile(
    r"Merge pull request (?:#(?P<number>\d+) (?:from|in) |'.*' \([#!](?P<quoted>\d+)\) from )"
)
# And in that of a squash as well as of a merge: Bitbucket Cloud; Bitbucket Data Center; Azure; and what
# stands at the end where a title was taken (GitHub, Gitea, Forgejo, GitLab's templates).
TITLED = re.compile(
    r"Merged in \S+ \(pull request #(?P<cloud>\d+)\)|Pull request #(?P<server>\d+): "
    r"|Merged PR (?P<azure>\d+): |.*\([#!](?P<title>\d+)\)$"
)
MERGED_GITLAB = re.compile(r"^See merge request \S*!(?P<gitlab>\d+)\s*$", re.MULTILINE)
# Such a commit, cherry-picked onto another branch, keeps its message.
PICKED = re.compile(r"^\(cherry picked from commit [0-9a-f]+\)$", re.MULTILINE)

# A merge has so many parents, or more.
TRUE_MERGE = 2

# How many commits below HEAD are looked at for the last version, and for merged pull requests since.
MOST_COMMITS = 200
MOST_QUESTIONS = 10

# A merge queue's branch, with the number of the pull request that it tries.
QUEUE = re.compile(r"gh-readonly-queue/.+/pr-(?P<number>\d+)-[0-9a-f]+")


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a run is for, and the sentence that says why it is that.

    `pull` is a pull request's number: the open one that is tested (`pull-request`), or the one that was
    merged (`pr-merge`). `released` is the version that HEAD is: then nothing is bumped, or a push that a run
    made would start the next one for ever. `notest` is the commit whose message says `[notest]`.
    """

    kind: EventKind
    pull: str | None = None
    branch: str | None
    reason: str
    released: str | None = None
    notest: str | None = None

    @property
    def part(self) -> VersionPart | None:
        """The part of the version that is bumped."""
        return BUMPED_PARTS.get(self.kind)


@dataclass(frozen=True, kw_only=True)
class CiRun:
    """What a CI system says about its run.

    `commit` is what it ran for, None where what is checked out is another commit by design; `branch` is None
    for a tag; `pull` is the pull request's number, and `is_merged` says that it has arrived on `branch`.
    `query` asks the forge about a commit on main. `source` begins a sentence.
    """

    source: str
    commit: str | None = None
    branch: str | None = None
    pull: str | None = None
    is_merged: bool = False
    query: forge.PullRequestQuery | None = None


@dataclass(frozen=True, kw_only=True)
class EventFacts:
    """Everything that decides which event it is.

    `subject` is the commit whose way here counts: HEAD, unless that is a version's commit. `answer` is the
    forge's, None where it was not asked.
    """

    head: git.Head
    subject: git.Commit
    main: str
    ci_run: CiRun | None
    answer: forge.PullRequestAnswer | None = None


def detect_event(
    checkout: Checkout, choice: EventChoice, env: Mapping[str, str], *, remote: str | None = None
) -> Event:
    """Find out which event it is.

    `remote` is asked whether HEAD is a version where this clone does not show it; None for a run that makes
    no versions. Raises `PrerequisiteError` where there is no git, no repository or no commit, and
    `ReleaseError` where the remote does not answer.
    """
    root, head, main = checkout.project.root, checkout.head, checkout.settings.main
    if head is None:
        raise PrerequisiteError(
            f"there is no commit in {root}",
            cause="git reads no HEAD there",
            hint="see what git says there (git status)",
        )
    history = git.read_history(root, MOST_COMMITS, *TAG_PATTERNS)
    here = {name: commit.hash for commit, tags in history for name in tags if is_version(name)}
    commits = [commit for commit, _ in history]
    there, released = _ask_remote(checkout, remote, commits) if remote else ({}, None)
    versions = {*here.values(), *there.values()}
    number = next((at for at, commit in enumerate(commits) if commit.hash not in versions), 0)
    subject = git.with_true_parents(root, commits[number])
    ci_run = read_ci_run(env, read_payload(env), subject.hash, main)
    facts = EventFacts(head=head, subject=subject, main=main, ci_run=ci_run)
    facts = _ask_forge(facts) if choice == "auto" else facts
    event = decide_event(facts, choice)
    if choice == "auto" and event.kind == "direct-push":
        event = _find_earlier_pull(facts, _commits_until(versions, commits[number + 1 :])) or event
    tags_of_head = [name for name, commit in {**there, **here}.items() if commit == head.commit.hash]
    return replace(
        event,
        released=max(tags_of_head, key=Version.parse, default=released),
        notest=subject.hash if asks_for_no_tests(subject.message) else None,
    )


def _ask_remote(
    checkout: Checkout, remote: str, history: Sequence[git.Commit]
) -> tuple[dict[str, str], str | None]:
    """Return the remote's versions (name -> commit), and the first one that contains HEAD, None for none.

    A run that is started again, or one that another push has overtaken, is for a commit that is part of a
    version already. Raises `ReleaseError` where the remote does not answer.
    """
    root, main = checkout.project.root, f"refs/heads/{checkout.settings.main}"
    refs = remote_refs(root, remote, main, *VERSION_REFS)
    tags = {name: tag.commit for name, tag in find_versions(refs).items()}
    there = refs.get(main)
    # Nothing there is newer than HEAD.
    if there is None or not tags or there in {commit.hash for commit in history}:
        return tags, None
    if git.resolve_commit(root, there) is None:
        fetch_refs(root, remote, main)
    containing = git.descendants(root, history[0].hash, there)
    names = [name for name, commit in tags.items() if commit in containing]
    return tags, min(names, key=Version.parse, default=None)


def _commits_until(versions: Container[str], commits: Sequence[git.Commit]) -> list[git.Commit]:
    """Return the commits before the first that is a version; none where no version is found."""
    for number, commit in enumerate(commits):
        if commit.hash in versions:
            return list(commits[:number])
    return []


def _find_earlier_pull(facts: EventFacts, commits: Sequence[git.Commit]) -> Event | None:
    """Return the event of a pull request that was merged since the last version, None for none.

    One push may bring it together with other commits, or its own run may have failed.
    """
    is_known = facts.answer is not None and facts.answer.is_known
    query, questions = facts.ci_run.query if facts.ci_run else None, 0
    for commit in commits:
        pull, wording = _merged_pull(commit)
        if pull is None:
            continue
        # As for HEAD: anybody may write what a squash leaves, so the forge counts where it answers.
        if len(commit.parents) < TRUE_MERGE and is_known and query and questions < MOST_QUESTIONS:
            questions += 1
            if not forge.find_merged_pull(replace(query, commit=commit.hash)).pull:
                continue
        reason = f"commit {commit.hash[:12]} is in no version yet, and {wording}"
        return Event(kind="pr-merge", pull=pull, branch=facts.main, reason=reason)
    return None


def _ask_forge(facts: EventFacts) -> EventFacts:
    """Return the facts with the forge's answer, where it can decide."""
    query = facts.ci_run.query if facts.ci_run else None
    if query is None or not _is_run_for_head(facts) or _find_branch(facts)[0] != facts.main:
        return facts
    return replace(facts, answer=forge.find_merged_pull(query))


def read_payload(env: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the event that GitHub, Gitea or Forgejo wrote down for the run; {} where there is none."""
    try:
        document = json.loads(Path(env.get("GITHUB_EVENT_PATH", "")).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def read_ci_run(env: Mapping[str, str], payload: Mapping[str, Any], commit: str, main: str) -> CiRun | None:
    """Return what the CI system says, None outside of those that are known here.

    `commit` is the one that a forge would be asked about.
    """
    # Forgejo and Gitea set GitHub's variables as well.
    for system in ("Forgejo", "Gitea", "GitHub"):
        if env.get(f"{system.upper()}_ACTIONS") == "true":
            return _read_actions_run(system, env, payload, commit, main)
    if env.get("GITLAB_CI") == "true":
        return _read_gitlab_run(env, commit, main)
    return None


def _read_actions_run(
    system: str, env: Mapping[str, str], payload: Mapping[str, Any], commit: str, main: str
) -> CiRun:
    """Read GitHub's variables and payload, which Gitea's and Forgejo's runners give as well."""
    name, ref = env.get("GITHUB_EVENT_NAME", ""), env.get("GITHUB_REF", "") or str(payload.get("ref", ""))
    if name.startswith("pull_request"):
        return _read_pull_request(system, name, ref, env, payload)
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None
    queued = QUEUE.fullmatch(branch or "")
    if queued:
        source = f"{system}'s merge queue for pull request"
        return CiRun(source=source, branch=branch, pull=queued["number"])
    api, repository = env.get("GITHUB_API_URL"), env.get("GITHUB_REPOSITORY")
    token = env.get("GITHUB_TOKEN") or env.get("GH_TOKEN" if system == "GitHub" else "GITEA_TOKEN", "")
    kind: forge.Kind = "github" if system == "GitHub" else "gitea"
    return CiRun(
        source=f"{system}'s {name or 'unnamed'} event",
        commit=env.get("GITHUB_SHA") or None,
        branch=branch,
        query=forge.PullRequestQuery(
            kind=kind, api=api, repository=repository, commit=commit, main=main, token=token
        )
        if api and repository
        else None,
    )


def _read_pull_request(
    system: str, name: str, ref: str, env: Mapping[str, str], payload: Mapping[str, Any]
) -> CiRun:
    pull = payload.get("pull_request")
    pull = pull if isinstance(pull, dict) else {}
    in_ref = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", ref)
    number = payload.get("number") or pull.get("number") or (in_ref and in_ref[1])
    base = pull.get("base")
    target = base.get("ref") if isinstance(base, dict) else env.get("GITHUB_BASE_REF")
    is_merged = payload.get("action") == "closed" and pull.get("merged") is True
    return CiRun(
        source=f"{system}'s {'event of the closed' if is_merged else name + ' event for'} pull request",
        branch=(target if is_merged else env.get("GITHUB_HEAD_REF")) or None,
        pull=str(number) if number else None,
        is_merged=is_merged,
    )


def _read_gitlab_run(env: Mapping[str, str], commit: str, main: str) -> CiRun:
    if env.get("CI_MERGE_REQUEST_IID"):
        return CiRun(
            source="GitLab's pipeline for merge request",
            branch=env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or None,
            pull=env["CI_MERGE_REQUEST_IID"],
        )
    api, project, token = env.get("CI_API_V4_URL"), env.get("CI_PROJECT_ID"), env.get("GITLAB_TOKEN", "")
    # A job's own token may not ask this; nobody in particular may, of a public project.
    may_ask = bool(token) or env.get("CI_PROJECT_VISIBILITY") == "public"
    return CiRun(
        source=f"GitLab's pipeline for a {env.get('CI_PIPELINE_SOURCE') or 'nameless'} event",
        commit=env.get("CI_COMMIT_SHA") or None,
        branch=env.get("CI_COMMIT_BRANCH") or None,
        query=forge.PullRequestQuery(
            kind="gitlab", api=api, repository=project, commit=commit, main=main, token=token
        )
        if api and project and may_ask
        else None,
    )


def decide_event(facts: EventFacts, choice: EventChoice = "auto") -> Event:
    """Return which event it is."""
    branch, reason = _find_branch(facts)
    run = facts.ci_run
    if choice != "auto":
        _raise_if_contradicted(facts, choice, branch, reason)
        pull, _ = _merged_pull(facts.subject) if choice == "pr-merge" else (None, None)
        return Event(kind=choice, pull=pull, branch=branch, reason=f"--event {choice} says so")
    if run and run.pull and not run.is_merged:
        return Event(
            kind="pull-request", pull=run.pull, branch=run.branch, reason=f"it is {run.source} {run.pull}"
        )
    if branch != facts.main:
        return Event(kind="branch", branch=branch, reason=f"{reason}, and main is {facts.main}")
    if run and run.is_merged:
        reason = f"it is {run.source} {run.pull}, merged into {branch}"
        return Event(kind="pr-merge", pull=run.pull, branch=branch, reason=reason)
    return _decide_on_main(facts, reason)


def _raise_if_contradicted(facts: EventFacts, choice: EventChoice, branch: str | None, reason: str) -> None:
    """Raise `UsageError` where it is known that the run is not for main: what `--event` says is of main.

    HEAD that is detached where no branch is may be main's commit; the push itself decides then.
    """
    run = facts.ci_run
    if run and run.pull and not run.is_merged:
        reason = f"it is {run.source} {run.pull}"
    elif branch == facts.main or (branch is None and not (run and _is_run_for_head(facts))):
        return
    raise UsageError(
        f"--event {choice} is not possible here: {reason}",
        cause=f"versions are made on {facts.main} only",
        hint=f"git switch {facts.main}, or leave --event out",
    )


def _decide_on_main(facts: EventFacts, reason: str) -> Event:
    """Tell a merge from a direct push: what the forge knows counts more than a commit's message."""
    answer = facts.answer
    if answer:
        reason = f"{reason}; {answer.explanation}"
        if answer.pull:
            return Event(kind="pr-merge", pull=answer.pull, branch=facts.main, reason=reason)
    pull, wording = _merged_pull(facts.subject)
    # The message of a true merge is the forge's own; that of a squash anybody may write.
    is_true_merge = len(facts.subject.parents) >= TRUE_MERGE
    if pull and (is_true_merge or not (answer and answer.is_known)):
        return Event(kind="pr-merge", pull=pull, branch=facts.main, reason=f"{reason}; {wording}")
    reason = f"{reason}; its commit is not that of a merged pull request"
    return Event(kind="direct-push", branch=facts.main, reason=reason)


def _merged_pull(commit: git.Commit) -> tuple[str | None, str | None]:
    """Return the number of the pull request that a commit's message names, and how it names it."""
    is_merge, subject = len(commit.parents) >= TRUE_MERGE, commit.subject.rstrip()
    found = TITLED.match(subject) or MERGED_GITLAB.search(commit.message)
    if is_merge:
        found = MERGED.match(subject) or found
    elif PICKED.search(commit.message):
        return None, None
    number = next(filter(None, found.groups())) if found else None
    if number is None:
        return None, None
    if is_merge:
        return number, f"its merge commit names pull request {number}"
    return number, f"its commit names pull request {number}, as squashes do"


def _is_run_for_head(facts: EventFacts) -> bool:
    """Whether what the CI system says is about the commit that is checked out."""
    run = facts.ci_run
    return run is not None and run.commit in {None, facts.head.commit.hash, facts.subject.hash}


def _find_branch(facts: EventFacts) -> tuple[str | None, str]:
    """Return the branch that the run is for, and how that is known."""
    run, prefix = facts.ci_run, ""
    if run and _is_run_for_head(facts):
        if run.branch:
            return run.branch, f"it is {run.source} on {run.branch}"
        if run.commit:
            return None, f"it is {run.source}, which is on no branch"
    elif run:
        prefix = f"{run.source} is for {(run.commit or '')[:12]}, which is not what is checked out; "
    head = facts.head
    if head.branch:
        return head.branch, f"{prefix}{head.branch} is checked out"
    if not head.branches:
        return None, f"{prefix}HEAD is detached and no branch points to it"
    branch = facts.main if facts.main in head.branches else head.branches[0]
    return branch, f"{prefix}HEAD is detached where {branch} is"


def asks_for_no_tests(message: str) -> bool:
    """Whether a commit message asks for its tests to be skipped: `[notest]`."""
    return "[notest]" in message.lower()
