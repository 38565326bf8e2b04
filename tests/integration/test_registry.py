"""The registry: a real one, open, with passwords and with TLS; and one that fails in every way there is."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests

from haybale.errors import BuildError, RegistryError
from haybale.image_ref import ImageRef
from haybale.images.store import RegistryStore
from haybale.tools.engine import sdk
from haybale.tools.registry import credentials, transport
from haybale.tools.registry.client import DIGEST_HEADER, VERSION_HEADER, Repository
from haybale.tools.registry.credentials import Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.integration.conftest import Registry

    Serve = Callable[..., AbstractContextManager[Registry]]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_no_logins")]

# The run of these tests (conftest.py), and something else.
LABELS = {"io.haybale.test": os.environ["HAYBALE_TEST_RUN"], "answer": "42"}
SECRET = "not-to-be-seen"  # of the registry `guarded`
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def _no_logins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The logins of whoever runs the tests are not for these registries."""
    for name in ("DOCKER_AUTH_CONFIG", "CI_REGISTRY", "GITHUB_TOKEN", "GITHUB_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def never(_seconds: float) -> None:
    pytest.fail("there is nothing to wait for")


def repository(address: str, **options: Any) -> Repository:
    return Repository(ImageRef.parse(f"{address}/site"), **{"wait": never, **options})


@contextlib.contextmanager
def image(name: str, *, attested: bool = False, text: str = "a") -> Iterator[str]:
    """An image on the engine, from nothing, with labels."""
    if attested and not sdk.engine_info().has_containerd_store:
        pytest.skip("this engine's image store holds no attestations (Docker: the containerd image store)")
    labels = [word for label, value in LABELS.items() for word in ("--label", f"{label}={value}")]
    subprocess.run(
        [
            "docker", "buildx", "build", "--quiet", "--load", "--tag", name, *labels,
            f"--provenance={str(attested).lower()}", "-",
        ],
        input=f"FROM scratch\nCOPY <<EOF /text\n{text}\nEOF\n".encode(), capture_output=True, check=True,
    )  # fmt: skip
    yield name
    with contextlib.suppress(docker.errors.ImageNotFound):
        docker.from_env().images.remove(name, force=True)


# A real registry -----------------------------------------------------------------------------------------


def test_repository_has_an_image_after_it_was_pushed(registry: str) -> None:
    ours = repository(registry)
    assert ours.digest("first") is None
    assert ours.manifest("first") is None
    assert ours.labels("first") is None
    with image(f"{registry}/site:first") as name:
        digest = RegistryStore(ours).push(ImageRef.parse(name))
    assert ours.digest("first") == digest
    found = ours.manifest(digest)
    assert found
    assert f"sha256:{hashlib.sha256(found.content).hexdigest()}" == digest
    assert ours.labels("first") == LABELS


def test_labels_are_the_image_s_and_not_its_attestation_s(registry: str) -> None:
    ours = repository(registry)
    with image(f"{registry}/site:attested", attested=True) as name:
        RegistryStore(ours).push(ImageRef.parse(name))
    found = ours.manifest("attested")
    assert found
    assert found.media_type == INDEX
    assert len(found.document["manifests"]) == 2
    assert ours.labels("attested") == LABELS


@pytest.mark.parametrize("attested", [False, True])
def test_retag_is_exact_and_moves_no_layer(registry_server: Registry, *, attested: bool) -> None:
    ours = repository(registry_server.address)
    with image(f"{registry_server.address}/site:source", attested=attested) as name:
        RegistryStore(ours).push(ImageRef.parse(name))
    before = registry_server.log().count("/blobs/uploads/")
    target = f"target-{attested}".lower()
    digest = ours.retag("source", target)
    assert digest == ours.digest("source") == ours.digest(target)
    assert ours.manifest("source") == ours.manifest(target)
    assert registry_server.log().count("/blobs/uploads/") == before


def test_retag_raises_for_a_missing_image(registry: str) -> None:
    with pytest.raises(RegistryError, match=r"there is no .*/site:nothing in the registry"):
        repository(registry).retag("nothing", "something")


def test_push_first_keeps_the_first_image(registry: str) -> None:
    store = RegistryStore(repository(registry))
    with image(f"{registry}/site:solr-1", text="first") as name:
        first = store.push_first(ImageRef.parse(name))
    with image(f"{registry}/site:solr-1", text="second") as name:
        assert store.push_first(ImageRef.parse(name)) == first
    assert store.digest(ImageRef.parse(f"{registry}/site:solr-1")) == first


PUSH_FIRST = """
import sys
from haybale.image_ref import ImageRef
from haybale.images.store import RegistryStore
from haybale.tools.registry.client import Repository
image = ImageRef.parse(sys.argv[1])
print(RegistryStore(Repository(image)).push_first(image))
"""


def test_push_first_twice_at_once_leaves_one_image(registry: str) -> None:
    """What stays is read back by whoever asks from then on; both are whole."""
    store = RegistryStore(repository(registry))
    with image(f"{registry}/site:solr-2") as name:
        started = [
            subprocess.Popen([sys.executable, "-c", PUSH_FIRST, name], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = {process.communicate()[0].strip() for process in started}
    assert [process.returncode for process in started] == [0, 0]
    assert said == {store.digest(ImageRef.parse(name))}


def test_push_raises_with_the_engine_s_output() -> None:
    store = RegistryStore(repository("127.0.0.1:1"))
    with (
        image("127.0.0.1:1/site:a") as name,
        pytest.raises(BuildError, match="could not be pushed") as failed,
    ):
        store.push(ImageRef.parse(name))
    assert "127.0.0.1:1" in failed.value.log


# Logins --------------------------------------------------------------------------------------------------


def test_digest_raises_without_a_login(guarded: Registry) -> None:
    with pytest.raises(RegistryError, match=r"answers 401 .* without a login") as refused:
        repository(guarded.address).digest("first")
    assert refused.value.hint.startswith("docker login")


def test_digest_raises_for_a_wrong_password_without_showing_it(guarded: Registry) -> None:
    wrong = Credentials(user="ada", secret="wrong-one", source="a test")
    with pytest.raises(RegistryError, match=r"answers 401 .* asked as ada \(a test\)") as refused:
        repository(guarded.address, find_login=lambda _: wrong).digest("first")
    assert "wrong-one" not in f"{refused.value.message}{refused.value.cause}{refused.value.hint}{wrong!r}"


def auth() -> str:
    return base64.b64encode(f"ada:{SECRET}".encode()).decode()


def in_config(folder: Path, address: str) -> None:
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth()}}}), encoding="utf-8")


