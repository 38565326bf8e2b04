"""What is asked again and when, and how registries are spoken to."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from haybale.errors import RegistryError
from haybale.image_ref import ImageRef
from haybale.images.store import RegistryStore
from haybale.tools.registry import transport
from haybale.tools.registry.client import Repository
from haybale.tools.registry.credentials import Credentials
from haybale.tools.registry.insecure import is_insecure
from haybale.tools.registry.transport import Outcome, retry_delay

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("outcome", "again"),
    [
        *((Outcome(status=status), True) for status in (408, 425, 429, 500, 502, 503, 504)),
        *((Outcome(status=status), False) for status in (301, 307, 400, 401, 403, 404, 405, 501)),
        (Outcome(fault="timeout"), True),
        (Outcome(fault="connection"), True),
        (Outcome(fault="certificate"), False),
    ],
)
def test_retry_delay_is_none_unless_the_failure_is_transient(outcome: Outcome, again: bool) -> None:
    assert (retry_delay(1, outcome, NOW, 0.5) is not None) == again


def test_retry_delay_grows_and_ends() -> None:
    failed = Outcome(status=503)
    pauses = [retry_delay(attempt, failed, NOW, 1.0) for attempt in range(1, transport.ATTEMPTS + 2)]
    assert pauses == [1.0, 2.0, 4.0, None, None]


def test_retry_delay_has_jitter() -> None:
    assert retry_delay(1, Outcome(status=503), NOW, 0.0) == 0.5
    assert retry_delay(1, Outcome(status=503), NOW, 1.0) == 1.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("60", 60.0),
        ("61", None),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 13:00:00 GMT", None),
    ],
)
def test_retry_delay_follows_retry_after(text: str, seconds: float | None) -> None:
    assert retry_delay(1, Outcome(status=429, retry_after=text), NOW, 0.0) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "", "1e9"])
def test_retry_delay_ignores_an_invalid_retry_after(text: str) -> None:
    assert retry_delay(1, Outcome(status=429, retry_after=text), NOW, 1.0) == 1.0


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("localhost", "http"),
        ("localhost:5000", "http"),
        ("127.0.0.1:5000", "http"),
        ("127.1.2.3", "http"),
        ("[::1]:5000", "http"),
        ("ghcr.io", "https"),
        ("10.0.0.1:5000", "https"),
        ("localhost.example:5000", "https"),
        ("127.0.0.1.example", "https"),
    ],
)
def test_url_scheme_is_http_for_this_machine_only(host: str, scheme: str) -> None:
    assert transport.url_scheme(host) == scheme


def test_retry_delay_is_none_after_the_time_limit() -> None:
    failed = Outcome(status=503)
    assert retry_delay(1, failed, NOW, 1.0, transport.TIME_LIMIT - 2.0) == 1.0
    assert retry_delay(1, failed, NOW, 1.0, transport.TIME_LIMIT - 0.5) is None
    assert (
        retry_delay(2, Outcome(status=429, retry_after="50"), NOW, 0.0, transport.TIME_LIMIT - 49.0) is None
    )


def test_authorities_of_the_environment_come_before_the_system_s(tmp_path: Path) -> None:
    bundle, file = tmp_path / "bundle", tmp_path / "file"
    env = {"REQUESTS_CA_BUNDLE": str(bundle), "SSL_CERT_FILE": str(file)}
    assert transport.authorities(env) not in {str(bundle), str(file)}
    file.touch()
    assert transport.authorities(env) == str(file)
    bundle.touch()
    assert transport.authorities(env) == str(bundle)


def test_certificates_are_found_where_docker_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's engine looks in /etc, or in the user's folder where it runs without root."""
    monkeypatch.setattr(transport, "CERTS", tmp_path / "etc")
    system, own = tmp_path / "etc/r.example:5000", tmp_path / "home/.config/docker/certs.d/r.example:5000"
    env = {"HOME": str(tmp_path / "home")}
    assert transport.certificates("r.example:5000", env) == ([], None)
    for file in (
        system / "b.crt",
        system / "a.crt",
        own / "c.crt",
        system / "lone.cert",
        own / "client.cert",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert transport.certificates("r.example:5000", env) == (
        [system / "a.crt", system / "b.crt", own / "c.crt"],
        None,
    )
    (own / "client.key").touch()
    assert transport.certificates("r.example:5000", env)[1] == (own / "client.cert", own / "client.key")
    assert transport.certificates("other.example", env) == ([], None)


def test_transport_names_a_certificate_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CERTS", tmp_path)
    (tmp_path / "r.example").mkdir()
    (tmp_path / "r.example/ca.crt").write_text("no certificate", encoding="utf-8")
    with pytest.raises(RegistryError, match=r"the certificates for r\.example cannot be used") as refused:
        transport.Transport("r.example", {}, 1)
    assert str(tmp_path / "r.example") in refused.value.hint


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://registry.test/v2/", "https://registry.test:443/x", True),
        ("https://registry.test/v2/", "https://REGISTRY.test/x", True),
        ("https://registry.test/v2/", "HTTPS://registry.test/x", True),
        ("http://localhost:80/", "http://localhost/", True),
        ("https://[fd00::1]/", "https://[FD00::1]:443/", True),
        ("https://registry.test/", "http://registry.test/", False),
        ("https://registry.test/", "http://registry.test:443/", False),
        ("https://registry.test/", "https://registry.test:5000/", False),
        ("https://registry.test/", "https://registry.test.evil.test/", False),
        ("https://registry.test/", "https://registry.test@evil.test/", False),
        ("https://registry.test/", "https://evil.test/registry.test/", False),
        ("https://registry.test/", "https://registry.test:x/", False),
        ("https://registry.test/", "ftp://registry.test/", False),
    ],
)
def test_origin_is_scheme_host_and_port(one: str, other: str, is_same: bool) -> None:
    assert (transport.origin(one) == transport.origin(other)) == is_same


