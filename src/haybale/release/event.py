"""Which event a run is for: a merged pull request, a direct push, an open pull request, or a branch.

What a person says comes first, then what the CI system knows, then what git's history shows. Nobody's name
counts: forges, bots and people commit under names of every kind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from haybale.errors import PrerequisiteError
from haybale.release.remote import remote_tags
from haybale.tools import forge, git
from haybale.version import FORM, VERSION_FILES, read_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["pr-merge", "direct-push", "pull-request", "branch"]
Flag = Literal["pr-merge", "direct-push", "auto"]

# What is bumped for a kind of event; for the others nothing is.
PARTS: Mapping[Kind, str] = {"pr-merge": "patch", "direct-push": "build"}

# The first line that GitHub and Gitea give a merge commit, and the line in GitLab's.
MERGED = re.compile(r"Merge pull request (?:#(?P<github>\d+) from |'.*' \(#(?P<gitea>\d+)\) from )")
MERGED_GITLAB = re.compile(r"^See merge request \S*!(?P<gitlab>\d+)\s*$", re.MULTILINE)
# What a squash leaves: the number at the end of the first line.
SQUASHED = re.compile(r"\(#(?P<number>\d+)\)$")
# Such a commit, picked onto another branch, keeps its words.
PICKED = re.compile(r"^\(cherry picked from commit [0-9a-f]+\)$", re.MULTILINE)

# A merge queue's branch, with the number of the pull request that it tries.
QUEUE = re.compile(r"gh-readonly-queue/.+/pr-(?P<number>\d+)-[0-9a-f]+")


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a run is for, and the sentence that says why it is that.

    `pull` is a pull request's number, or "": the open one that is tested (`pull-request`), or the one that
    was merged (`pr-merge`). `branch` is "" where there is none.
    """

    kind: Kind
    pull: str
    branch: str
    evidence: str

    @property
    def part(self) -> str:
        """The part of the version that is bumped; "" for none."""
        return PARTS.get(self.kind, "")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a CI system says about its run.

    `commit` is what it ran for, "" where what is checked out is another commit by design; `branch` is "" for
    a tag; `pull` is the pull request's number, "" where the run is for none, and `merged` says that it has
    arrived on `branch`. `question` asks the forge about a commit on main.
    """

    source: str
    commit: str = ""
    branch: str = ""
    pull: str = ""
    merged: bool = False
    question: forge.Question | None = None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that decides which event it is.

    `head` is the commit checked out, `judged` the one whose way here counts: HEAD too, unless that is a
    version's commit. `branch` is the one checked out ("": HEAD is detached), `branches` are all that point to
    HEAD. `answer` is the forge's, None where it was not asked.
    """

    head: str
    judged: git.Commit
    branch: str
    branches: tuple[str, ...]
    main: str
    claim: Claim | None
    answer: forge.Answer | None = None


@dataclass(frozen=True, kw_only=True)
class Detected(Event):
    """An event, and what HEAD says besides.

    `released` is the version that HEAD is, "" for none: then nothing is bumped, or a push that a run made
    would start the next one for ever. `notest` is the commit whose message says `[notest]`, "" for none.
    """

    released: str
    notest: str


def detect(root: Path, main: str, flag: Flag, env: Mapping[str, str], *, remote: str = "") -> Detected:
    """Find out which event it is.

    `remote` is asked whether HEAD is a version where that can't be seen here; "" for a run that makes no
    versions. Raises `PrerequisiteError` where there is no git, no repository or no commit, and `ReleaseError`
    where the remote does not answer.
    """
    tags = version_commits(root, remote)
    facts = gather(root, main, env, flag, tags)
    event = decide(facts, flag)
    current = str(read_version(root, {}))
    return Detected(
        **vars(event),
        released=current if current in tags.get(facts.head, ()) else "",
        notest=facts.judged.hash if notest(facts.judged.message) else "",
    )


def version_commits(root: Path, remote: str) -> dict[str, list[str]]:
    """Return the commits that have versions' tags: hash -> tags.

    What is here suffices, unless HEAD changed the version's file and has no tag here: a CI system's clone has
    no tags. Then the remote (where it is not "") is asked; one that does not answer is a `ReleaseError`.
    """
    tags = git.local_version_tags(root)
    head = git.resolve_commit(root, "HEAD")
    if remote and head not in tags.values() and git.file_differs(root, "HEAD^", "HEAD", VERSION_FILES[0]):
        tags.update((name, tag.commit) for name, tag in remote_tags(root, remote, "v*").items())
    found: dict[str, list[str]] = {}
    for name, commit in tags.items():
        if FORM.fullmatch(name):
            found.setdefault(commit, []).append(name)
    return found


