"""What is asked again and when, and how registries are spoken to."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from haybale.errors import RegistryError
from haybale.tools.registry import transport
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


def test_proxies_are_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    assert transport.proxies("http://127.0.0.1:5000/v2/") == {}
    assert transport.proxies("http://localhost:5000/v2/") == {}
    assert transport.proxies("https://ghcr.io/v2/")["https"] == "http://proxy.example:3128"
    monkeypatch.setenv("no_proxy", "ghcr.io")
    assert transport.proxies("https://ghcr.io/v2/") == {}
