"""Asking Solr from the host: without one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from haybale.errors import ServiceError
from haybale.tools import solr

STATUS = "/solr/admin/cores"


class Web:
    """Answers instead of a server: by path, the next of a list (the last one stays)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **paths: list[Any]) -> None:
        self.paths = {
            "/solr/hay/admin/ping": paths.get("ping", [None]),
            STATUS: paths.get("cores", [None]),
            "/solr/hay/select": paths.get("select", [None]),
            "/solr/hay/update": paths.get("update", [None]),
        }
        self.asked: list[tuple[str, Any]] = []
        monkeypatch.setattr(requests.Session, "get", self.get)
        monkeypatch.setattr("time.sleep", lambda _: None)

    def get(self, url: str, params: Any = None, timeout: float = 0) -> requests.Response:
        assert timeout > 0
        path = url.removeprefix("http://127.0.0.1:9")
        self.asked.append((path, params))
        answers = self.paths[path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            raise requests.ConnectionError("refused")
        response = requests.Response()
        response.status_code, content = answer
        response._content = content if isinstance(content, bytes) else json.dumps(content).encode()
        return response


HAY = solr.Solr("http://127.0.0.1:9/", "hay")
UP: Any = (200, {"status": "OK"})
LOADING: Any = (503, {})
NO_FAILURE: Any = (200, {"initFailures": {}, "status": {"straw": {}}})


def test_wait_ready_until_the_core_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch, ping=[None, LOADING, (404, b""), UP], cores=[None, NO_FAILURE])
    HAY.wait_ready(60, lambda: True)
    assert len([path for path, _ in web.asked if path.endswith("ping")]) == 4


def test_wait_ready_raises_where_the_server_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    Web(monkeypatch)
    lives = iter([True, True, False])
    with pytest.raises(ServiceError, match="ended before its core hay answered"):
        HAY.wait_ready(1e9, lambda: next(lives))


def test_wait_ready_raises_with_solr_s_reason_for_a_core_that_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Web(monkeypatch, ping=[LOADING], cores=[(200, {"initFailures": {"hay": "no such field type"}})])
    with pytest.raises(solr.CoreFailedError, match="cannot open the core hay: no such field type"):
        HAY.wait_ready(1e9, lambda: True)


def test_find_failure_has_all_that_solr_says(monkeypatch: pytest.MonkeyPatch) -> None:
    told = (500, {"error": {"msg": "outer", "trace": "a.Outer: outer\nCaused by: a.Inner: inner"}})
    Web(monkeypatch, ping=[told], cores=[(200, {"initFailures": {"hay": "outer"}, "status": {}})])
    found = HAY.find_failure()
    assert found
    assert found.trace.endswith("Caused by: a.Inner: inner")
    assert not found.is_loaded


@pytest.mark.parametrize("trace", [{}, {"trace": ""}])
def test_find_failure_of_a_solr_that_shows_no_trace(
    monkeypatch: pytest.MonkeyPatch, trace: dict[str, str]
) -> None:
    told = (500, {"error": {"msg": "SolrCore 'hay' is not available", **trace}})
    Web(monkeypatch, ping=[told], cores=[(200, {"initFailures": {"hay": "outer"}, "status": {}})])
    found = HAY.find_failure()
    assert found
    assert found.trace == "SolrCore 'hay' is not available"