@pytest.mark.parametrize(
    ("before", "after", "is_downgrade"),
    [
        ("https://r.test/", "http://r.test/", True),
        ("https://r.test/", "http://storage.test/", True),
        ("HTTPS://r.test/", "ftp://r.test/", True),
        ("https://r.test/", "https://storage.test/", False),
        ("http://localhost:5000/", "http://localhost:5000/x", False),
    ],
)
def test_is_downgrade_means_leaving_tls(before: str, after: str, is_downgrade: bool) -> None:
    assert transport.is_downgrade(before, after) == is_downgrade


class Answers(HTTPAdapter):
    """Gives prepared answers in place of a network, and keeps what was sent: method, URL, Authorization."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[tuple[str, str, str]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        login = request.headers.get("Authorization", "")
        self.sent.append((str(request.method), str(request.url), login))
        response = requests.Response()
        response.status_code, headers, response._content = (
            self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        )
        response.headers.update(headers)
        response.url, response.request = str(request.url), request
        response._content_consumed = True  # type: ignore[attr-defined]
        return response


ADA = Credentials(user="ada", secret="s3cret", source="a test")
API = {"Docker-Distribution-Api-Version": "registry/2.0"}
BEARER = {"WWW-Authenticate": 'Bearer realm="https://auth.test/token",service=registry.test'}
TOKEN: tuple[int, dict[str, str], bytes] = (200, {}, b'{"token": "t0k3n"}')
ABSENT = (404, API, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}')


def never(_seconds: float) -> None:
    pytest.fail("there is nothing to wait for")


def served(
    *answers: tuple[int, dict[str, str], bytes], host: str = "registry.test"
) -> tuple[Repository, Answers]:
    repository = Repository(ImageRef.parse(f"{host}/site"), wait=never, find_login=lambda _: ADA)
    adapter = Answers(*answers)
    for scheme in ("http://", "https://"):
        repository._transport._session.mount(scheme, adapter)
    return repository, adapter


@pytest.mark.parametrize(
    "location",
    ["http://registry.test/v2/site/blobs/uploads/1", "http://storage.test/1", "ftp://registry.test/1"],
)
def test_put_blob_sends_nothing_without_tls_where_a_registry_had_it(location: str) -> None:
    repository, adapter = served(
        ABSENT, (401, BEARER, b""), TOKEN, (202, {"Location": location}, b""), (201, {}, b"")
    )
    with pytest.raises(RegistryError, match="names an address without TLS for an upload") as refused:
        repository.put_blob(b"{}")
    assert location in refused.value.cause
    assert [url for _, url, _ in adapter.sent if not url.startswith("https://")] == []


@pytest.mark.parametrize(
    "location",
    [
        "https://registry.test:443/v2/site/blobs/uploads/1?state=x",
        "https://REGISTRY.test/v2/site/blobs/uploads/1?state=x",
        "/v2/site/blobs/uploads/1?state=x",
        "1?state=x",
    ],
)
def test_put_blob_has_its_login_for_the_same_origin(location: str) -> None:
    repository, adapter = served(
        ABSENT, (401, BEARER, b""), TOKEN, (202, {"Location": location}, b""), (201, {}, b"")
    )
    repository.put_blob(b"{}")
    method, url, login = adapter.sent[-1]
    assert method == "PUT"
    assert "?state=x&digest=sha256:" in url
    assert login == "Bearer t0k3n"


@pytest.mark.parametrize("host", ["storage.test", "registry.test:5000", "registry.test.evil.test"])
def test_put_blob_has_no_login_for_another_origin(host: str) -> None:
    elsewhere = {"Location": f"https://{host}/1"}
    repository, adapter = served(ABSENT, (401, BEARER, b""), TOKEN, (202, elsewhere, b""), (201, {}, b""))
    repository.put_blob(b"{}")
    assert adapter.sent[-1][2] == ""
    # Not even where that one asks for it.
    challenged = (401, {"WWW-Authenticate": "Basic realm=x"}, b"")
    repository, adapter = served(ABSENT, (401, BEARER, b""), TOKEN, (202, elsewhere, b""), challenged)
    with pytest.raises(RegistryError, match="answers 401"):
        repository.put_blob(b"{}")
    assert adapter.sent[-1] == ("PUT", adapter.sent[-1][1], "")


def test_blob_follows_no_redirect_from_https_to_http() -> None:
    repository, adapter = served((307, {"Location": "http://registry.test/blob"}, b""), (200, {}, b"x"))
    with pytest.raises(RegistryError, match="leads to an address without TLS"):
        repository.blob(f"sha256:{'0' * 64}")
    assert [url for _, url, _ in adapter.sent if url.startswith("http://")] == []


@pytest.mark.parametrize(
    ("location", "login"),
    [
        ("https://storage.test/blob", ""),
        ("https://registry.test:5000/blob", ""),
        ("https://registry.test:443/blob", "Bearer t0k3n"),
    ],
)
def test_blob_s_redirect_has_the_login_for_the_same_origin_only(location: str, login: str) -> None:
    digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    repository, adapter = served(
        (401, BEARER, b""), TOKEN, (307, {"Location": location}, b""), (200, {}, b"x")
    )
    assert repository.blob(digest) == b"x"
    assert adapter.sent[-1] == ("GET", location, login)


@pytest.mark.parametrize(
    "realm", ["http://auth.test/token", "http://127.0.0.1:1/token", "/token", "auth.test"]
)
def test_digest_sends_no_login_to_a_token_service_without_tls(realm: str) -> None:
    repository, adapter = served((401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b""), TOKEN)
    with pytest.raises(RegistryError, match="wants its login sent without TLS"):
        repository.digest("a")
    assert len(adapter.sent) == 1


def test_digest_asks_for_the_service_as_it_is_named() -> None:
    repository, adapter = served((401, BEARER, b""), TOKEN, ABSENT)
    assert repository.digest("a") is None
    assert (
        adapter.sent[1][1] == "https://auth.test/token?service=registry.test&scope=repository%3Asite%3Apull"
    )
    repository, adapter = served(
        (401, {"WWW-Authenticate": "Bearer realm=https://auth.test/token?a=b"}, b""), TOKEN, ABSENT
    )
    assert repository.digest("a") is None
    assert adapter.sent[1][1] == "https://auth.test/token?a=b&scope=repository%3Asite%3Apull"


@pytest.mark.parametrize(
    "body", [b"<html>log in</html>", b"", b"[]", b'{"token": 1}', b"\xff\xfe", b'{"token": ""}']
)
def test_digest_names_a_token_service_that_gives_none(body: bytes) -> None:
    repository, _ = served((401, BEARER, b""), (200, {"Content-Type": "text/html"}, body))
    with pytest.raises(RegistryError, match="gave no token") as refused:
        repository.digest("a")
    assert "auth.test answered 200 with text/html" in refused.value.cause


@pytest.mark.parametrize("status", [401, 403])
def test_digest_before_a_push_asks_with_the_rights_of_a_push(status: int) -> None:
    """Docker Hub, Quay and Artifactory refuse whoever may only pull, where no such repository exists yet."""
    refused, unseen = (401, BEARER, b""), (status, API, b"")
    repository, adapter = served(refused, TOKEN, ABSENT)
    assert repository.digest("a", is_before_push=True) is None
    assert adapter.sent[1][1].endswith("scope=repository%3Asite%3Apull%2Cpush")
    repository, adapter = served(refused, TOKEN, unseen)
    with pytest.raises(RegistryError, match=f"answers {status}"):
        repository.digest("a")
    assert adapter.sent[1][1].endswith("scope=repository%3Asite%3Apull")


def test_digest_before_a_push_falls_back_to_what_can_be_read() -> None:
    """A token service may refuse the push and still let the login read."""
    digest = f"sha256:{'1' * 64}"
    challenge = (401, BEARER, b"")
    repository, adapter = served(
        challenge, (403, {}, b""), challenge, TOKEN, (200, {"Docker-Content-Digest": digest}, b"")
    )
    assert repository.digest("a", is_before_push=True) == digest
    assert [url.rpartition("%3A")[2] for _, url, _ in adapter.sent if "token" in url] == [
        "pull%2Cpush",
        "pull",
    ]


@pytest.mark.parametrize("status", [400, 405, 501])
def test_digest_asks_with_get_where_head_is_not_known(status: int) -> None:
    content = b'{"schemaVersion": 2}'
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    repository, adapter = served((status, {}, b""), (200, kind, content))
    assert repository.digest("a") == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert [method for method, _, _ in adapter.sent] == ["HEAD", "GET"]
    repository, _ = served((status, {}, b""), ABSENT)
    assert repository.digest("a") is None
    repository, _ = served((status, {}, b""), (status, {}, b""))
    with pytest.raises(RegistryError, match=f"answers {status}"):
        repository.digest("a")


def page(tags: object, link: str = "") -> tuple[int, dict[str, str], bytes]:
    return 200, {"Link": link} if link else {}, json.dumps({"name": "site", "tags": tags}).encode()


NEXT = '</v2/site/tags/list?n=1000&last=b>; rel="next"'


@pytest.mark.parametrize(
    "link",
    [
        NEXT,
        "</v2/site/tags/list?n=1000&last=b>; rel=next",
        '<https://registry.test:443/v2/site/tags/list?n=1000&last=b>; rel="prev next"',
        '</v2/site/tags/list?n=1>; rel="first", </v2/site/tags/list?n=1000&last=b>; rel="NEXT"',
        '<list?n=1000&last=b>; title="x"; rel="next"',
    ],
)
def test_tags_has_every_page_and_every_tag_once(link: str) -> None:
    repository, adapter = served(page(["a", "b"], link), page(["b", "c"], '</v2/x>; rel="prev"'))
    assert repository.tags() == ["a", "b", "c"]
    assert adapter.sent[-1][1].endswith("?n=1000&last=b")


def test_tags_is_empty_where_there_are_none() -> None:
    assert served(page(None))[0].tags() == []
    assert served(page([]))[0].tags() == []
    assert served((404, {}, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'))[0].tags() == []


@pytest.mark.parametrize(
    "second",
    [
        (404, API, b'{"errors": [{"code": "NAME_UNKNOWN"}]}'),
        (404, API, b""),
        (204, {}, b""),
        (206, {}, b'{"tags": ["c"]}'),
        (200, {"Content-Type": "text/html"}, b"<html>log in</html>"),
        (200, {}, b""),
        (200, {}, b"{}"),
        (200, {}, b"[]"),
        (200, {}, b'"x"'),
        (200, {}, b"\xff\xfe\xfd"),
        (200, {}, b'{"tags": "ab"}'),
        (200, {}, b'{"tags": [1]}'),
        (200, {}, b'{"tags": ["c"'),
        page(["c"], NEXT),
        page(["c"], '<https://elsewhere.test/v2/site/tags/list?last=c>; rel="next"'),
        page(["c"], "</v2/site/tags/list?last=c>"),
        page(["c"], "nonsense"),
    ],
)
def test_tags_raises_where_a_later_page_is_no_page(second: tuple[int, dict[str, str], bytes]) -> None:
    repository, adapter = served(page(["a", "b"], NEXT), second)
    with pytest.raises(RegistryError, match="no whole list of the tags of site"):
        repository.tags()
    assert all(url.startswith("https://registry.test/") for _, url, _ in adapter.sent)


def test_tags_raises_where_the_next_page_is_without_tls() -> None:
    repository, _ = served(page(["a"], '<http://registry.test/v2/site/tags/list?last=a>; rel="next"'))
    with pytest.raises(RegistryError, match="without TLS for the next page of tags"):
        repository.tags()


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"", b"\xff", b"{}", b"null"])
def test_tags_says_what_answered_in_place_of_a_list(body: bytes) -> None:
    repository, _ = served((200, {"Content-Type": "text/html"}, body))
    with pytest.raises(RegistryError, match="no whole list") as refused:
        repository.tags()
    assert refused.value.cause == "the answer is text/html, and not a list of tags"


CONFIG: dict[str, Any] = {
    "IndexConfigs": {
        "docker.io": {"Name": "docker.io", "Secure": True},
        "barn.test:5000": {"Name": "barn.test:5000", "Secure": False},
        "10.1.2.3:443": {"Name": "10.1.2.3:443", "Secure": True},
    },
    "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", "10.1.0.0/16"],
}


@pytest.mark.parametrize(
    ("host", "addresses", "insecure"),
    [
        ("barn.test:5000", [], True),
        ("barn.test", [], False),
        ("barn.test:5001", ["192.0.2.1"], False),
        ("other.test", ["10.1.9.9"], True),
        ("other.test", ["192.0.2.1", "10.1.9.9"], True),
        ("other.test", ["10.2.9.9"], False),
        ("10.1.2.3:5000", ["10.1.2.3"], True),
        ("10.1.2.3:443", ["10.1.2.3"], False),
        ("[::1]:5000", ["::1"], True),
        ("docker.io", ["127.0.0.1"], False),
    ],
)
def test_is_insecure_follows_the_engine_s_list(host: str, addresses: list[str], insecure: bool) -> None:
    assert is_insecure(host, CONFIG, addresses) == insecure


@pytest.mark.parametrize("config", [{}, {"IndexConfigs": None, "InsecureRegistryCIDRs": None}])
def test_is_insecure_is_false_without_a_list(config: dict[str, Any]) -> None:
    assert not is_insecure("barn.test:5000", config, ["10.1.2.3"])


class NoTls(Answers):
    """A server that speaks no TLS."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        if str(request.url).startswith("https://"):
            self.sent.append(
                (str(request.method), str(request.url), request.headers.get("Authorization", ""))
            )
            raise requests.exceptions.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number")
        return super().send(request)


