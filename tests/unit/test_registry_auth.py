"""What a registry's challenge asks for, and what answers it: without a registry."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from haybale.errors import RegistryError
from haybale.tools.registry.auth import Challenge, TokenServiceError, authorize, parse_challenges
from haybale.tools.registry.credentials import Credentials
from haybale.tools.registry.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

ADA = Credentials(user="ada", secret="s3cret", source="a test")
BASIC = f"Basic {base64.b64encode(b'ada:s3cret').decode()}"
SCOPE = "repository:site:pull"


def challenge(scheme: str, token68: str | None = None, **parameters: str) -> Challenge:
    return Challenge(scheme=scheme, parameters=parameters, token68=token68)


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        (" , ,", []),
        ("Basic", [challenge("basic")]),
        ('Basic realm="barn"', [challenge("basic", realm="barn")]),
        ("BASIC Realm=barn", [challenge("basic", realm="barn")]),
        (
            'Bearer realm="https://a.example/t?x=1",service="barn",scope="repository:a:pull,push"',
            [
                challenge(
                    "bearer",
                    realm="https://a.example/t?x=1",
                    service="barn",
                    scope="repository:a:pull,push",
                )
            ],
        ),
        ('Bearer realm = "a" , service\t= "b"', [challenge("bearer", realm="a", service="b")]),
        (r'Basic realm="a \"b\" \\ c, d=e"', [challenge("basic", realm='a "b" \\ c, d=e')]),
        ("Bearer realm=https://a.example/t", [challenge("bearer", realm="https://a.example/t")]),
        (
            'Bearer realm="https://a.example/t",service=gcr.test',
            [challenge("bearer", realm="https://a.example/t", service="gcr.test")],
        ),
        (
            "Bearer realm=https://a.example/t?x=1&y=2,service=b",
            [challenge("bearer", realm="https://a.example/t?x=1&y=2", service="b")],
        ),
        ('Bearer realm="a" service="b"', [challenge("bearer", realm="a", service="b")]),
        ('Bearer realm="a";service=b', [challenge("bearer", realm="a", service="b")]),
        ('Bearer realm="a", service  =  "b"', [challenge("bearer", realm="a", service="b")]),
        (
            'Bearer realm="a",service="b",error="insufficient_scope"',
            [challenge("bearer", realm="a", service="b", error="insufficient_scope")],
        ),
        ("Negotiate", [challenge("negotiate")]),
        ("Negotiate YWJj/+~._-==", [challenge("negotiate", "YWJj/+~._-==")]),
        (
            'Negotiate, Basic realm="a", Bearer realm="b",service="c"',
            [
                challenge("negotiate"),
                challenge("basic", realm="a"),
                challenge("bearer", realm="b", service="c"),
            ],
        ),
        (
            # RFC 9110, 11.6.1, as an example of what is hard to parse.
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [
                challenge("basic", realm="simple"),
                challenge("newauth", realm="apps", type="1", title='Login to "apps"'),
            ],
        ),
        ('Bearer realm="first", realm="second"', [challenge("bearer", realm="first")]),
        ('Basic realm="a", Bearer realm="never closed', [challenge("basic", realm="a")]),
        ('realm="of no scheme", Basic', [challenge("basic")]),
    ],
)
def test_parse_challenges_follows_the_grammar(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges


class TokenService(Transport):
    """Answers instead of a token service, and keeps what it was sent."""

    def __init__(self, status: int = 200, **document: str) -> None:
        super().__init__("registry.example", {}, 1)
        self.status, self.document = status, document
        self.requests: list[tuple[str, str, Mapping[str, Any]]] = []

    def send(self, method: str, url: str, *, follow: bool = False, **options: Any) -> requests.Response:
        assert not follow
        self.requests.append((method, url, options))
        response = requests.Response()
        response.status_code, response._content = self.status, json.dumps(self.document).encode()
        return response


TOKEN = challenge("bearer", realm="https://auth.example/token", service="barn")


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_authorize_fetches_a_token_with_the_login(name: str) -> None:
    service = TokenService(200, **{name: "t0k3n"})
    assert authorize([TOKEN], ADA, SCOPE, service) == "Bearer t0k3n"
    assert service.requests == [
        (
            "GET",
            "https://auth.example/token",
            {"params": {"service": "barn", "scope": SCOPE}, "headers": {"Authorization": BASIC}},
        )
    ]


def test_authorize_fetches_a_token_without_a_login() -> None:
    service = TokenService(token="t0k3n")
    assert authorize([TOKEN], None, SCOPE, service) == "Bearer t0k3n"
    assert service.requests[0][2]["headers"] == {}


@pytest.mark.parametrize("status", [302, 401, 503])
def test_authorize_raises_where_the_token_service_refuses(status: int) -> None:
    with pytest.raises(TokenServiceError) as refused:
        authorize([TOKEN], ADA, SCOPE, TokenService(status))
    assert refused.value.response.status_code == status


@pytest.mark.parametrize("realm", ["http://auth.example/token", "ftp://localhost/token", "/token"])
def test_authorize_sends_no_login_without_tls(realm: str) -> None:
    service = TokenService(token="t0k3n")
    with pytest.raises(RegistryError, match=r"registry\.example wants its login sent without TLS"):
        authorize([challenge("bearer", realm=realm)], ADA, SCOPE, service)
    assert service.requests == []


@pytest.mark.parametrize(
    ("challenges", "login", "header"),
    [
        ([challenge("basic", realm="a")], ADA, BASIC),
        ([challenge("basic", realm="a")], None, None),
        ([challenge("negotiate"), challenge("basic", realm="a")], ADA, BASIC),
        ([challenge("bearer"), challenge("basic")], ADA, BASIC),
        ([challenge("basic"), TOKEN], ADA, "Bearer t0k3n"),
        ([challenge("negotiate")], ADA, None),
        ([], ADA, None),
    ],
)
def test_authorize_prefers_tokens_and_passes_over_what_it_does_not_know(
    challenges: list[Challenge], login: Credentials | None, header: str | None
) -> None:
    assert authorize(challenges, login, SCOPE, TokenService(token="t0k3n")) == header