def in_helper(folder: Path, address: str) -> None:
    helper(folder, address)
    (folder / "config.json").write_text(json.dumps({"credHelpers": {address: "barn"}}), encoding="utf-8")


def in_store(folder: Path, address: str) -> None:
    helper(folder, address)
    (folder / "config.json").write_text(json.dumps({"credsStore": "barn"}), encoding="utf-8")


def helper(folder: Path, address: str) -> None:
    """A helper as Docker has them: the registry on its input, the login as JSON on its output."""
    answer = json.dumps({"ServerURL": address, "Username": "ada", "Secret": SECRET})
    program = folder / "docker-credential-barn"
    program.write_text(
        f"#!/bin/sh\nread host\nif [ \"$host\" = {address} ]; then echo '{answer}'; "
        "else echo 'credentials not found in native keychain'; exit 1; fi\n",
        encoding="utf-8",
    )
    program.chmod(0o755)


@pytest.mark.parametrize("where", [in_config, in_helper, in_store])
def test_digest_uses_docker_s_own_login(
    guarded: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Callable[[Path, str], None]
) -> None:
    where(tmp_path / "docker", guarded.address)
    monkeypatch.setenv("PATH", f"{tmp_path / 'docker'}:{os.environ['PATH']}")
    assert repository(guarded.address).digest("first") is None
    with credentials.cli_environment(guarded.address) as env:
        assert env == {}


