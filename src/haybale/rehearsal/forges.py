"""What a forge sends for a push, and what a Receiver of Flux makes of it: pure functions, for the rehearsal.

How Flux judges is read from its notification-controller (v1.9.3: receiver_handlers.go,
receiver_resource_filter.go, limits.go), go-github's messages.go (signatures) and fluxcd/pkg's runtime/cel.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

# Both forges send nothing for tags (GitLab: and branches) where one push has more of them than this. GitHub:
# "Events that trigger workflows"; GitLab: push_event_hooks_limit.
MOST = 3

# The largest body that a Receiver reads.
LARGEST = 3 * 1024 * 1024

# What a Receiver answers.
OK, REFUSED, TOO_LARGE, FAILED, NOT_READY = 200, 400, 413, 500, 503

# Who signs how: the Receiver's type -> headers, the first one that is there counts.
SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "github": ("X-Hub-Signature-256", "X-Hub-Signature"),
    "generic-hmac": ("X-Signature",),
}
EVENT_HEADERS: Mapping[str, str] = {"github": "X-GitHub-Event", "gitlab": "X-Gitlab-Event"}
HASHES = ("sha1", "sha256", "sha512")

# What may stand in a filter: the two variables, the namespaces of functions, the names of types, and the
# functions of CEL itself and of the extensions that Flux turns on (strings, sets, encoders).
VARIABLES = frozenset({
    "req", "res", "sets", "base64", "strings",
    "bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint",
})  # fmt: skip
FUNCTIONS = frozenset({
    "size", "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string", "bytes",
    "bool", "dyn", "type", "timestamp", "duration", "getFullYear", "getMonth", "getDate", "getDayOfMonth",
    "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
    "charAt", "indexOf", "lastIndexOf", "lowerAscii", "upperAscii", "replace", "split", "join", "substring",
    "trim", "reverse", "quote", "equivalent", "intersects", "encode", "decode",
})  # fmt: skip
# What a macro names its elements: they look like variables.
BOUND = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a push did to a ref (its full name): from one hash to another, "" where it was or is not there."""

    ref: str
    old: str
    new: str

    @property
    def is_tag(self) -> bool:
        """Whether it is a tag."""
        return self.ref.startswith("refs/tags/")

    @property
    def short(self) -> str:
        """The ref's name as people say it."""
        return self.ref.removeprefix("refs/tags/").removeprefix("refs/heads/")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a forge tells: its name, "" where it has none, the ref that it is about, the body."""

    name: str
    ref: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """What reaches a Receiver. Names of headers count without case."""

    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Return a header, "" where there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a Receiver did: the status it answers with, which objects it made Flux fetch, and why.

    The objects are KIND/NAMESPACE/NAME. Any status but 200 is a failed delivery to the forge.
    """

    status: int
    why: str
    fired: tuple[str, ...] = field(default=())


class FilterError(Exception):
    """A filter that Flux refuses when the Receiver is applied; it never becomes ready."""


# What forges send -------------------------------------------------------------------------------------------


def events(forge: str, changes: Sequence[Change], absent: str = "0" * 40) -> tuple[Event, ...]:
    """Return what a forge (a setting of flux.forge) tells of one push, in the order of its changes.

    `absent` stands in payloads for the hash of a ref that is not there.
    """
    told: list[Event] = []
    tags = sum(change.is_tag for change in changes)
    for change in changes:
        if forge == "github" and (tags <= MOST or not change.is_tag):
            told += _github(change, absent)
        # GitLab counts branches as it counts tags.
        elif forge == "gitlab" and max(tags, len(changes) - tags) <= MOST:
            told.append(_gitlab(change, absent))
        elif forge == "generic":
            told.append(_event("", change.ref, _moved(change, absent)))
    return tuple(told)


def ping(forge: str) -> tuple[Event, ...]:
    """Return what a forge sends when a webhook is made, or its test button pressed."""
    if forge == "github":
        return (_event("ping", "", {"zen": "Keep it logically awesome.", "hook_id": 1}),)
    if forge == "gitlab":
        # Its test of tag events has a branch's last push in it (gitlab-org/gitlab issue 343508).
        branch = {"object_kind": "push", "event_name": "push", "ref": "refs/heads/main"}
        return (_event("Tag Push Hook", "", branch),)
    return ()


