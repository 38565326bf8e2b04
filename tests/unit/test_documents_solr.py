"""The loader's HTTP: retries, a Solr that was restarted, the refused documents of a batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from haybale.loader.documents.solr import (
    RETRY_DELAYS,
    Core,
    SolrError,
    error_message,
    resend_in_halves,
)
from haybale.loader.events import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = tuple[int, Any]


class Fake(Core):
    """A core whose exchange is a list of what happens: answers, or exceptions."""

    def __init__(self, *script: Answer | Exception) -> None:
        super().__init__("http://127.0.0.1:9/solr/hay", {})
        self.script = list(script)
        self.requests: list[str] = []

    def _exchange(
        self, method: str, path: str, body: bytes | None, content_type: str | None, timeout: float
    ) -> tuple[int, bytes]:
        assert timeout > 0
        assert bool(content_type) == (body is not None)
        self.requests.append(f"{method} {path.partition('?')[0]}")
        happens = self.script.pop(0)
        if isinstance(happens, Exception):
            raise happens
        return happens[0], json.dumps(happens[1]).encode()


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


EMPTY: Answer = (200, {"response": {"numFound": 0}})
FINE: Answer = (200, {})


def started(when: str) -> Answer:
    return 200, {"core": {"start": when}}


def test_update_retries_after_a_lost_connection_and_busy(delays: list[float]) -> None:
    core = Fake(ConnectionResetError("gone"), (503, {"error": {"msg": "loading"}}), FINE)
    core.update(b"[]")
    assert core.requests == ["POST /update"] * 3
    assert delays == list(RETRY_DELAYS[:2])


def test_update_retries_a_bounded_number_of_times(delays: list[float]) -> None:
    core = Fake(*[BrokenPipeError("gone")] * 50)
    with pytest.raises(Failure, match="is not there, after 6 tries: BrokenPipeError: gone"):
        core.update(b"[]")
    assert len(delays) == len(RETRY_DELAYS)
    assert len(core.script) == 50 - len(RETRY_DELAYS) - 1


def test_update_does_not_retry_after_a_timeout() -> None:
    core = Fake(TimeoutError("slow"), FINE)
    with pytest.raises(Failure, match="did not answer within"):
        core.update(b"[]")
    assert core.script == [FINE]


def test_update_goes_on_with_the_same_solr_after_a_lost_connection() -> None:
    core = Fake(EMPTY, started("today"), ConnectionResetError(), started("today"), FINE, FINE)
    core.require_empty()
    core.update(b"[]")
    core.update(b"[]")
    assert core.script == []


def test_update_fails_where_solr_was_restarted() -> None:
    core = Fake(EMPTY, started("today"), ConnectionResetError(), started("later"), FINE)
    core.require_empty()
    with pytest.raises(Failure, match="started again"):
        core.update(b"[]")


def test_require_empty_refuses_a_core_with_documents() -> None:
    with pytest.raises(Failure, match="it holds 3 documents"):
        Fake((200, {"response": {"numFound": 3}})).require_empty()


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_update_raises_what_solr_answers(status: int) -> None:
    with pytest.raises(SolrError) as caught:
        Fake((status, {"error": {"msg": "no hay"}})).update(b"[]")
    assert caught.value.reason == "no hay"
    assert str(status) in caught.value.message
    assert caught.value.cause


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b'{"error": {"msg": "why"}}', "why"),
        (b'{"error": {"trace": "java.lang.Boom\\n\\tat"}}', "java.lang.Boom"),
        (b"<html><h2>HTTP ERROR 404</h2>\n<p>Not\n found</p></html>", "HTTP ERROR 404 Not found"),
        (b"", ""),
        (b"[]", "[]"),
    ],
)
def test_error_message(answer: bytes, reason: str) -> None:
    assert error_message(answer) == reason


class Picky(Fake):
    """A core that refuses some batches."""

    def __init__(self, refuses: Callable[[set[int]], object], accept: Callable[[list[int]], None]) -> None:
        super().__init__()
        self.refuses = refuses
        self.accept = accept

    def update(self, body: bytes) -> None:
        numbers = json.loads(body)
        self.requests.append(str(numbers))
        if self.refuses(set(numbers)):
            raise SolrError("url", 400, f"refused {numbers}")
        self.accept(numbers)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_resend_in_halves_finds_each_refused_document_and_sends_all_others(size: int) -> None:
    batch = [str(number).encode() for number in range(size)]
    for refused in ({0}, {size - 1}, {size // 2, size // 3}, set(range(0, size, 3)), set(range(size))):
        accepted: list[int] = []
        core = Picky(frozenset(refused).intersection, accepted.extend)
        found = list(resend_in_halves(core, batch))
        assert [position for position, _ in found] == sorted(refused)
        assert [each.reason for _, each in found] == [f"refused [{each}]" for each in sorted(refused)]
        assert sorted(accepted) == sorted(set(range(size)) - refused)


def test_resend_in_halves_finds_none_where_only_the_whole_batch_is_refused() -> None:
    accepted: list[int] = []
    core = Picky(lambda numbers: len(numbers) > 5, accepted.extend)
    assert list(resend_in_halves(core, [str(number).encode() for number in range(10)])) == []
    assert sorted(accepted) == list(range(10))


def test_resend_in_halves_raises_another_error() -> None:
    core = Fake((500, {"error": {"msg": "no room"}}))
    with pytest.raises(SolrError, match="no room"):
        list(resend_in_halves(core, [b"1", b"2"]))


@pytest.mark.parametrize(
    ("url", "auth"),
    [
        ("http://farmer:h%40y@127.0.0.1:8983/solr/hay/", None),
        ("http://127.0.0.1:8983/solr/hay", ("farmer", "h@y")),
        ("http://127.0.0.1:8983/solr/hay", type("Basic", (), {"username": "farmer", "password": "h@y"})()),
    ],
)
def test_core_reads_user_and_password(url: str, auth: Any) -> None:
    core = Core(url, {"auth": auth})
    assert core._headers["Authorization"] == "Basic ZmFybWVyOmhAeQ=="
    assert core.url == "http://127.0.0.1:8983/solr/hay"
    assert core.name == "hay"


@pytest.mark.parametrize("url", ["127.0.0.1:8983/solr", "zk://farmer:secret@there/solr", ""])
def test_core_refuses_a_url_that_is_none(url: str) -> None:
    with pytest.raises(Failure, match="no URL of a Solr core") as caught:
        Core(url, {})
    assert "secret" not in caught.value.message


def test_count_by_with_and_without_a_type() -> None:
    flat = ["a.b", 2, "c.d", 1, None, 4]
    answer = {"response": {"numFound": 7}, "facet_counts": {"facet_fields": {"django_ct": flat}}}
    assert Fake((200, answer)).count_by("django_ct") == (7, {"a.b": 2, "c.d": 1, "": 4})
