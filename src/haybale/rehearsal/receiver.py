"""What a Receiver of Flux does with a request: pure functions.

Read from Flux's notification-controller (v1.9.3: receiver_handlers.go, receiver_resource_filter.go,
limits.go), go-github's messages.go (signatures) and fluxcd/pkg's runtime/cel.
"""

from __future__ import annotations

import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cel
from cel import stdlib

from haybale.rehearsal.forges import FORM, JSON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.rehearsal.forges import WebhookRequest

# The largest body that a Receiver reads.
MAX_BODY = 3 * 1024 * 1024

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
class ReceiverAnswer:
    """What a Receiver did: the status of its answer, the reason, and which objects it made Flux fetch.

    The objects are KIND/NAMESPACE/NAME. Any status but 200 is a failed delivery to the forge.
    """

    status: int
    reason: str
    fetched: tuple[str, ...] = ()


class FilterError(Exception):
    """A filter that Flux refuses when the Receiver is applied; it never becomes ready."""


def receive(
    receiver: Mapping[str, Any],
    secrets: Mapping[str, str],
    objects: Sequence[Mapping[str, Any]],
    request: WebhookRequest,
) -> ReceiverAnswer:
    """Return what Flux's Receiver (the object, as its manifest has it) does with a request.

    `secrets` maps the names of the Secrets in its namespace to their `token`; `objects` are those in the
    cluster that it may name.
    """
    spec = receiver["spec"]
    try:
        for each in (spec, *spec["resources"]):
            _compile_filters(each)
    except FilterError as error:
        return ReceiverAnswer(status=NOT_READY, reason=f"the Receiver never gets ready: {error}")
    if spec.get("suspend"):
        return ReceiverAnswer(status=NOT_READY, reason="the Receiver is suspended")
    if len(request.body) > MAX_BODY:
        return ReceiverAnswer(status=TOO_LARGE, reason=f"the body is larger than {MAX_BODY} bytes")
    name = spec.get("secretRef", {}).get("name", "")
    if name not in secrets:
        missing = f"the Receiver never gets ready: there is no Secret {name!r}"
        return ReceiverAnswer(status=NOT_READY, reason=missing)
    refusal = _refusal(spec, secrets[name], request)
    if refusal:
        return ReceiverAnswer(status=REFUSED, reason=refusal)
    return _notify(receiver, objects, request)


def _refusal(spec: Mapping[str, Any], token: str, request: WebhookRequest) -> str | None:
    """Return why a request is refused: its sender is not who it should be, or its event is not listed."""
    kind = spec["type"]
    if kind in SIGNATURES:
        header = next((each for each in SIGNATURES[kind] if request.header(each)), SIGNATURES[kind][0])
        # go-github checks the signature of a payload only where there is a token.
        if (token or kind != "github") and not _is_signed(request.header(header), request.body, token):
            return f"{header} is missing or wrong"
    elif kind == "gitlab":
        if request.header("X-Gitlab-Token") != token:
            return "X-Gitlab-Token is not the Secret's token"
    elif kind != "generic":
        return f"the rehearsal does not know Receivers of the type {kind}"
    content = _media_type(request.header("Content-Type"))
    if kind == "github" and content not in {JSON, FORM}:
        return f"GitHub does not send {content or 'a body without its kind'}"
    event = request.header(EVENT_HEADERS[kind]) if kind in EVENT_HEADERS else None
    listed = spec.get("events") or []
    if event is not None and listed and event.casefold() not in {each.casefold() for each in listed}:
        return f"the event {event!r} is not listed in the Receiver's events"
    return None


def _is_signed(signature: str, body: bytes, token: str) -> bool:
    kind, equals, digest = signature.partition("=")
    if not equals or kind not in HASHES:
        return False
    return hmac.compare_digest(hmac.new(token.encode(), body, kind).hexdigest().encode(), digest.encode())


