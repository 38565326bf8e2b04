"""The site's Solr core over HTTP, with the standard library only. One connection, kept alive.

Requests are retried a bounded number of times after a lost connection or a 503; that is safe because the same
document has the same id, so sending it twice changes nothing.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import ssl
import time
from typing import Any, Iterator, Mapping, Sequence
from urllib.parse import unquote, urlencode, urlsplit

from ..events import Failure, summarize
from .encoding import update_body

# Seconds before each retry; the first comes at once, for a server may close an idle connection.
RETRY_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0)

# Seconds that an answer may take: an update waits for a merge of segments now and then, a commit for all.
ANSWER_TIMEOUT = 300
COMMIT_TIMEOUT = 3600

JSON = "application/json"

BUSY = (502, 503, 504)
BAD_REQUEST = 400
CAUSES = {
    401: "the Haystack connection's user and password are missing or wrong",
    403: "the Haystack connection's user may not do that",
    404: "the core of the Haystack connection's URL does not exist, or lacks this handler",
    413: "the request is larger than Solr, or a proxy before it, accepts: choose smaller batches",
}


class SolrError(Failure):
    """Solr answered with an error: HTTP status and Solr's own reason."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(
            "Solr ({}) answers {}: {}".format(url, status, reason),
            cause=CAUSES.get(status, "that is Solr's own reason"),
            hint="see Solr's log for more of it",
        )
        self.status = status
        self.reason = reason


class Core:
    """A Solr core as a Haystack connection names it (its URL and KWARGS, see pysolr's `Solr`)."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        parts = urlsplit(url)
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self.name = self.url.rpartition("/")[2]
        self._path = parts.path.rstrip("/")
        self._headers = {"Accept": JSON, **_authorization(parts, options.get("auth"))}
        self._connection = _connection(parts, options.get("verify", True))
        self.start_time: str | None = None  # of the core, once that is known
        self._connection_lost = False
        self.answer_size = 0  # bytes of the last answer

    def require_empty(self) -> None:
        """Make sure that the core answers and holds nothing; remember which run of Solr that is."""
        found = self.select({"q": "*:*", "rows": "0"})["response"]["numFound"]
        if found:
            raise Failure(
                "the core {} is not empty: it holds {} documents".format(self.name, found),
                cause="an index is loaded into a fresh core only, or what is left of an older one would stay",
                hint="start Solr with an empty core and load again",
            )
        self.start_time = self._read_start_time()

    def update(self, body: bytes) -> None:
        """Add documents (JSON); does not commit. Raises `SolrError`."""
        self._request("/update?wt=json", body, JSON)

    def commit(self) -> None:
        """Commit and wait until a searcher sees it."""
        query = "/update?wt=json&commit=true&waitSearcher=true&openSearcher=true"
        self._request(query, b"[]", JSON, COMMIT_TIMEOUT)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    def select(self, parameters: Mapping[str, str]) -> Any:
        """Return the answer to a query. Sent by POST: a list of ids is too long for a URL."""
        query = urlencode({"defType": "lucene", "wt": "json", "indent": "off", **parameters}).encode()
        return self._request("/select", query, "application/x-www-form-urlencoded")

    def schema_part(self, part: str) -> Any:
        """Return a part of the schema (fields, dynamicfields, fieldtypes, copyfields, uniquekey) in full."""
        return self._request("/schema/{}?wt=json&showDefaults=true".format(part))

    def count_by(self, field: str) -> tuple[int, dict[str, int]]:
        """Return the number of all documents, and of each value of a field ("" where it has none)."""
        query = {"q": "*:*", "rows": "0", "facet": "true", "facet.field": field}
        query.update({"facet.limit": "-1", "facet.mincount": "1", "facet.missing": "true"})
        answer = self.select(query)
        flat = answer["facet_counts"]["facet_fields"][field]
        pairs = zip(flat[::2], flat[1::2])
        return answer["response"]["numFound"], {name or "": number for name, number in pairs if number}

    def _request(
        self,
        path: str,
        body: bytes | None = None,
        content_type: str | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> Any:
        """Return the decoded answer, with retries. Raises `SolrError`, or `Failure` after the last."""
        method = "GET" if body is None else "POST"
        problem = ""
        for delay in (None, *RETRY_DELAYS):
            if delay is not None:
                time.sleep(delay)
            try:
                if self._connection_lost and self.start_time and self._read_start_time() != self.start_time:
                    raise _restarted(self.name)
                status, answer = self._exchange(method, path, body, content_type, timeout)
            except socket.timeout as error:
                self._connection.close()
                raise Failure(
                    "Solr ({}) did not answer within {} s".format(self.url, timeout),
                    cause="it took the request, and sent no answer in that time",
                    hint="see in its log what it did meanwhile",
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                self._connection_lost = True
                problem = summarize(error)
                continue
            if status in BUSY:
                problem = "HTTP {}: {}".format(status, error_message(answer))
                continue
            self._connection_lost = False
            if status >= BAD_REQUEST:
                raise SolrError(self.url, status, error_message(answer))
            return json.loads(answer)
        raise Failure(
            "Solr ({}) is not there, after {} tries: {}".format(self.url, len(RETRY_DELAYS) + 1, problem),
            cause="that is what came of the last request to the URL of the site's Haystack connection",
            hint="correct HAYSTACK_CONNECTIONS where it has another address; else see Solr's log",
        )

    def _exchange(
        self, method: str, path: str, body: bytes | None, content_type: str | None, timeout: float
    ) -> tuple[int, bytes]:
        connection = self._connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        headers = {**self._headers, "Content-Type": content_type} if content_type else self._headers
        connection.request(method, self._path + path, body=body, headers=headers)
        response = connection.getresponse()
        answer = response.read()
        self.answer_size = len(answer)
        return response.status, answer

    def _read_start_time(self) -> str | None:
        """Return when the core was started; None where Solr does not say."""
        status, answer = self._exchange("GET", "/admin/system?wt=json", None, None, ANSWER_TIMEOUT)
        if status in BUSY:
            raise http.client.HTTPException("HTTP {}: {}".format(status, error_message(answer)))
        if status >= BAD_REQUEST:
            return None
        start: str | None = json.loads(answer).get("core", {}).get("start")
        return start


def error_message(answer: bytes) -> str:
    """Return what Solr says in an error's body: the message of its JSON, else the beginning of its text."""
    try:
        error = json.loads(answer)["error"]
        return str(error.get("msg") or error["trace"].splitlines()[0])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        words = re.sub(r"<[^>]*>|\s+", " ", answer.decode("utf-8", "replace"))
        return " ".join(words.split())[:500]