def _github(change: Change, absent: str) -> list[Event]:
    kind = "tag" if change.is_tag else "branch"
    flags = {"created": not change.old, "deleted": not change.new, "forced": bool(change.old and change.new)}
    found = []
    if not change.old:
        found.append(_event("create", change.ref, {"ref": change.short, "ref_type": kind}))
    if not change.new:
        found.append(_event("delete", change.ref, {"ref": change.short, "ref_type": kind}))
    found.append(_event("push", change.ref, {**_moved(change, absent), **flags}))
    return found


def _gitlab(change: Change, absent: str) -> Event:
    kind = "tag_push" if change.is_tag else "push"
    name = "Tag Push Hook" if change.is_tag else "Push Hook"
    said = {"object_kind": kind, "event_name": kind, **_moved(change, absent), "total_commits_count": 0}
    return _event(name, change.ref, said)


def _moved(change: Change, absent: str) -> dict[str, Any]:
    return {"ref": change.ref, "before": change.old or absent, "after": change.new or absent}


def _event(name: str, ref: str, said: Mapping[str, Any]) -> Event:
    return Event(name=name, ref=ref, body=json.dumps(said).encode())


def request(forge: str, event: Event, token: str, *, content: str = JSON) -> Request:
    """Return an event as the forge sends it to a webhook with this secret.

    `content` is what the webhook's settings say, JSON or GitHub's other choice, a form.
    """
    body = event.body if content == JSON else b"payload=" + urllib.parse.quote_plus(event.body).encode()
    headers = {"Content-Type": content}
    if forge == "gitlab":
        return Request(headers={**headers, "X-Gitlab-Event": event.name, "X-Gitlab-Token": token}, body=body)
    signed = f"sha256={hmac.new(token.encode(), body, hashlib.sha256).hexdigest()}"
    if forge == "github":
        headers |= {"X-GitHub-Event": event.name, "X-Hub-Signature-256": signed}
    else:
        headers |= {"X-Signature": signed}
    return Request(headers=headers, body=body)


# What a Receiver makes of it --------------------------------------------------------------------------------


def answer(
    receiver: Mapping[str, Any],
    secrets: Mapping[str, str],
    objects: Sequence[Mapping[str, Any]],
    sent: Request,
) -> Answer:
    """Return what Flux's Receiver (the object, as its manifest has it) does with a request.

    `secrets` maps the names of the Secrets in its namespace to their `token`; `objects` are those in the
    cluster that it may name.
    """
    spec = receiver["spec"]
    filters = [spec.get("resourceFilter", ""), *(each.get("filter", "") for each in spec["resources"])]
    try:
        for expression in filter(None, filters):
            compiled(expression)
    except FilterError as wrong:
        return Answer(status=NOT_READY, why=f"the Receiver never gets ready: {wrong}")
    if spec.get("suspend"):
        return Answer(status=NOT_READY, why="the Receiver is suspended")
    if len(sent.body) > LARGEST:
        return Answer(status=TOO_LARGE, why=f"the body is larger than {LARGEST} bytes")
    name = spec.get("secretRef", {}).get("name", "")
    if name not in secrets:
        return Answer(status=NOT_READY, why=f"the Receiver never gets ready: there is no Secret {name!r}")
    refused = _refused(spec, secrets[name], sent)
    return Answer(status=REFUSED, why=refused) if refused else _notified(receiver, objects, sent)


def _refused(spec: Mapping[str, Any], token: str, sent: Request) -> str:
    """Return why a request is not from whom it should be, or its event is not listed; "" for neither."""
    kind = spec["type"]
    if kind in SIGNATURES:
        header = next((each for each in SIGNATURES[kind] if sent.header(each)), SIGNATURES[kind][0])
        # go-github looks at the signature of a payload only where there is a token.
        if (token or kind != "github") and not _is_signed(sent.header(header), sent.body, token):
            return f"{header} is missing or wrong"
    elif kind == "gitlab":
        if sent.header("X-Gitlab-Token") != token:
            return "X-Gitlab-Token is not the Secret's token"
    elif kind != "generic":
        return f"the rehearsal does not know Receivers of the type {kind}"
    content = sent.header("Content-Type").partition(";")[0].strip().lower()
    if kind == "github" and content not in {JSON, FORM}:
        return f"GitHub does not send {content or 'a body without its kind'}"
    event = sent.header(EVENT_HEADERS[kind]) if kind in EVENT_HEADERS else None
    listed = spec.get("events") or []
    if event is not None and listed and event.casefold() not in {each.casefold() for each in listed}:
        return f"the event {event!r} is not listed in the Receiver's events"
    return ""