@pytest.mark.parametrize("status", [400, 500])
def test_find_failure_of_a_loaded_core_by_its_ping(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    told = (status, {"error": {"msg": "undefined field x"}})
    Web(monkeypatch, ping=[told], cores=[(200, {"initFailures": {}, "status": {"hay": {}}})])
    found = HAY.find_failure()
    assert found
    assert found.is_loaded
    assert found.message == "Solr's core hay fails its ping: undefined field x"


@pytest.mark.parametrize(
    ("ping", "cores"),
    [
        (None, None),  # nothing listens yet
        (LOADING, (503, b"")),
        ((404, b""), NO_FAILURE),  # not loaded yet
        ((500, {"error": {"msg": "of another core"}}), NO_FAILURE),
        ((503, {"error": {"msg": "Service disabled"}}), (200, {"initFailures": {}, "status": {"hay": {}}})),
        (UP, (200, {"initFailures": {"straw": "outer"}, "status": {"hay": {}}})),
    ],
)
def test_find_failure_finds_none_before_it_is_decided(
    monkeypatch: pytest.MonkeyPatch, ping: Any, cores: Any
) -> None:
    Web(monkeypatch, ping=[ping], cores=[cores])
    assert HAY.find_failure() is None


CLOSED: Any = (401, b"")
NOT_OPENED = [
    "error-class",
    "org.apache.solr.core.SolrCoreInitializationException",
    "root-error-class",
    "a.B",
]


@pytest.mark.parametrize(
    ("metadata", "is_loaded"), [(NOT_OPENED, False), (["error-class", "a.B"], True), (None, True)]
)
def test_find_failure_of_a_solr_that_lists_no_cores(
    monkeypatch: pytest.MonkeyPatch, metadata: list[str] | None, *, is_loaded: bool
) -> None:
    error = {"msg": "outer", "trace": "a.Outer: outer", **({"metadata": metadata} if metadata else {})}
    Web(monkeypatch, ping=[(500, {"error": error})], cores=[CLOSED])
    found = HAY.find_failure()
    assert found
    assert (found.trace, found.is_loaded) == ("a.Outer: outer", is_loaded)


@pytest.mark.parametrize("ping", [None, LOADING, (404, b""), UP, CLOSED])
def test_find_failure_of_a_solr_that_lists_no_cores_finds_none_before_it_is_decided(
    monkeypatch: pytest.MonkeyPatch, ping: Any
) -> None:
    Web(monkeypatch, ping=[ping], cores=[CLOSED])
    assert HAY.find_failure() is None


def test_wait_ready_tells_what_the_ping_answers_where_no_cores_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Web(monkeypatch, ping=[(503, {"error": {"msg": "SolrCore is loading"}})], cores=[CLOSED])
    with pytest.raises(ServiceError) as caught:
        HAY.wait_ready(0, lambda: True)
    assert caught.value.cause == "its ping answers 503: SolrCore is loading"


def test_wait_ready_tells_what_the_ping_of_a_loaded_core_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    disabled = (503, {"error": {"msg": "Service disabled"}})
    Web(monkeypatch, ping=[disabled], cores=[(200, {"initFailures": {}, "status": {"hay": {}}})])
    with pytest.raises(ServiceError) as caught:
        HAY.wait_ready(0, lambda: True)
    assert caught.value.cause == "its ping answers 503: Service disabled"


def test_wait_ready_is_bounded_and_lists_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    Web(monkeypatch, ping=[(404, b"")], cores=[NO_FAILURE])
    with pytest.raises(ServiceError, match="did not answer within 0 s") as caught:
        HAY.wait_ready(0, lambda: True)
    assert "there are: straw" in caught.value.cause


def test_wait_ready_tells_that_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    Web(monkeypatch)
    with pytest.raises(ServiceError) as caught:
        HAY.wait_ready(0, lambda: True)
    assert "nothing answers" in caught.value.cause


def test_counts_by_value_and_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = ["a.b", 3, "c.d", 1, None, 2]
    Web(monkeypatch, select=[(200, {"facet_counts": {"facet_fields": {"django_ct": flat}}})])
    assert HAY.counts() == {"a.b": 3, "c.d": 1, "": 2}


def test_counts_are_empty_without_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    Web(monkeypatch, select=[(200, {"facet_counts": {"facet_fields": {"django_ct": [None, 0]}}})])
    assert HAY.counts() == {}


def test_optimize_waits_for_one_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(monkeypatch, update=[(200, {})])
    HAY.optimize()
    ((path, parameters),) = web.asked
    assert path == "/solr/hay/update"
    assert parameters["optimize"] == parameters["waitSearcher"] == "true"
    assert parameters["maxSegments"] == "1"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "does not answer at http://127.0.0.1:9/solr/hay/update: refused"),
        ((500, {"error": {"msg": "disk full"}}), "answers 500 at .*: disk full"),
        ((502, b"bad gateway"), "answers 502 at .*: bad gateway"),
        ((200, b"<html>"), "is not Solr"),
    ],
)
def test_optimize_explains_a_failure(monkeypatch: pytest.MonkeyPatch, answer: Any, sentence: str) -> None:
    Web(monkeypatch, update=[answer])
    with pytest.raises(ServiceError, match=sentence):
        HAY.optimize()


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/", "http://h:1/solr", "http://h:1/solr/"])
def test_solr_accepts_a_base_url_with_or_without_solr(base: str) -> None:
    assert solr.Solr(base, "hay").url == "http://h:1/solr"
