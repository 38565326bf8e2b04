"""Solr over HTTP, from the host: wait for a core, count its documents, optimize it."""

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
        try:
            return self._session.get(f"{self.url}/{self.core}/admin/ping", timeout=TIMEOUT).ok
        except requests.RequestException:
            return False

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

        Raises `ServiceError` that says what it was: the core cannot be opened, Solr ended, or it is late.
        """
        end = time.monotonic() + timeout
        while not self.ping():
            cores = self._list_cores()
            failure = (cores or {}).get("initFailures", {}).get(self.core)
            if failure is not None:
                message = f"Solr cannot open the core {self.core}: {failure}"
                raise ServiceError(message, hint="see Solr's log")
            if not is_alive():
                message = f"Solr ended before its core {self.core} answered"
                raise ServiceError(message, hint="see its log")
            if time.monotonic() > end:
                names = ", ".join(sorted((cores or {}).get("status", {}))) or "none"
                found = "nothing answers at all" if cores is None else f"there are: {names}"
                message = f"Solr's core {self.core} did not answer within {timeout:.0f} s"
                raise ServiceError(message, cause=found, hint="see Solr's log")
            time.sleep(PAUSE)

    def _list_cores(self) -> Mapping[str, Any] | None:
        """Return the cores' `status`, and why cores could not be opened; None where nothing answers yet."""
        try:
            parameters = {"action": "STATUS", "indexInfo": "false"}
            response = self._session.get(f"{self.url}/admin/cores", params=parameters, timeout=TIMEOUT)
            return dict(response.json()) if response.ok else None
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


def _error_text(response: requests.Response) -> str:
    try:
        return str(response.json()["error"]["msg"])
    except (requests.RequestException, KeyError, TypeError):
        return response.text[:200]