def _is_signed(signature: str, body: bytes, token: str) -> bool:
    kind, equals, digest = signature.partition("=")
    if not equals or kind not in HASHES:
        return False
    return hmac.compare_digest(hmac.new(token.encode(), body, kind).hexdigest().encode(), digest.encode())


def _notified(receiver: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], sent: Request) -> Answer:
    spec, home = receiver["spec"], receiver["metadata"].get("namespace", "default")
    filtered = spec.get("resourceFilter") or any("filter" in each for each in spec["resources"])
    try:
        body = _body(sent) if filtered else {}
    except ValueError as error:
        return Answer(status=FAILED, why=f"the body is no JSON object: {error}")
    fired: list[str] = []
    kept: list[str] = []
    failed: list[str] = []
    for each in spec["resources"]:
        namespace = each.get("namespace", home)
        found = _named(each, namespace, objects)
        if not found and each["name"] != "*":
            failed.append(f"there is no {each['kind']} {namespace}/{each['name']}")
        for target in found:
            name = f"{each['kind']}/{namespace}/{target['metadata']['name']}"
            known = {key: target[key] for key in ("apiVersion", "kind", "metadata")}
            variables = {"req": body, "res": known}
            try:
                wanted = all(
                    evaluate(expression, variables)
                    for expression in (spec.get("resourceFilter"), each.get("filter"))
                    if expression
                )
            except Exception as error:  # noqa: BLE001 - whatever the expression did
                failed.append(f"the filter fails: {error}")
            else:
                (fired if wanted else kept).append(name)
    if failed:
        return Answer(status=FAILED, why="; ".join(failed), fired=tuple(fired))
    names = ", ".join(each.rpartition("/")[2] for each in fired)
    why = f"fetches {names}" if fired else "does nothing" if kept else "finds no object"
    return Answer(status=OK, why=why, fired=tuple(fired))


def _body(sent: Request) -> dict[str, Any]:
    """Return what `req` is; raises `ValueError`. What is not JSON by its header is an empty map."""
    kinds = (each.partition(";")[0].strip().lower() for each in sent.header("Content-Type").split(","))
    if JSON not in kinds:
        return {}
    # Go's decoder takes the first value, whatever follows it.
    value, _ = json.JSONDecoder().raw_decode(sent.body.decode(errors="replace").lstrip())
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"it is {json.dumps(value)[:40]}")  # noqa: TRY004 - the body's fault, not the caller's
    return value


def _named(
    resource: Mapping[str, Any], namespace: str, objects: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the objects that a Receiver's entry means."""
    wanted = resource.get("matchLabels") or {}
    found = []
    for each in objects:
        its = each["metadata"]
        if each["kind"] != resource["kind"] or its.get("namespace", "default") != namespace:
            continue
        if resource["name"] == "*":
            labels = its.get("labels") or {}
            matches = bool(wanted) and wanted.items() <= labels.items()
        else:
            matches = its["name"] == resource["name"]
        if matches:
            found.append(each)
    return found


def compiled(expression: str) -> Any:
    """Return a filter, ready to be evaluated; raises `FilterError` where Flux would refuse it.

    Flux checks types as well: a filter must be boolean for sure, which a mere field is not.
    """
    import cel  # noqa: PLC0415 - only the rehearsal has it

    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise FilterError(f"it is no CEL, or more than the rehearsal's library knows: {error}") from error
    unknown = set(program.variables()) - VARIABLES - set(BOUND.findall(expression))
    if unknown:
        raise FilterError(f"there is no variable {', '.join(sorted(unknown))} in it, just req and res")
    named = {each for each in program.functions() if re.fullmatch(r"[A-Za-z]\w*", each)}
    if named - FUNCTIONS:
        raise FilterError(f"Flux, or the rehearsal, has no function {', '.join(sorted(named - FUNCTIONS))}")
    # A field by itself, or a literal.
    plain = expression.strip()
    if not program.functions() and not re.match(r"\(*\s*has\s*\(|true$|false$", plain):
        raise FilterError("it is not boolean for sure: compare it with something")
    return program


def evaluate(expression: str, variables: Mapping[str, Any]) -> bool:
    """Return what a filter says; raises what its evaluation raises, `TypeError` where it is no boolean."""
    import cel  # noqa: PLC0415 - only the rehearsal has it
    from cel import stdlib  # noqa: PLC0415

    context = cel.Context(dict(variables))
    stdlib.add_stdlib_to_context(context)
    value = compiled(expression).execute(context)
    if not isinstance(value, bool):
        raise TypeError(f"it is {value!r} and not boolean")
    return value
