"""Authentication at a registry: what its challenges ask for, and a class for each scheme that answers one.

A new scheme is one more class, in SCHEMES: the client knows none of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from haybale.errors import RegistryError
from haybale.tools.registry.transport import is_success, origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

    from haybale.tools.registry.credentials import Credentials
    from haybale.tools.registry.transport import Transport

# One element of a list of challenges (RFC 9110, 11.3 and 11.6.1): a scheme, its token68 or first parameter;
# or one more parameter of the scheme before. What servers get wrong is taken too: values without quotes,
# which may be addresses, and blanks or semicolons between parameters.
ELEMENT = re.compile(
    r"""[\s,;]*
    (?:(?P<scheme>[\w!#$%&'*+.^`|~-]+)(?![ \t]*=)(?:[ \t]+|(?=,|$)))?
    (?:(?P<name>[\w!#$%&'*+.^`|~-]+)\s*=\s*
      (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s",;=][^\s",;]*))
      |(?P<token68>[\w.~+/-]+=*))?
    (?=[\s,;]|$)""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What a server asks for by one scheme; the scheme and the names of parameters are in small letters."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    token68: str | None = None


def parse_challenges(header: str) -> list[Challenge]:
    """Return the challenges of a WWW-Authenticate header, up to where it breaks the grammar."""
    found: list[Challenge] = []
    position = 0
    while (match := ELEMENT.match(header, position)) and match.end() > position:
        position = match.end()
        parameters: dict[str, str] = {}
        if match["name"]:
            value = match["plain"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
            parameters[match["name"].lower()] = value
        if match["scheme"]:
            scheme = match["scheme"].lower()
            found.append(Challenge(scheme=scheme, parameters=parameters, token68=match["token68"]))
        elif found and parameters:
            last = found.pop()
            found.append(Challenge(scheme=last.scheme, parameters={**parameters, **last.parameters}))
    return found


class TokenServiceError(Exception):
    """A token service gave `response` and no token: for the client to explain, never for the user to see."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"the token service answered {response.status_code}")
        self.response = response


class Scheme(Protocol):
    """A way to say who sends a request."""

    name: ClassVar[str]

    def authorize(
        self, challenge: Challenge, login: Credentials | None, scope: str, transport: Transport, /
    ) -> str | None:
        """Return the value of the Authorization header; None where this scheme cannot give one.

        `scope` is what the request is about: repository:PATH:ACTIONS. Raises `TokenServiceError`.
        """


class Bearer:
    """A token from the service that the registry names (distribution, "Token authentication")."""

    name: ClassVar = "bearer"

    def authorize(
        self, challenge: Challenge, login: Credentials | None, scope: str, transport: Transport, /
    ) -> str | None:
        """Fetch a token, also for nobody in particular; raises `RegistryError` for a service without TLS."""
        realm = challenge.parameters.get("realm")
        if not realm:
            return None
        place, own = origin(realm), origin(transport.base_url)
        if place is None or (place[0] != "https" and own is not None and own[0] == "https"):
            message = f"the registry {transport.host} wants its login sent without TLS"
            hint = "fix the registry's settings of its token service"
            raise RegistryError(message, cause=f"it names {realm!r} for its tokens", hint=hint)
        service = challenge.parameters.get("service")
        query = {**({"service": service} if service else {}), "scope": scope}
        # Redirects are not followed: they would carry the login on to somebody else.
        if login and login.identity_token:
            grant = {"grant_type": "refresh_token", "client_id": "haybale"}
            form = {**grant, **query, "refresh_token": login.identity_token}
            response = transport.send("POST", realm, data=form)
        else:
            headers = {"Authorization": f"Basic {login.basic}"} if login else {}
            response = transport.send("GET", realm, params=query, headers=headers)
        if not is_success(response):
            raise TokenServiceError(response)
        token = _token(response)
        if token is None:
            kind = response.headers.get("Content-Type") or "an answer without a type"
            message = f"the token service of the registry {transport.host} gave no token"
            cause = f"{place[1]} answered {response.status_code} with {kind} and no token in it"
            hint = f"see what answers there, a proxy's page say: curl --include {realm}"
            raise RegistryError(message, cause=cause, hint=hint)
        return f"Bearer {token}"


def _token(response: requests.Response) -> str | None:
    """Return the token in an answer, None where it is no JSON with one."""
    try:
        document = response.json()
    except ValueError:
        return None
    found = document if isinstance(document, dict) else {}
    named = [found.get(name) for name in ("token", "access_token")]
    # A line break in it would be another header.
    return next((each for each in named if isinstance(each, str) and each.isprintable() and each), None)


class Basic:
    """User and password (RFC 7617)."""

    name: ClassVar = "basic"

    def authorize(
        self, _challenge: Challenge, login: Credentials | None, _scope: str, _transport: Transport, /
    ) -> str | None:
        """Return the login, where there is one with a password."""
        return f"Basic {login.basic}" if login and login.secret else None


# In the order of preference.
SCHEMES: tuple[Scheme, ...] = (Bearer(), Basic())


def authorize(
    challenges: list[Challenge], login: Credentials | None, scope: str, transport: Transport
) -> str | None:
    """Return the Authorization header that the first scheme can give; None where no scheme can.

    Raises `TokenServiceError`, and `RegistryError` where a login would be sent without TLS.
    """
    for scheme in SCHEMES:
        for challenge in challenges:
            if challenge.scheme == scheme.name:
                header = scheme.authorize(challenge, login, scope, transport)
                if header is not None:
                    return header
    return None