@pytest.mark.parametrize("system", ["gitlab", "config in a variable"])
def test_push_uses_a_ci_system_s_login(
    guarded: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    if system == "gitlab":
        monkeypatch.setenv("CI_REGISTRY", guarded.address)
        monkeypatch.setenv("CI_REGISTRY_USER", "ada")
        monkeypatch.setenv("CI_REGISTRY_PASSWORD", SECRET)
    else:
        text = json.dumps({"auths": {guarded.address: {"auth": auth()}}})
        monkeypatch.setenv("DOCKER_AUTH_CONFIG", text)
    own = tmp_path / "docker/config.json"
    own.write_text('{"auths": {"other.example": {"auth": "eDp5"}}, "detachKeys": "ctrl-x"}', encoding="utf-8")
    before = own.read_bytes()
    ours = repository(guarded.address)
    with image(f"{guarded.address}/site:ci") as name:
        digest = RegistryStore(ours).push(ImageRef.parse(name))
        docker.from_env().images.remove(name)
        RegistryStore(ours).pull(ImageRef.parse(name))
    assert ours.digest("ci") == digest
    assert own.read_bytes() == before
    with credentials.cli_environment(guarded.address) as env:
        folder = tmp_path.__class__(env["DOCKER_CONFIG"])
        assert folder.stat().st_mode & 0o077 == 0
        merged = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert set(merged["auths"]) == {"other.example", guarded.address}
        assert merged["detachKeys"] == "ctrl-x"
    assert not folder.exists()


# TLS -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(
    serve_registry: Serve, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Registry, Path]]:
    """A registry with a certificate of an authority that nobody knows, and that authority's certificate."""
    folder = tmp_path_factory.mktemp("tls")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=barn -keyout ca.key -out ca.crt",
        (
            "req -newkey rsa:2048 -nodes -subj /CN=registry -addext subjectAltName=IP:127.0.0.1 "
            "-keyout key.pem -out r.csr"
        ),
        (
            "x509 -req -in r.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy "
            "-out cert.pem"
        ),
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, capture_output=True, check=True)
    files = {name: (folder / name).read_bytes() for name in ("cert.pem", "key.pem")}
    more = "  tls:\n    certificate: /registry/cert.pem\n    key: /registry/key.pem\n"
    with serve_registry(more, files, "https", verify=str(folder / "ca.crt")) as server:
        yield server, folder / "ca.crt"


def over_tls(monkeypatch: pytest.MonkeyPatch, address: str) -> Repository:
    """Docker and haybale speak to loopback without TLS; here they must not."""
    monkeypatch.setattr(transport, "url_scheme", lambda _: "https")
    monkeypatch.setattr(transport, "is_insecure_for_engine", lambda _: False)
    return repository(address)


def test_digest_reaches_a_registry_of_this_machine_over_tls(sealed: tuple[Registry, Path]) -> None:
    """Docker looks at no certificate there, and tries both ways."""
    server, _ = sealed
    assert repository(server.address).digest("first") is None


