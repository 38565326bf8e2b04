"""What forges send to a webhook for a push: pure functions.

Signatures are those of go-github's messages.go, which Flux checks them with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

# Both forges send nothing for tags (GitLab: and branches) where one push has more of them than this. GitHub:
# "Events that trigger workflows"; GitLab: push_event_hooks_limit.
MAX_TAGS = 3

# What stands in payloads for the hash of a ref that is absent.
ABSENT = "0" * 40


@dataclass(frozen=True, kw_only=True)
class RefChange:
    """What a push did to a ref (its full name): from one hash to another, None for absent."""

    ref: str
    old: str | None
    new: str | None

    @property
    def is_tag(self) -> bool:
        """Whether it is a tag."""
        return self.ref.startswith("refs/tags/")


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """What a forge sends for one thing: the event's name and ref, None where it has none, and the body."""

    name: str | None
    ref: str | None
    body: bytes


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """What reaches a Receiver. Names of headers are matched without case."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header, "" for none: Go makes no difference."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


def push_events(forge: str, changes: Sequence[RefChange]) -> tuple[WebhookEvent, ...]:
    """Return what a forge (a setting of flux.forge) sends for one push, in the order of its changes."""
    sent: list[WebhookEvent] = []
    tags = sum(change.is_tag for change in changes)
    for change in changes:
        if forge == "github" and (tags <= MAX_TAGS or not change.is_tag):
            sent += _github_events(change)
        # GitLab counts branches as it counts tags.
        elif forge == "gitlab" and max(tags, len(changes) - tags) <= MAX_TAGS:
            sent.append(_gitlab_event(change))
        elif forge == "generic":
            sent.append(_event(None, change.ref, _push_fields(change)))
    return tuple(sent)


def ping_events(forge: str) -> tuple[WebhookEvent, ...]:
    """Return what a forge sends when a webhook is made, or its test button pressed."""
    if forge == "github":
        return (_event("ping", None, {"zen": "Keep it logically awesome.", "hook_id": 1}),)
    if forge == "gitlab":
        # Its test of tag events has a branch's last push in it (gitlab-org/gitlab issue 343508).
        branch = {"object_kind": "push", "event_name": "push", "ref": "refs/heads/main"}
        return (_event("Tag Push Hook", None, branch),)
    return ()


def _github_events(change: RefChange) -> list[WebhookEvent]:
    created, deleted = not change.old, not change.new
    events = [event for event, happened in (("create", created), ("delete", deleted)) if happened]
    *_, name = change.ref.split("/", 2)
    short = {"ref": name, "ref_type": "tag" if change.is_tag else "branch"}
    flags = {"created": created, "deleted": deleted, "forced": not created and not deleted}
    push = _event("push", change.ref, {**_push_fields(change), **flags})
    return [*(_event(event, change.ref, short) for event in events), push]


def _gitlab_event(change: RefChange) -> WebhookEvent:
    kind, name = ("tag_push", "Tag Push Hook") if change.is_tag else ("push", "Push Hook")
    fields = {"object_kind": kind, "event_name": kind, **_push_fields(change), "total_commits_count": 0}
    return _event(name, change.ref, fields)


def _push_fields(change: RefChange) -> dict[str, str]:
    return {"ref": change.ref, "before": change.old or ABSENT, "after": change.new or ABSENT}


def _event(name: str | None, ref: str | None, fields: Mapping[str, Any]) -> WebhookEvent:
    return WebhookEvent(name=name, ref=ref, body=json.dumps(fields).encode())


def sign_request(forge: str, event: WebhookEvent, token: str, *, content: str = JSON) -> WebhookRequest:
    """Return an event as the forge sends it to a webhook with this secret.

    `content` is the content type in the webhook's settings: JSON, or GitHub's other choice, a form.
    """
    body = event.body if content == JSON else b"payload=" + urllib.parse.quote_plus(event.body).encode()
    signature = f"sha256={hmac.new(token.encode(), body, hashlib.sha256).hexdigest()}"
    own = {
        "github": {"X-GitHub-Event": event.name or "", "X-Hub-Signature-256": signature},
        "gitlab": {"X-Gitlab-Event": event.name or "", "X-Gitlab-Token": token},
        "generic": {"X-Signature": signature},
    }
    return WebhookRequest(headers={"Content-Type": content, **own[forge]}, body=body)