@pytest.mark.parametrize("insecure", [True, False])
def test_digest_goes_without_tls_only_where_the_engine_would(
    monkeypatch: pytest.MonkeyPatch, insecure: bool
) -> None:
    monkeypatch.setattr(transport, "is_insecure_for_engine", lambda _: insecure)
    repository = Repository(
        ImageRef.parse("barn.test:5000/site"), wait=lambda _: None, find_login=lambda _: ADA
    )
    adapter = NoTls((401, {"WWW-Authenticate": "Basic realm=barn"}, b""), ABSENT)
    for scheme in ("http://", "https://"):
        repository._transport._session.mount(scheme, adapter)
    if insecure:
        assert repository.digest("a") is None
        assert adapter.sent[-1][1].startswith("http://barn.test:5000/")
    else:
        with pytest.raises(RegistryError, match=r"barn\.test:5000 does not speak TLS") as refused:
            repository.digest("a")
        assert "insecure-registries" in refused.value.hint
        assert {url.partition(":")[0] for _, url, _ in adapter.sent} == {"https"}
        assert {login for _, _, login in adapter.sent} == {""}


def test_store_asks_with_the_rights_of_a_push_where_it_will_push() -> None:
    image = ImageRef.parse("registry.test/site:solr-1")
    repository, adapter = served((401, BEARER, b""), TOKEN, ABSENT)
    assert not RegistryStore(repository).exists(image, is_before_push=True)
    assert adapter.sent[1][1].endswith("pull%2Cpush")
    repository, adapter = served((401, BEARER, b""), TOKEN, ABSENT)
    assert not RegistryStore(repository).exists(image)
    assert adapter.sent[1][1].endswith("pull")