def test_digest_goes_without_tls_where_the_engine_s_own_list_says_so(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of every engine has 127.0.0.0/8; here the name does not tell that this is loopback."""
    monkeypatch.setattr(transport, "url_scheme", lambda _: "https")
    assert repository(registry).digest("no-such-tag") is None
    monkeypatch.setattr(transport, "is_insecure_for_engine", lambda _: False)
    with pytest.raises(RegistryError, match="does not speak TLS"):
        repository(registry, wait=lambda _: None).digest("no-such-tag")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_digest_trusts_an_authority_of_the_environment(
    sealed: tuple[Registry, Path], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    server, authority = sealed
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(authority))
    assert over_tls(monkeypatch, server.address).digest("first") is None


def test_digest_trusts_the_registry_s_own_authority(
    sealed: tuple[Registry, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server, authority = sealed
    monkeypatch.setattr(transport, "CERTS", tmp_path)
    (tmp_path / server.address).mkdir()
    (tmp_path / server.address / "ca.crt").write_bytes(authority.read_bytes())
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    assert over_tls(monkeypatch, server.address).digest("first") is None


def test_digest_raises_at_once_for_an_untrusted_certificate(
    sealed: tuple[Registry, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = sealed
    with pytest.raises(RegistryError, match="certificate that is not trusted") as refused:
        over_tls(monkeypatch, server.address).digest("first")
    assert "SSL_CERT_FILE" in refused.value.hint


# A registry that fails -----------------------------------------------------------------------------------


@dataclass
class Faults:
    """A server that gives prepared answers, one after the other, and the last one again and again."""

    answers: list[tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    address: str = ""


API = {VERSION_HEADER: "registry/2.0"}
UNKNOWN = json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "unknown"}]}).encode()
CONTENT = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
KIND = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
FOUND = (200, {DIGEST_HEADER: DIGEST, **API, **KIND}, CONTENT)
CUT, HANG, HALF = 0, -1, -2


@contextlib.contextmanager
def failing(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Faults]:
    faults = Faults(list(answers))
    released = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            faults.bodies.append(self.rfile.read(length))
            faults.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
            status, headers, body = faults.answers.pop(0) if len(faults.answers) > 1 else faults.answers[0]
            if status == HANG:
                released.wait(60)
            if status in {CUT, HANG}:
                self.close_connection = True
                return
            self.send_response(200 if status == HALF else status)
            for name, value in headers.items():
                self.send_header(name, value.replace("{address}", faults.address))
            self.send_header("Content-Length", str(len(body) * (2 if status == HALF else 1)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        faults.address = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield faults
        finally:
            released.set()
            server.shutdown()


def waiting(waits: list[float], address: str, **options: Any) -> Repository:
    return repository(address, wait=waits.append, timeout=0.5, **options)


@pytest.mark.parametrize("status", [401, 403])
def test_digest_raises_at_once_when_refused(status: int) -> None:
    with failing((status, API, b"")) as faults, pytest.raises(RegistryError, match=f"answers {status}"):
        repository(faults.address).digest("a")


@pytest.mark.parametrize("fault", [(500, API, b""), (503, API, b""), (CUT, {}, b""), (HANG, {}, b"")])
def test_digest_retries_a_transient_failure(fault: tuple[int, dict[str, str], bytes]) -> None:
    waits: list[float] = []
    with failing(fault, fault, FOUND) as faults:
        assert waiting(waits, faults.address).digest("a") == DIGEST
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ((500, API, b""), "answers 500"),
        ((CUT, {}, b""), "does not answer"),
        ((HANG, {}, b""), "does not answer"),
    ],
)
def test_digest_raises_after_the_last_attempt(fault: tuple[int, dict[str, str], bytes], what: str) -> None:
    waits: list[float] = []
    with failing(fault) as faults, pytest.raises(RegistryError, match=rf"{what}.*\(asked 4 times\)"):
        waiting(waits, faults.address).digest("a")
    assert len(waits) == transport.ATTEMPTS - 1


def test_digest_raises_with_the_address_where_nothing_listens() -> None:
    waits: list[float] = []
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 does not answer"):
        waiting(waits, "127.0.0.1:1").digest("a")


def test_digest_waits_as_long_as_a_rate_limit_asks() -> None:
    waits: list[float] = []
    date = formatdate(time.time() + 30, usegmt=True)
    with failing((429, {"Retry-After": "7"}, b""), (429, {"Retry-After": date}, b""), FOUND) as faults:
        assert waiting(waits, faults.address).digest("a") == DIGEST
    assert 7 <= waits[0] <= 8
    assert 20 <= waits[1] <= 31


def test_digest_raises_for_a_rate_limit_that_is_too_long() -> None:
    with (
        failing((429, {"Retry-After": "3600"}, b"")) as faults,
        pytest.raises(RegistryError, match="limits") as limited,
    ):
        repository(faults.address).digest("a")
    assert "3600" in limited.value.cause


@pytest.mark.parametrize("headers", [API, {}])
def test_digest_is_none_for_a_registry_s_own_404(headers: dict[str, str]) -> None:
    with failing((404, headers, UNKNOWN)) as faults:
        assert repository(faults.address).digest("a") is None


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"Content-Type": "text/html"}, b"<html>not here</html>"),
        (404, {}, b'{"detail": "Not found"}'),
        (404, {}, b""),
        (302, {"Location": "http://{address}/login"}, b"moved"),
        (307, {"Location": "http://{address}/login"}, b""),
    ],
)
def test_digest_raises_for_what_is_not_a_registry(
    answer: tuple[int, dict[str, str], bytes],
) -> None:
    with failing(answer) as faults, pytest.raises(RegistryError, match="is not a registry"):
        repository(faults.address).digest("a")


def test_manifest_raises_for_bytes_of_another_digest() -> None:
    with failing((200, {DIGEST_HEADER: f"sha256:{'0' * 64}", **KIND}, CONTENT)) as faults:
        with pytest.raises(RegistryError, match="arrived damaged"):
            repository(faults.address).manifest("a")
        with pytest.raises(RegistryError, match="arrived damaged"):
            repository(faults.address).manifest(f"sha256:{'1' * 64}")


def test_digest_is_computed_where_the_registry_names_none() -> None:
    with failing((200, {**API, **KIND}, CONTENT)) as faults:
        assert repository(faults.address).digest("a") == DIGEST


# Tokens --------------------------------------------------------------------------------------------------

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="http://{address}/token?x=1",service="barn"'}
TOKEN: tuple[int, dict[str, str], bytes] = (200, {}, b'{"token": "t0k3n"}')


def test_digest_fetches_a_token_and_keeps_it() -> None:
    known = Credentials(user="ada", secret=SECRET, source="a test")
    with failing((401, CHALLENGE, b""), TOKEN, FOUND) as faults:
        ours = repository(faults.address, find_login=lambda _: known)
        assert ours.digest("a") == ours.digest("b") == DIGEST
    assert [method for method, _, _ in faults.asked] == ["HEAD", "GET", "HEAD", "HEAD"]
    _, path, login = faults.asked[1]
    assert path == "/token?x=1&service=barn&scope=repository%3Asite%3Apull"
    assert login == f"Basic {auth()}"
    assert [login for _, _, login in faults.asked[2:]] == ["Bearer t0k3n"] * 2


def test_digest_fetches_a_token_without_a_login() -> None:
    with failing((401, CHALLENGE, b""), TOKEN, FOUND) as faults:
        assert repository(faults.address, find_login=lambda _: None).digest("a") == DIGEST
    assert faults.asked[1][2] == ""


def test_digest_sends_an_identity_token_as_a_form() -> None:
    known = Credentials(user="", secret="", identity_token="1d", source="a test")
    with failing((401, CHALLENGE, b""), (200, {}, b'{"access_token": "t0k3n"}'), FOUND) as faults:
        assert repository(faults.address, find_login=lambda _: known).digest("a") == DIGEST
    assert faults.asked[1][0] == "POST"
    assert b"grant_type=refresh_token" in faults.bodies[1]
    assert b"refresh_token=1d" in faults.bodies[1]


def test_digest_retries_a_failing_token_service_but_not_a_refusing_one() -> None:
    waits: list[float] = []
    with failing((401, CHALLENGE, b""), (503, {}, b""), (401, CHALLENGE, b""), TOKEN, FOUND) as faults:
        assert waiting(waits, faults.address, find_login=lambda _: None).digest("a") == DIGEST
    assert len(waits) == 1
    with (
        failing((401, CHALLENGE, b""), (403, {}, b"")) as faults,
        pytest.raises(RegistryError, match="answers 403"),
    ):
        repository(faults.address, find_login=lambda _: None).digest("a")


def test_labels_send_no_login_to_another_host() -> None:
    """The blob lies elsewhere, as with many registries: whoever has it must not see the token."""
    config = json.dumps({"config": {"Labels": LABELS}}).encode()
    blob = f"sha256:{hashlib.sha256(config).hexdigest()}"
    manifest = json.dumps({"config": {"digest": blob}}).encode()
    with failing((200, {}, config)) as elsewhere:
        place = elsewhere.address.replace("127.0.0.1", "localhost")
        moved = (307, {"Location": f"http://{place}/blob"}, b"")
        with failing((401, CHALLENGE, b""), TOKEN, (200, KIND, manifest), moved) as faults:
            assert repository(faults.address, find_login=lambda _: None).labels("a") == LABELS
    assert faults.asked[-1][2] == "Bearer t0k3n"
    assert elsewhere.asked == [("GET", "/blob", "")]


def test_a_real_registry_sends_the_version_header(registry: str) -> None:
    """The header that tells a registry's 404 from another one is really there."""
    answer = requests.get(f"http://{registry}/v2/site/manifests/absent", timeout=30)
    assert answer.status_code == 404
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@contextlib.contextmanager
def endless(piece: bytes, media_type: str) -> Iterator[str]:
    """A registry whose answers go on for ever, and whose tags are on as many pages."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            if "/tags/" in self.path and piece.startswith(b"{"):
                page = int(self.path.rpartition("page=")[2] or 0) if "page=" in self.path else 0
                body = json.dumps({"tags": [f"t{page}-{number}" for number in range(5)]}).encode()
                self.send_header("Link", f'<{self.path.partition("?")[0]}?page={page + 1}>; rel="next"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    "ask", [lambda it: it.tags(), lambda it: it.manifest("a"), lambda it: it.blob(DIGEST)]
)
def test_answer_without_an_end_is_an_error(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Repository], object]
) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER", 1 << 20)
    with (
        endless(b"x" * 65536, KIND["Content-Type"]) as address,
        pytest.raises(RegistryError, match="gives an answer that does not end"),
    ):
        ask(repository(address))


def test_tags_without_an_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haybale.tools.registry.client.MAX_TAGS", 100)
    with endless(b"{}", "application/json") as address, pytest.raises(RegistryError) as refused:
        repository(address).tags()
    assert "it goes on after 105 tags on 21 pages" in refused.value.cause
