"""Solr over HTTP, from the host: wait for a core, why it fails, count its documents, optimize it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import requests

from haybale.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds that a request may take, and a rewrite of the whole index.
TIMEOUT = 30
REWRITE_TIMEOUT = 3600

# Seconds between two pings of a Solr that starts.
PAUSE = 0.1

# What a loaded core's ping answers where its configuration is wrong. 503 is one that is taken out of service,
# 404 one that is not there (yet).
FAILED_PING = (400, 500)

# What a Solr answers that does not tell everybody which cores it has.
CLOSED = (401, 403)
# The class of the error that a core answers with which cannot be opened (org.apache.solr.core).
NOT_OPENED = "SolrCoreInitializationException"


class CoreFailedError(ServiceError):
    """Solr cannot open a core, or the core fails its ping.

    `trace` is all that Solr says of it: Java's stack trace, or the outermost message alone where Solr is set
    up to show no traces.
    """

    def __init__(self, core: str, trace: str, *, is_loaded: bool) -> None:
        said = trace.partition("\n")[0]
        message = f"Solr's core {core} fails its ping" if is_loaded else f"Solr cannot open the core {core}"
        super().__init__(f"{message}: {said}", hint="see Solr's log", log=trace)
        self.core, self.trace, self.is_loaded = core, trace, is_loaded


class Solr:
    """A core of a Solr server at `base_url` (http://HOST:PORT)."""

    def __init__(self, base_url: str, core: str) -> None:
        self.url = base_url.rstrip("/").removesuffix("/solr") + "/solr"
        self.core = core
        # It is on this machine: no proxy, and no login of a .netrc.
        self._session = requests.Session()
        self._session.trust_env = False

    def ping(self) -> bool:
        """Return whether the core answers its ping; False also where nothing listens yet."""
        answer = self._ask_ping()
        return answer is not None and answer.ok

    def find_failure(self) -> CoreFailedError | None:
        """Return why the core cannot be used; None where it can, or where that is not decided yet.

        Solr says it by its cores' status (initFailures), and why in its answer to any request of that core.
        """
        listed = self._ask_cores()
        if listed is not None and listed.status_code in CLOSED:
            return self._find_failure_by_ping()
        cores = _read_cores(listed)
        if cores is None:
            return None
        failure, is_loaded = (
            cores.get("initFailures", {}).get(self.core),
            self.core in cores.get("status", {}),
        )
        if failure is None and not is_loaded:
            return None
        answer = self._ask_ping()
        if failure is None and (answer is None or answer.status_code not in FAILED_PING):
            return None
        trace = None if answer is None else _error_trace(answer)
        return CoreFailedError(self.core, trace or failure or "not known", is_loaded=failure is None)

    def _find_failure_by_ping(self) -> CoreFailedError | None:
        """Return why the core cannot be used, where Solr lists no cores: its own answer says all of it."""
        answer = self._ask_ping()
        if answer is None or answer.status_code not in FAILED_PING:
            return None
        is_loaded = not any(each.endswith(NOT_OPENED) for each in _error_classes(answer))
        return CoreFailedError(self.core, _error_trace(answer) or "not known", is_loaded=is_loaded)

    def request(self, path: str, parameters: Mapping[str, str], body: str | None = None) -> int:
        """Return the status that a request of the server (a path from behind /solr) is answered with.

        With a `body`, of JSON, it is a POST. Raises `ServiceError` where nothing answers.
        """
        url, method = f"{self.url}{path}", "GET" if body is None else "POST"
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._session.request(
                method, url, params=parameters, data=body, headers=headers, timeout=TIMEOUT
            )
        except requests.RequestException as error:
            raise ServiceError(f"Solr does not answer at {url}: {error}", hint="see its log") from error
        return answer.status_code

    def counts(self) -> dict[str, int]:
        """Return the number of documents for each Django model (django_ct), "" for those without one.

        Raises `ServiceError` where Solr does not answer.
        """
        parameters = {
            "q": "*:*", "rows": "0", "facet": "true", "facet.field": "django_ct",
            "facet.limit": "-1", "facet.mincount": "1", "facet.missing": "true", "json.nl": "flat",
        }  # fmt: skip
        found = self._get("/select", parameters, TIMEOUT)
        flat = found["facet_counts"]["facet_fields"]["django_ct"]
        return {name or "": number for name, number in zip(flat[::2], flat[1::2], strict=True) if number}

    def optimize(self) -> None:
        """Rewrite the index into one segment, and wait until that is served. Raises `ServiceError`."""
        parameters = {"optimize": "true", "maxSegments": "1", "waitSearcher": "true"}
        self._get("/update", parameters, REWRITE_TIMEOUT)

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None:
        """Wait until the core answers: up to `timeout` seconds, and while `is_alive()` (its container runs).

        Raises `CoreFailedError` where the core cannot be opened, `ServiceError` where Solr ended, or is late.
        """
        end = time.monotonic() + timeout
        while not self.ping():
            failure = self.find_failure()
            if failure is not None:
                raise failure
            if not is_alive():
                message = f"Solr ended before its core {self.core} answered"
                raise ServiceError(message, hint="see its log")
            if time.monotonic() > end:
                message = f"Solr's core {self.core} did not answer within {timeout:.0f} s"
                raise ServiceError(message, cause=self._describe(), hint="see Solr's log")
            time.sleep(PAUSE)

    def _describe(self) -> str:
        """Say what answers in place of the core."""
        listed, answer = self._ask_cores(), self._ask_ping()
        if listed is None:
            return "nothing answers at all"
        cores = _read_cores(listed) or {}
        is_closed = listed.status_code in CLOSED
        if answer is not None and (is_closed or self.core in cores.get("status", {})):
            return f"its ping answers {answer.status_code}: {_error_text(answer)}"
        return f"there are: {', '.join(sorted(cores.get('status', {}))) or 'none'}"

    def _ask_ping(self) -> requests.Response | None:
        """Return the answer to the core's ping; None where nothing listens yet."""
        try:
            return self._session.get(
                f"{self.url}/{self.core}/admin/ping", params={"wt": "json"}, timeout=TIMEOUT
            )
        except requests.RequestException:
            return None

    def _ask_cores(self) -> requests.Response | None:
        """Return what Solr answers when it is asked for its cores; None where nothing listens yet."""
        try:
            parameters = {"action": "STATUS", "indexInfo": "false"}
            return self._session.get(f"{self.url}/admin/cores", params=parameters, timeout=TIMEOUT)
        except requests.RequestException:
            return None

    def _get(self, path: str, parameters: Mapping[str, str], timeout: float) -> Any:
        url = f"{self.url}/{self.core}{path}"
        try:
            response = self._session.get(url, params={**parameters, "wt": "json"}, timeout=timeout)
        except requests.RequestException as error:
            raise ServiceError(f"Solr does not answer at {url}: {error}", hint="see its log") from error
        if not response.ok:
            reason = _error_text(response)
            raise ServiceError(f"Solr answers {response.status_code} at {url}: {reason}", hint="see its log")
        try:
            return response.json()
        except requests.RequestException as error:
            cause = "its answer is not JSON"
            raise ServiceError(f"what answers at {url} is not Solr", cause=cause) from error


def _read_cores(answer: requests.Response | None) -> Mapping[str, Any] | None:
    """Return the cores' `status` and `initFailures`; None where Solr does not tell them yet."""
    try:
        return dict(answer.json()) if answer is not None and answer.ok else None
    except requests.RequestException:
        return None


def _error_classes(response: requests.Response) -> tuple[str, ...]:
    """Return the Java classes of an error, the outermost and the innermost; () where none are told."""
    try:
        return tuple(map(str, response.json()["error"]["metadata"]))
    except (requests.RequestException, KeyError, TypeError):
        return ()


def _error_trace(response: requests.Response) -> str | None:
    """Return Solr's stack trace, else its message; None where it is no answer of Solr's in JSON."""
    try:
        error = response.json()["error"]
        return str(error.get("trace") or error["msg"])
    except (requests.RequestException, KeyError, TypeError, AttributeError):
        return None


def _error_text(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["msg"])
    except (requests.RequestException, KeyError, TypeError):
        return response.text[:200]
