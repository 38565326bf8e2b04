"""The loader's HTTP: further tries, a Solr that was started again, the culprit in a batch."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import haybale

sys.path.append(str(Path(haybale.__file__).parent / "loader"))

import haybale_solr as solr
from haybale_events import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = tuple[int, Any]


class Fake(solr.Core):
    """A core whose exchange is a list of what happens: answers, or exceptions."""

    def __init__(self, *script: Answer | Exception) -> None:
        super().__init__("http://127.0.0.1:9/solr/hay", {})
        self.script = list(script)
        self.asked: list[str] = []

    def _exchange(
        self, method: str, path: str, body: bytes | None, kind: str, timeout: float
    ) -> tuple[int, bytes]:
        assert timeout > 0
        assert bool(kind) == (body is not None)
        self.asked.append(f"{method} {path.partition('?')[0]}")
        happens = self.script.pop(0)
        if isinstance(happens, Exception):
            raise happens
        return happens[0], json.dumps(happens[1]).encode()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


EMPTY: Answer = (200, {"response": {"numFound": 0}})
FINE: Answer = (200, {})


def started(when: str) -> Answer:
    return 200, {"core": {"start": when}}


def test_a_lost_connection_and_busy_are_tried_again(pauses: list[float]) -> None:
    core = Fake(ConnectionResetError("gone"), (503, {"error": {"msg": "loading"}}), FINE)
    core.update(b"[]")
    assert core.asked == ["POST /update"] * 3
    assert pauses == list(solr.PAUSES[:2])


def test_the_tries_are_bounded(pauses: list[float]) -> None:
    core = Fake(*[BrokenPipeError("gone")] * 50)
    with pytest.raises(Failure, match="is not there, after 6 tries: BrokenPipeError: gone"):
        core.update(b"[]")
    assert len(pauses) == len(solr.PAUSES)
    assert len(core.script) == 50 - len(solr.PAUSES) - 1


def test_a_timeout_is_not_tried_again() -> None:
    core = Fake(TimeoutError("slow"), FINE)
    with pytest.raises(Failure, match="did not answer within"):
        core.update(b"[]")
    assert core.script == [FINE]


def test_the_same_solr_may_lose_a_connection() -> None:
    core = Fake(EMPTY, started("today"), ConnectionResetError(), started("today"), FINE, FINE)
    core.require_empty()
    core.update(b"[]")
    core.update(b"[]")
    assert core.script == []


def test_a_solr_that_was_started_again_has_lost_documents() -> None:
    core = Fake(EMPTY, started("today"), ConnectionResetError(), started("later"), FINE)
    core.require_empty()
    with pytest.raises(Failure, match="started again"):
        core.update(b"[]")


def test_a_core_that_is_not_empty() -> None:
    with pytest.raises(Failure, match="it holds 3 documents"):
        Fake((200, {"response": {"numFound": 3}})).require_empty()


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500])
def test_an_error_is_told_as_solr_tells_it(status: int) -> None:
    with pytest.raises(solr.Refused) as caught:
        Fake((status, {"error": {"msg": "no hay"}})).update(b"[]")
    assert caught.value.reason == "no hay"
    assert str(status) in caught.value.what
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
def test_reason_of_an_answer(answer: bytes, reason: str) -> None:
    assert solr.reason(answer) == reason


class Picky(Fake):
    """A core that refuses some batches."""

    def __init__(self, refuses: Callable[[set[int]], object], accept: Callable[[list[int]], None]) -> None:
        super().__init__()
        self.refuses = refuses
        self.accept = accept

    def update(self, body: bytes) -> None:
        numbers = json.loads(body)
        self.asked.append(str(numbers))
        if self.refuses(set(numbers)):
            raise solr.Refused("url", 400, f"refused {numbers}")
        self.accept(numbers)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_each_culprit_of_a_batch_is_found_and_all_others_are_accepted(size: int) -> None:
    batch = [str(number).encode() for number in range(size)]
    for culprits in ({0}, {size - 1}, {size // 2, size // 3}, set(range(0, size, 3)), set(range(size))):
        accepted: list[int] = []
        core = Picky(frozenset(culprits).intersection, accepted.extend)
        found = list(solr.sift(core, batch))
        assert [position for position, _ in found] == sorted(culprits)
        assert [each.reason for _, each in found] == [f"refused [{each}]" for each in sorted(culprits)]
        assert sorted(accepted) == sorted(set(range(size)) - culprits)


def test_a_batch_that_is_refused_only_as_a_whole_has_no_culprit() -> None:
    accepted: list[int] = []
    core = Picky(lambda numbers: len(numbers) > 5, accepted.extend)
    assert list(solr.sift(core, [str(number).encode() for number in range(10)])) == []
    assert sorted(accepted) == list(range(10))


def test_another_fault_ends_the_search() -> None:
    core = Fake((500, {"error": {"msg": "no room"}}))
    with pytest.raises(solr.Refused, match="no room"):
        list(solr.sift(core, [b"1", b"2"]))


@pytest.mark.parametrize(
    ("url", "auth"),
    [
        ("http://farmer:h%40y@127.0.0.1:8983/solr/hay/", None),
        ("http://127.0.0.1:8983/solr/hay", ("farmer", "h@y")),
        ("http://127.0.0.1:8983/solr/hay", type("Basic", (), {"username": "farmer", "password": "h@y"})()),
    ],
)
def test_authorization(url: str, auth: Any) -> None:
    core = solr.Core(url, {"auth": auth})
    assert core._headers["Authorization"] == "Basic ZmFybWVyOmhAeQ=="
    assert core.url == "http://127.0.0.1:8983/solr/hay"
    assert core.name == "hay"


@pytest.mark.parametrize("url", ["127.0.0.1:8983/solr", "zk://farmer:secret@there/solr", ""])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(Failure, match="no URL of a Solr core") as caught:
        solr.Core(url, {})
    assert "secret" not in caught.value.what


def test_counts_with_and_without_a_type() -> None:
    flat = ["a.b", 2, "c.d", 1, None, 4]
    answer = {"response": {"numFound": 7}, "facet_counts": {"facet_fields": {"django_ct": flat}}}
    assert Fake((200, answer)).counts("django_ct") == (7, {"a.b": 2, "c.d": 1, "": 4})
