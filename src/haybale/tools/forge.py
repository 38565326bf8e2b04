"""The forge's own API: which pull request a commit came from.

GitHub, Gitea (and Forgejo) and GitLab know it, for rebase merges too, of which git itself keeps no trace.
Nothing here fails: what could not be found out is said, and the caller goes by what git knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# Seconds to connect and to answer, and how often an answer that may get better is asked for again.
TIMEOUT = (5, 10)
TRIES = 2
# The longest that a forge may make us wait before it is asked again, in seconds.
PATIENCE = 10
PASSING = (429, 500, 502, 503, 504)

Kind = Literal["github", "gitea", "gitlab"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a forge is asked: by which merged pull request `commit` came to the branch `main`.

    `api` is the API's address (GITHUB_API_URL, CI_API_V4_URL), `repository` OWNER/NAME (GitLab: the project's
    number), `token` what it lets in, "" for nobody in particular.
    """

    kind: Kind
    api: str
    repository: str
    commit: str
    main: str
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a forge said: `pull` is the pull request's number, "" for none.

    Where `known` is false there was no answer, and `said` is why.
    """

    pull: str
    known: bool
    said: str


def merged_pull(question: Question) -> Answer:
    """Ask the forge."""
    # Most decisions need no forge, and don't wait for what speaks HTTP to be imported.
    import requests  # noqa: PLC0415
    from requests.adapters import HTTPAdapter  # noqa: PLC0415
    from urllib3.util import Retry  # noqa: PLC0415

    try:
        with requests.Session() as session:
            waits = Retry(
                total=TRIES, backoff_factor=0.5, status_forcelist=PASSING, raise_on_status=False,
                retry_after_max=PATIENCE,
            )  # fmt: skip
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=waits))
            reply = session.get(address(question), headers=headers(question), timeout=TIMEOUT)
        return understood(question, reply.status_code, reply.json() if reply.ok else None)
    except requests.RequestException as error:
        # Its text may have the whole address in it, which may have a password in it.
        return Answer(pull="", known=False, said=f"the forge's API did not answer ({type(error).__name__})")


def address(question: Question) -> str:
    """Return the URL that a question is asked at."""
    api, repository, commit = question.api.rstrip("/"), question.repository, question.commit
    match question.kind:
        case "github":
            # https://docs.github.com/rest/commits/commits#list-pull-requests-associated-with-a-commit
            return f"{api}/repos/{repository}/commits/{commit}/pulls?per_page=100"
        case "gitea":
            # "Get the merged pull request of the commit" in the API that every instance describes itself.
            return f"{api}/repos/{repository}/commits/{commit}/pull"
        case "gitlab":
            # https://docs.gitlab.com/api/commits/#list-merge-requests-associated-with-a-commit
            return f"{api}/projects/{repository}/repository/commits/{commit}/merge_requests?per_page=100"


def headers(question: Question) -> dict[str, str]:
    """Return what a question says of itself and of who asks."""
    # Every forge of these takes JSON by its plain name.
    said = {"Accept": "application/json"}
    if not question.token:
        return said
    match question.kind:
        case "github":
            return {**said, "Authorization": f"Bearer {question.token}"}
        case "gitea":
            return {**said, "Authorization": f"token {question.token}"}
        case "gitlab":
            return {**said, "PRIVATE-TOKEN": question.token}


def understood(question: Question, status: int, document: Any) -> Answer:
    """Return what a reply means: its status, and its JSON where that was 2xx."""
    if document is None:
        return Answer(
            pull="", known=False, said=f"the forge's API answered {status}{_meaning(status, question)}"
        )
    listed = document if isinstance(document, list) else [document]
    merged = [each for each in listed if isinstance(each, dict) and _is_merged(question, each)]
    # The one that made this very commit, where a commit came by several.
    merged.sort(key=lambda each: question.commit not in _commits(each))
    if not merged:
        return Answer(
            pull="", known=True, said=f"the forge knows no pull request merged into {question.main} for it"
        )
    number = str(merged[0].get("iid" if question.kind == "gitlab" else "number", ""))
    return Answer(pull=number, known=True, said=f"the forge names pull request {number}")


def _meaning(status: int, question: Question) -> str:
    token = "the token may not read pull requests" if question.token else "no token was given"
    match status:
        case 401 | 403:
            return f" ({token})"
        case 404:
            return f" (it knows no pull request for the commit, or {token})"
        case 429:
            return " (too many requests)"
        case _:
            return ""


def _is_merged(question: Question, pull: dict[str, Any]) -> bool:
    if question.kind == "gitlab":
        return pull.get("state") == "merged" and pull.get("target_branch") == question.main
    base = pull.get("base")
    return bool(pull.get("merged_at")) and isinstance(base, dict) and base.get("ref") == question.main


def _commits(pull: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(pull.get(key) for key in ("merge_commit_sha", "squash_commit_sha", "sha"))
