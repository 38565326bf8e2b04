"""The forge's own API: which pull request a commit came from.

GitHub, Gitea (and Forgejo) and GitLab know it, for rebase merges too, of which git itself keeps no trace.
Nothing here raises: an answer that is not known has an explanation, and the caller goes by what git knows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from haybale.tools.proxies import find_proxy

# Seconds to connect and to answer, and how often a request is sent again that may succeed then.
TIMEOUT = (5, 10)
RETRIES = 2
# The longest that a forge may make us wait before that, in seconds.
LONGEST_PAUSE = 10
TRANSIENT = (429, 500, 502, 503, 504)

Kind = Literal["github", "gitea", "gitlab"]

# How each takes a token.
TOKEN_HEADERS: dict[Kind, tuple[str, str]] = {
    "github": ("Authorization", "Bearer {}"),
    "gitea": ("Authorization", "token {}"),
    "gitlab": ("PRIVATE-TOKEN", "{}"),
}


@dataclass(frozen=True, kw_only=True)
class PullRequestQuery:
    """The question by which merged pull request `commit` came to the branch `main`.

    `api` is the API's address (GITHUB_API_URL, CI_API_V4_URL), `repository` OWNER/NAME (GitLab: the project's
    number), `token` what it lets in, "" for an anonymous request.
    """

    kind: Kind
    api: str
    repository: str
    commit: str
    main: str
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class PullRequestAnswer:
    """A forge's answer: the pull request's number, None for none; `explanation` is for people.

    Where `is_known` is false the forge could not tell.
    """

    pull: str | None
    is_known: bool
    explanation: str


def find_merged_pull(query: PullRequestQuery) -> PullRequestAnswer:
    """Ask the forge."""
    try:
        with requests.Session() as session:
            retry = Retry(
                total=RETRIES, backoff_factor=0.5, status_forcelist=TRANSIENT, raise_on_status=False,
                retry_after_max=LONGEST_PAUSE,
            )  # fmt: skip
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retry))
            url = request_url(query)
            # An empty proxy keeps requests from choosing one by rules of its own.
            proxies = {urlsplit(url).scheme: find_proxy(url, os.environ) or ""}
            response = session.get(url, headers=request_headers(query), timeout=TIMEOUT, proxies=proxies)
        return parse_response(query, response.status_code, response.json() if response.ok else None)
    except requests.RequestException as error:
        # Its text may have the whole address in it, which may have a password in it.
        return _unknown(f"the forge's API did not answer ({type(error).__name__})")


def request_url(query: PullRequestQuery) -> str:
    """Return the URL that answers a query."""
    api, repository, commit = query.api.rstrip("/"), query.repository, query.commit
    match query.kind:
        case "github":
            # https://docs.github.com/rest/commits/commits#list-pull-requests-associated-with-a-commit
            return f"{api}/repos/{repository}/commits/{commit}/pulls?per_page=100"
        case "gitea":
            # "Get the merged pull request of the commit" in the API that every instance describes itself.
            return f"{api}/repos/{repository}/commits/{commit}/pull"
        case "gitlab":
            # https://docs.gitlab.com/api/commits/#list-merge-requests-associated-with-a-commit
            return f"{api}/projects/{repository}/repository/commits/{commit}/merge_requests?per_page=100"


def request_headers(query: PullRequestQuery) -> dict[str, str]:
    """Return the headers of a query: the media type, and the token."""
    name, value = TOKEN_HEADERS[query.kind]
    token = {name: value.format(query.token)} if query.token else {}
    return {"Accept": "application/json", **token}


def parse_response(query: PullRequestQuery, status: int, document: Any) -> PullRequestAnswer:
    """Return the answer in a response: its status, and its JSON where that was 2xx."""
    if document is None:
        return _unknown(f"the forge's API answered {status}{_meaning(status, query)}")
    listed = document if isinstance(document, list) else [document]
    merged = [each for each in listed if isinstance(each, dict) and _is_merged(query, each)]
    # First the one that made this very commit, where a commit came by several.
    merged.sort(key=lambda each: query.commit not in _commits(each))
    if not merged:
        explanation = f"the forge knows no pull request merged into {query.main} for it"
        return PullRequestAnswer(pull=None, is_known=True, explanation=explanation)
    number = str(merged[0].get("iid" if query.kind == "gitlab" else "number", ""))
    explanation = f"the forge names pull request {number}"
    return PullRequestAnswer(pull=number, is_known=True, explanation=explanation)


def _unknown(explanation: str) -> PullRequestAnswer:
    return PullRequestAnswer(pull=None, is_known=False, explanation=explanation)


def _meaning(status: int, query: PullRequestQuery) -> str:
    token = "the token may not read pull requests" if query.token else "no token was given"
    match status:
        case 401 | 403:
            return f" ({token})"
        case 404:
            return f" (it knows no pull request for the commit, or {token})"
        case 429:
            return " (too many requests)"
        case _:
            return ""


def _is_merged(query: PullRequestQuery, pull: dict[str, Any]) -> bool:
    if query.kind == "gitlab":
        return pull.get("state") == "merged" and pull.get("target_branch") == query.main
    base = pull.get("base")
    return bool(pull.get("merged_at")) and isinstance(base, dict) and base.get("ref") == query.main


def _commits(pull: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(pull.get(key) for key in ("merge_commit_sha", "squash_commit_sha", "sha"))