def _notify(
    receiver: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], request: WebhookRequest
) -> ReceiverAnswer:
    """Return which objects a request that was let in makes Flux fetch."""
    spec, home = receiver["spec"], receiver["metadata"].get("namespace", "default")
    has_filters = spec.get("resourceFilter") or any("filter" in each for each in spec["resources"])
    try:
        body = _parse_body(request) if has_filters else {}
    except ValueError as error:
        return ReceiverAnswer(status=FAILED, reason=f"the body is no JSON object: {error}")
    fetched: list[str] = []
    failures: list[str] = []
    is_any_matched = False
    for resource in spec["resources"]:
        namespace = resource.get("namespace", home)
        matched = _matching_objects(resource, namespace, objects)
        if not matched and resource["name"] != "*":
            failures.append(f"there is no {resource['kind']} {namespace}/{resource['name']}")
        for each in matched:
            is_any_matched = True
            known = {key: each[key] for key in ("apiVersion", "kind", "metadata")}
            filters = [*_compile_filters(spec), *_compile_filters(resource)]
            try:
                if all(_evaluate_filter(program, {"req": body, "res": known}) for program in filters):
                    fetched.append(f"{resource['kind']}/{namespace}/{each['metadata']['name']}")
            except Exception as error:  # noqa: BLE001 - whatever the expression did
                failures.append(f"the filter fails: {error}")
    if failures:
        return ReceiverAnswer(status=FAILED, reason="; ".join(failures), fetched=tuple(fetched))
    names = ", ".join(each.rpartition("/")[2] for each in fetched)
    reason = f"fetches {names}" if fetched else "does nothing" if is_any_matched else "finds no object"
    return ReceiverAnswer(status=OK, reason=reason, fetched=tuple(fetched))


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _parse_body(request: WebhookRequest) -> dict[str, Any]:
    """Return what `req` is; raises `ValueError`. What is not JSON by its header is an empty map."""
    if JSON not in map(_media_type, request.header("Content-Type").split(",")):
        return {}
    # Go's decoder takes the first value, whatever follows it.
    value, _ = json.JSONDecoder().raw_decode(request.body.decode(errors="replace").lstrip())
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"it is {json.dumps(value)[:40]}")
    return value or {}


def _matching_objects(
    resource: Mapping[str, Any], namespace: str, objects: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the objects that a Receiver's entry means."""
    wanted = resource.get("matchLabels") or {}

    def matches(metadata: Mapping[str, Any]) -> bool:
        if resource["name"] != "*":
            return bool(metadata["name"] == resource["name"])
        return bool(wanted) and wanted.items() <= (metadata.get("labels") or {}).items()

    return [
        each
        for each in objects
        if each["kind"] == resource["kind"]
        and each["metadata"].get("namespace", "default") == namespace
        and matches(each["metadata"])
    ]


def _compile_filters(entry: Mapping[str, Any]) -> list[Any]:
    """Return the filters of a Receiver's `spec`, or of one of its resources, ready to be evaluated."""
    return [compile_filter(entry[key]) for key in ("resourceFilter", "filter") if entry.get(key)]


def compile_filter(expression: str) -> Any:
    """Return a filter, ready to be evaluated; raises `FilterError` where Flux would refuse it.

    Flux checks types as well: a filter must be boolean for sure, which a mere field is not.
    """
    try:
        program = cel.compile(expression)
    except ValueError as error:
        raise FilterError(f"it is no CEL, or more than the rehearsal's library knows: {error}") from error
    unknown = set(program.variables()) - VARIABLES - set(BOUND.findall(expression))
    if unknown:
        raise FilterError(f"there is no variable {', '.join(sorted(unknown))} in it, just req and res")
    unknown = {each for each in program.functions() if re.fullmatch(r"[A-Za-z]\w*", each)} - FUNCTIONS
    if unknown:
        raise FilterError(f"Flux, or the rehearsal, has no function {', '.join(sorted(unknown))}")
    # A field by itself, or a literal.
    if not program.functions() and not re.match(r"\(*\s*has\s*\(|true$|false$", expression.strip()):
        raise FilterError("it is not boolean for sure: compare it with something")
    return program


def _evaluate_filter(program: Any, variables: Mapping[str, Any]) -> bool:
    """Return what a filter says; raises what its evaluation raises, `TypeError` where it is no boolean."""
    context = cel.Context(dict(variables))
    stdlib.add_stdlib_to_context(context)
    value = program.execute(context)
    if not isinstance(value, bool):
        raise TypeError(f"it is {value!r} and not boolean")
    return value