def resend_in_halves(core: Core, batch: Sequence[bytes]) -> Iterator[tuple[int, SolrError]]:
    """Send a batch that was refused again, in halves, until each document is accepted or refused.

    `batch` holds encoded documents. Yields (position, Solr's answer) of the refused ones; none where both
    halves go through by themselves.
    """
    ranges = [(0, len(batch))]
    while ranges:
        first, last = ranges.pop()
        try:
            core.update(update_body(batch[first:last]))
        except SolrError as error:
            if error.status != BAD_REQUEST:
                raise
            if last - first == 1:
                yield first, error
                continue
            middle = (first + last) // 2
            ranges += [(middle, last), (first, middle)]


def _restarted(core: str) -> Failure:
    return Failure(
        "Solr was started again while the core {} was loaded".format(core),
        cause="its core names another time of its start; documents that were not committed are lost",
        hint="see in its log why it ended, and load again",
    )


def _authorization(parts: Any, auth: Any) -> dict[str, str]:
    """Return the header for user and password, from the URL or pysolr's `auth` (a pair, or of requests)."""
    if parts.username is not None:
        auth = (unquote(parts.username), unquote(parts.password or ""))
    elif hasattr(auth, "username"):
        auth = (auth.username, auth.password)
    if not auth:
        return {}
    if not (isinstance(auth, (tuple, list)) and len(auth) == 2):  # noqa: PLR2004 - a pair
        raise Failure(
            "the Haystack connection's KWARGS['auth'] is neither a pair nor basic authentication",
            hint="give user and password as a pair while indexing",
        )
    token = base64.b64encode("{}:{}".format(*auth).encode()).decode()
    return {"Authorization": "Basic " + token}


def _connection(parts: Any, verify: Any) -> http.client.HTTPConnection:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        without_password = parts.geturl().rpartition("@")[2]
        raise Failure(
            "the Haystack connection's URL is no URL of a Solr core: {!r}".format(without_password),
            hint="give it as http://HOST:8983/solr/CORE",
        )
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port)
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