def gather(
    root: Path, main: str, env: Mapping[str, str], flag: Flag, tags: Mapping[str, Sequence[str]]
) -> Facts:
    """Look at git and at the CI system; ask the forge only where its answer can decide."""
    head = git.read_head(root)
    if head is None:
        raise PrerequisiteError(
            f"there is no commit in {root}",
            cause="it is no git repository, or a new one",
            hint="see what git says there (git status)",
        )
    judged = _judged(root, head.commit, tags)
    facts = Facts(
        head=head.commit.hash,
        judged=judged,
        branch=head.branch or "",
        branches=head.branches,
        main=main,
        claim=claimed(env, payload(env), judged.hash, main),
    )
    claim = facts.claim
    if flag != "auto" or claim is None or claim.question is None or not _claim_holds(facts):
        return facts
    return facts if _branch(facts)[0] != main else replace(facts, answer=forge.merged_pull(claim.question))


def _judged(root: Path, head: git.Commit, tags: Mapping[str, Sequence[str]]) -> git.Commit:
    """Return the commit that versions were made of: HEAD, or the first one below it that is no version."""
    commit = head
    while commit.hash in tags and commit.parents and git.resolve_commit(root, commit.parents[0]):
        commit = git.read_commit(root, commit.parents[0])
    return head if commit.hash in tags else commit


