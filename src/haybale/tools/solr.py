"""Solr over HTTP, from the host: is it there, what does it hold, make it compact."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import requests

from haybale.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Seconds that a question may take, and a rewrite of the whole index.
QUESTION = 30
REWRITE = 3600

# Seconds between two looks at a Solr that comes up.
PAUSE = 0.1


class Solr:
    """A core of a Solr server at `base_url` (http://HOST:PORT)."""

    def __init__(self, base_url: str, core: str) -> None:
        self.url = base_url.rstrip("/").removesuffix("/solr") + "/solr"
        self.core = core

    def ping(self) -> bool:
        """Return whether the core answers its ping; False also where nothing listens yet."""
        try:
            return requests.get(f"{self.url}/{self.core}/admin/ping", timeout=QUESTION).ok
        except requests.RequestException:
            return False

    def init_failures(self) -> Mapping[str, str]:
        """Return the cores that could not be opened, and why; empty where nothing answers yet."""
        try:
            answer = requests.get(
                f"{self.url}/admin/cores", params={"action": "STATUS", "indexInfo": "false"}, timeout=QUESTION
            )
            return dict(answer.json().get("initFailures", {})) if answer.ok else {}
        except requests.RequestException:
            return {}

    def counts(self, field: str = "django_ct") -> dict[str, int]:
        """Return the number of documents for each value of a field, "" for documents without it.

        Raises `ServiceError` where Solr does not answer.
        """
        answer = self._ask(
            "/select",
            {
                "q": "*:*", "rows": "0", "facet": "true", "facet.field": field,
                "facet.limit": "-1", "facet.mincount": "1", "facet.missing": "true", "json.nl": "flat",
            },
            QUESTION,
        )  # fmt: skip
        flat = answer["facet_counts"]["facet_fields"][field]
        return {name or "": number for name, number in zip(flat[::2], flat[1::2], strict=True) if number}

    def optimize(self) -> None:
        """Rewrite the index into one segment, and wait until that is served. Raises `ServiceError`."""
        self._ask("/update", {"optimize": "true", "maxSegments": "1", "waitSearcher": "true"}, REWRITE)

    def wait_ready(self, timeout: float, is_alive: Callable[[], bool]) -> None:
        """Wait until the core answers: up to `timeout` seconds, and while `is_alive()` (its container runs).

        Raises `ServiceError` that says what it was: the core cannot be opened, Solr ended, or it is late.
        """
        end = time.monotonic() + timeout
        while not self.ping():
            failures = self.init_failures()
            if self.core in failures:
                raise ServiceError(
                    f"Solr cannot open the core {self.core}: {failures[self.core]}",
                    cause="its configuration is wrong for this Solr, or its index is damaged",
                    hint="look for the reason in Solr's log",
                )
            if not is_alive():
                raise ServiceError(
                    f"Solr ended before its core {self.core} answered",
                    cause="its configuration, its memory, or rights on its folders",
                    hint="see its log",
                )
            if time.monotonic() > end:
                raise ServiceError(
                    f"Solr's core {self.core} did not answer within {timeout:.0f} s",
                    cause="the machine is overloaded, or the core does not exist" + self._cores(),
                    hint="see Solr's log",
                )
            time.sleep(PAUSE)

    def _cores(self) -> str:
        try:
            answer = requests.get(f"{self.url}/admin/cores", params={"indexInfo": "false"}, timeout=QUESTION)
            names = sorted(answer.json()["status"])
        except (requests.RequestException, KeyError):
            return "; nothing answers at all"
        return f"; there are: {', '.join(names) or 'none'}"

    def _ask(self, path: str, parameters: Mapping[str, str], timeout: float) -> Any:
        url = f"{self.url}/{self.core}{path}"
        try:
            answer = requests.get(url, params={**parameters, "wt": "json"}, timeout=timeout)
        except requests.RequestException as error:
            raise ServiceError(
                f"Solr does not answer at {url}: {error}",
                cause="it ended, or is overloaded",
                hint="see its log",
            ) from error
        if not answer.ok:
            raise ServiceError(
                f"Solr answers {answer.status_code} at {url}: {_reason(answer)}", hint="see its log"
            )
        try:
            return answer.json()
        except requests.RequestException as error:
            raise ServiceError(
                f"what answers at {url} is not Solr", cause="another server has that port"
            ) from error


def _reason(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["msg"])
    except (requests.RequestException, KeyError, TypeError):
        return answer.text[:200]
