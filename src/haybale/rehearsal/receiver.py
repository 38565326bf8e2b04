"""What a Receiver of Flux does with a request: pure functions.

Read from Flux's notification-controller (v1.9.3: receiver_handlers.go, receiver_resource_filter.go,
limits.go), go-github's messages.go (signatures) and fluxcd/pkg's runtime/cel.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel
from cel_expr_python.ext.ext_encoders import ExtEncoders
from cel_expr_python.ext.ext_optional import ExtOptional
from cel_expr_python.ext.ext_strings import ExtStrings

from haybale.rehearsal.forges import FORM, JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haybale.rehearsal.forges import WebhookRequest

# The largest body that a Receiver reads.
MAX_BODY = 3 * 1024 * 1024

# What a Receiver answers. It has no address before it was ready for the first time.
OK, REFUSED, NOT_FOUND, TOO_LARGE, FAILED, SUSPENDED = 200, 400, 404, 413, 500, 503

# Who signs how: the Receiver's type -> headers, the first one that is there counts.
SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "github": ("X-Hub-Signature-256", "X-Hub-Signature"),
    "generic-hmac": ("X-Signature",),
}
EVENT_HEADERS: Mapping[str, str] = {"github": "X-GitHub-Event", "gitlab": "X-Gitlab-Event"}
HASHES = ("sha1", "sha256", "sha512")

# What cel-go works out before it runs anything: a wrong one is refused with the filter.
CONSTANT = re.compile(
    r"""(?P<function>\.matches|\btimestamp|\bduration)\(\s*(?P<text>r?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))\s*\)"""
)


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
    if len(request.body) > MAX_BODY:
        return ReceiverAnswer(status=TOO_LARGE, reason=f"the body is larger than {MAX_BODY} bytes")
    try:
        for each in (spec, *spec["resources"]):
            _compile_filters(each)
    except FilterError as error:
        return ReceiverAnswer(status=NOT_FOUND, reason=f"the Receiver never gets ready: {error}")
    name = spec.get("secretRef", {}).get("name", "")
    if name not in secrets:
        missing = f"the Receiver never gets ready: there is no Secret {name!r}"
        return ReceiverAnswer(status=NOT_FOUND, reason=missing)
    if spec.get("suspend"):
        return ReceiverAnswer(status=SUSPENDED, reason="the Receiver is suspended")
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
            except TypeError as error:
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


def _compile_filters(entry: Mapping[str, Any]) -> list[cel.Expression]:
    """Return the filters of a Receiver's `spec`, or of one of its resources, ready to be evaluated."""
    return [compile_filter(entry[key]) for key in ("resourceFilter", "filter") if entry.get(key)]


def compile_filter(expression: str) -> cel.Expression:
    """Return a filter, ready to be evaluated; raises `FilterError` where Flux would refuse it.

    Types are checked as Flux has them: `req` and `res` are objects whose fields may be anything, so a mere
    field is not boolean for sure. Two differences remain, in rare expressions: what compares an int's order
    with a double's is refused here, and lists of mixed types are not.
    """
    try:
        program = ENVIRONMENT.compile(expression)
    except RuntimeError as error:
        raise FilterError(f"it is no CEL, or more than the rehearsal's library knows: {error}") from error
    if program.return_type() != cel.Type.BOOL:
        kind = program.return_type().name()
        raise FilterError(f"it is not boolean for sure, but {kind}: compare it with something")
    for constant in CONSTANT.finditer(expression):
        subject = "''" if constant["function"] == ".matches" else ""
        found = ENVIRONMENT.compile(f"{subject}{constant[0]}").eval(data={})
        if found.type() == cel.Type.ERROR:
            raise FilterError(f"{constant['text']} is not what {constant['function']} takes: {found.value()}")
    return program


def _evaluate_filter(program: cel.Expression, variables: Mapping[str, Any]) -> bool:
    """Return what a filter says; raises `TypeError` where its evaluation fails."""
    value = program.eval(data={name: _with_doubles(value) for name, value in variables.items()}).value()
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _with_doubles(value: Any) -> Any:
    """Return JSON as Go's decoder has it: all numbers are doubles."""
    if isinstance(value, Mapping):
        return {key: _with_doubles(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_doubles(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _contains(whole: Sequence[Any], part: Sequence[Any]) -> bool:
    return all(each in whole for each in part)


def _environment() -> cel.Env:
    """Return what Flux compiles filters in (fluxcd/pkg, runtime/cel: NewExpression)."""
    functions: Mapping[str, Callable[[list[Any], list[Any]], bool]] = {
        "contains": _contains,
        "equivalent": lambda one, other: _contains(one, other) and _contains(other, one),
        "intersects": lambda one, other: any(each in other for each in one),
    }
    lists = [cel.Type.LIST, cel.Type.LIST]
    sets = [
        cel.FunctionDecl(
            f"sets.{name}",
            [
                cel.Overload(
                    id=f"list_sets_{name}_list",
                    return_type=cel.Type.BOOL,
                    parameters=lists,
                    is_member=False,
                    impl=function,
                )
            ],
        )
        for name, function in functions.items()
    ]
    extensions = [ExtStrings(), ExtEncoders(), ExtOptional(), cel.CelExtension("sets", sets)]
    fields = cel.Type("google.protobuf.Struct")
    return cel.NewEnv(variables={"req": fields, "res": fields}, extensions=extensions)


ENVIRONMENT = _environment()