def payload(env: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the event that GitHub, Gitea or Forgejo wrote down for the run; {} where there is none."""
    try:
        document = json.loads(Path(env.get("GITHUB_EVENT_PATH", "")).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def claimed(env: Mapping[str, str], event: Mapping[str, Any], head: str, main: str) -> Claim | None:
    """Return what the CI system says, None outside of those that are known here."""
    if env.get("GITHUB_ACTIONS") == "true" or _gitea(env):
        return _actions(env, event, head, main)
    if env.get("GITLAB_CI") == "true":
        return _gitlab(env, head, main)
    return None


def _gitea(env: Mapping[str, str]) -> str:
    return next((name for name in ("Forgejo", "Gitea") if env.get(f"{name.upper()}_ACTIONS") == "true"), "")


def _actions(env: Mapping[str, str], event: Mapping[str, Any], head: str, main: str) -> Claim:
    """Read GitHub's variables and payload, which Gitea's and Forgejo's runners give as well."""
    system = _gitea(env) or "GitHub"
    name, ref = env.get("GITHUB_EVENT_NAME", ""), env.get("GITHUB_REF", "") or str(event.get("ref", ""))
    source = f"{system}'s {name or 'unnamed'} event"
    branch = ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else ""
    if name.startswith("pull_request"):
        pull = event.get("pull_request")
        pull = pull if isinstance(pull, dict) else {}
        number = str(event.get("number") or pull.get("number") or _number(ref))
        base = pull.get("base")
        target = base.get("ref", "") if isinstance(base, dict) else env.get("GITHUB_BASE_REF", "")
        merged = event.get("action") == "closed" and pull.get("merged") is True
        source = f"{system}'s {'event of the closed' if merged else name + ' event for'} pull request"
        here = target if merged else env.get("GITHUB_HEAD_REF", "")
        return Claim(source=source, branch=here, pull=number, merged=merged)
    queued = QUEUE.fullmatch(branch)
    if queued:
        return Claim(source=f"{system}'s merge queue for pull request", branch=branch, pull=queued["number"])
    asked = forge.Question(
        kind="github" if system == "GitHub" else "gitea",
        api=env.get("GITHUB_API_URL", ""),
        repository=env.get("GITHUB_REPOSITORY", ""),
        commit=head,
        main=main,
        token=env.get("GITHUB_TOKEN", "") or env.get("GH_TOKEN" if system == "GitHub" else "GITEA_TOKEN", ""),
    )
    question = asked if asked.api and asked.repository else None
    return Claim(source=source, commit=env.get("GITHUB_SHA", ""), branch=branch, question=question)


def _number(ref: str) -> str:
    found = re.fullmatch(r"refs/pull/(\d+)/(?:merge|head)", ref)
    return found[1] if found else ""


def _gitlab(env: Mapping[str, str], head: str, main: str) -> Claim:
    if env.get("CI_MERGE_REQUEST_IID"):
        return Claim(
            source="GitLab's pipeline for merge request",
            branch=env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", ""),
            pull=env["CI_MERGE_REQUEST_IID"],
        )
    token = env.get("GITLAB_TOKEN", "")
    api, project = env.get("CI_API_V4_URL", ""), env.get("CI_PROJECT_ID", "")
    # A job's own token may not ask this; nobody in particular may, of a public project.
    may_ask = api and project and (token or env.get("CI_PROJECT_VISIBILITY") == "public")
    return Claim(
        source=f"GitLab's pipeline for a {env.get('CI_PIPELINE_SOURCE', '') or 'nameless'} event",
        commit=env.get("CI_COMMIT_SHA", ""),
        branch=env.get("CI_COMMIT_BRANCH", ""),
        question=forge.Question(
            kind="gitlab", api=api, repository=project, commit=head, main=main, token=token
        )
        if may_ask
        else None,
    )


def decide(facts: Facts, flag: Flag = "auto") -> Event:
    """Return which event it is."""
    if flag != "auto":
        pull = _merge_of(facts.judged)[0] if flag == "pr-merge" else ""
        branch, _ = _branch(facts)
        return Event(kind=flag, pull=pull, branch=branch, evidence=f"--event {flag} says so")
    claim = facts.claim
    if claim and claim.pull and not claim.merged:
        number = f"{claim.source} {claim.pull}"
        return Event(kind="pull-request", pull=claim.pull, branch=claim.branch, evidence=f"it is {number}")
    branch, why = _branch(facts)
    if branch != facts.main:
        return Event(kind="branch", pull="", branch=branch, evidence=f"{why}, and main is {facts.main}")
    if claim and claim.merged:
        return Event(
            kind="pr-merge", pull=claim.pull, branch=branch,
            evidence=f"it is {claim.source} {claim.pull}, merged into {branch}",
        )  # fmt: skip
    return _on_main(facts, branch, why)


def _on_main(facts: Facts, branch: str, why: str) -> Event:
    """Tell a merge from a direct push: what the forge knows counts more than a commit's words."""
    said = f"{why}; {facts.answer.said}" if facts.answer else why
    if facts.answer and facts.answer.pull:
        return Event(kind="pr-merge", pull=facts.answer.pull, branch=branch, evidence=said)
    number, words = _merge_of(facts.judged)
    # The words of a true merge are the forge's own; those of a squash anybody may write.
    certain = len(facts.judged.parents) > 1
    if number and (certain or not (facts.answer and facts.answer.known)):
        return Event(kind="pr-merge", pull=number, branch=branch, evidence=f"{said}; {words}")
    nothing = "its commit is not that of a merged pull request"
    return Event(kind="direct-push", pull="", branch=branch, evidence=f"{said}; {nothing}")


def _merge_of(commit: git.Commit) -> tuple[str, str]:
    """Return the number of the pull request that a commit's words name, and how they do; "" for none."""
    if len(commit.parents) > 1:
        found = MERGED.match(commit.subject) or MERGED_GITLAB.search(commit.message)
        number = next((each for each in found.groups() if each), "") if found else ""
        return number, f"its merge commit names pull request {number}" if number else ""
    if PICKED.search(commit.message):
        return "", ""
    found = MERGED_GITLAB.search(commit.message) or SQUASHED.search(commit.subject.rstrip())
    return (found[1], f"its commit names pull request {found[1]}, as squashes do") if found else ("", "")


def _claim_holds(facts: Facts) -> bool:
    """Whether what the CI system says is about the commit that is checked out."""
    return facts.claim is not None and facts.claim.commit in {"", facts.head, facts.judged.hash}


def _branch(facts: Facts) -> tuple[str, str]:
    """Return the branch that the run is for ("": none), and how that is known."""
    claim = facts.claim
    before = ""
    if claim and _claim_holds(facts):
        if claim.branch:
            return claim.branch, f"it is {claim.source} on {claim.branch}"
        if claim.commit:
            return "", f"it is {claim.source}, which is on no branch"
    elif claim:
        before = f"{claim.source} is for {claim.commit[:12]}, which is not what is checked out; "
    if facts.branch:
        return facts.branch, f"{before}{facts.branch} is checked out"
    if facts.main in facts.branches:
        return facts.main, f"{before}HEAD is detached where {facts.main} is"
    if facts.branches:
        return facts.branches[0], f"{before}HEAD is detached where {facts.branches[0]} is"
    return "", f"{before}HEAD is detached and no branch points to it"


def notest(text: str) -> bool:
    """Whether a commit message asks for its tests to be left out: `[notest]`."""
    return "[notest]" in text.lower()