def test_put_blob_names_an_upload_without_an_address() -> None:
    repository, _ = served(ABSENT, (202, {}, b""))
    with pytest.raises(RegistryError, match="names no address for an upload"):
        repository.put_blob(b"{}")


@pytest.mark.parametrize(
    "document", [{"manifests": [1]}, {"manifests": 1}, {"manifests": [{}]}, {"config": "x"}, {"config": [1]}]
)
def test_labels_names_a_manifest_that_cannot_be_read(document: object) -> None:
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    repository, _ = served((200, kind, json.dumps(document).encode()))
    with pytest.raises(RegistryError, match=r"the manifest of .* cannot be read"):
        repository.labels("a")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS5"])
def test_digest_refuses_a_socks_proxy_and_names_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Go, and so Docker, takes one for HTTPS_PROXY, and does not look at ALL_PROXY."""
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://proxy.test:1080")
    repository, _ = served(ABSENT)
    assert repository.digest("a") is None
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://ada:s3cret@proxy.test:1080")
    with pytest.raises(RegistryError, match=r"would be asked through socks\w+://proxy.test:1080") as refused:
        served(ABSENT)[0].digest("a")
    assert "HTTPS_PROXY" in refused.value.cause
    assert "s3cret" not in str(refused.value) + refused.value.cause + refused.value.hint
