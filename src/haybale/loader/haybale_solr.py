"""The site's Solr core over HTTP, with the standard library only. One connection, kept alive.

A lost connection and 503 are tried again a bounded number of times; that is safe because the same
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

from haybale_events import Failure, summary

# Seconds before each further try; the first comes at once, for a server may close an idle connection.
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)

# Seconds that an answer may take: an update waits for a merge of segments now and then, a commit for all.
ANSWER = 300
COMMIT = 3600

BUSY = (502, 503, 504)
BAD_REQUEST = 400
CAUSES = {
    401: "the Haystack connection's user and password are missing or wrong",
    403: "the Haystack connection's user may not do that",
    404: "the core of the Haystack connection's URL does not exist, or lacks this handler",
    413: "the request is larger than Solr, or a proxy before it, accepts: choose smaller batches",
}


class Refused(Failure):
    """Solr answered with an error: HTTP status and Solr's own reason."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(
            "Solr ({}) answers {}: {}".format(url, status, reason),
            cause=CAUSES.get(status, "see Solr's log"),
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
        self._headers = {"Accept": "application/json", **_authorization(parts, options.get("auth"))}
        self._connection = _connection(parts, options.get("verify", True))
        self.started = ""  # when the core was started, once that is known
        self._lost = False
        self.answered = 0  # bytes of the last answer

    def require_empty(self) -> None:
        """Make sure that the core answers and holds nothing; remember which run of Solr that is."""
        found = self.select({"q": "*:*", "rows": "0"})["response"]["numFound"]
        if found:
            raise Failure(
                "the core {} is not empty: it holds {} documents".format(self.name, found),
                cause="an index is loaded into a fresh core only, or what is left of an older one would stay",
                step="start Solr with an empty core and load again",
            )
        self.started = self._start()

    def update(self, body: bytes) -> None:
        """Add documents (JSON); does not commit. Raises `Refused`."""
        self._json("POST", "/update?wt=json", body, "application/json", ANSWER)

    def commit(self) -> None:
        """Commit and wait until a searcher sees it."""
        query = "/update?wt=json&commit=true&waitSearcher=true&openSearcher=true"
        self._json("POST", query, b"[]", "application/json", COMMIT)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._connection.close()

    def select(self, parameters: Mapping[str, str]) -> Any:
        """Return the answer to a query. Sent by POST: a list of ids is too long for a URL."""
        query = urlencode({"defType": "lucene", "wt": "json", "indent": "off", **parameters}).encode()
        return self._json("POST", "/select", query, "application/x-www-form-urlencoded", ANSWER)

    def schema(self, part: str) -> Any:
        """Return a part of the schema (fields, dynamicfields, fieldtypes, copyfields, uniquekey) in full."""
        return self._json("GET", "/schema/{}?wt=json&showDefaults=true".format(part), None, "", ANSWER)

    def counts(self, field: str) -> tuple[int, dict[str, int]]:
        """Return the number of all documents, and of each value of a field ("" where it has none)."""
        query = {"q": "*:*", "rows": "0", "facet": "true", "facet.field": field}
        query.update({"facet.limit": "-1", "facet.mincount": "1", "facet.missing": "true"})
        answer = self.select(query)
        flat = answer["facet_counts"]["facet_fields"][field]
        pairs = zip(flat[::2], flat[1::2])  # noqa: B905 - Python 3.9
        return answer["response"]["numFound"], {name or "": number for name, number in pairs if number}

    def _json(self, method: str, path: str, body: bytes | None, kind: str, timeout: float) -> Any:
        """Return the decoded answer, with further tries. Raises `Refused`, or `Failure` after the last."""
        problem = ""
        for pause in (None, *PAUSES):
            if pause is not None:
                time.sleep(pause)
            try:
                if self._lost and self.started and self._start() != self.started:
                    raise _restarted(self.name)
                status, answer = self._exchange(method, path, body, kind, timeout)
            except socket.timeout as error:
                self._connection.close()
                raise Failure(
                    "Solr ({}) did not answer within {} s".format(self.url, timeout),
                    cause="it is overloaded, out of memory or stuck",
                    step="look at its log",
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                self._lost = True
                problem = summary(error)
                continue
            if status in BUSY:
                problem = "HTTP {}: {}".format(status, reason(answer))
                continue
            self._lost = False
            if status >= BAD_REQUEST:
                raise Refused(self.url, status, reason(answer))
            return json.loads(answer)
        raise Failure(
            "Solr ({}) is not there, after {} tries: {}".format(self.url, len(PAUSES) + 1, problem),
            cause="it ended (out of memory?), or the URL of the site's Haystack connection is wrong",
            step="look at Solr's log and exit code",
        )

    def _exchange(
        self, method: str, path: str, body: bytes | None, kind: str, timeout: float
    ) -> tuple[int, bytes]:
        connection = self._connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        headers = {**self._headers, "Content-Type": kind} if kind else self._headers
        connection.request(method, self._path + path, body=body, headers=headers)
        response = connection.getresponse()
        answer = response.read()
        self.answered = len(answer)
        return response.status, answer

    def _start(self) -> str:
        """Return when the core was started; "" where Solr does not tell."""
        status, answer = self._exchange("GET", "/admin/system?wt=json", None, "", ANSWER)
        if status in BUSY:
            raise http.client.HTTPException("HTTP {}: {}".format(status, reason(answer)))
        if status >= BAD_REQUEST:
            return ""
        return str(json.loads(answer).get("core", {}).get("start", ""))


def reason(answer: bytes) -> str:
    """Return what Solr says in an error's body: the message of its JSON, else the beginning of its text."""
    try:
        error = json.loads(answer)["error"]
        return str(error.get("msg") or error["trace"].splitlines()[0])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        words = re.sub(r"<[^>]*>|\s+", " ", answer.decode("utf-8", "replace"))
        return " ".join(words.split())[:500]


def sift(core: Core, batch: Sequence[bytes]) -> Iterator[tuple[int, Refused]]:
    """Send a batch that was refused again, in halves, until each document is accepted or refused.

    `batch` holds encoded documents. Yields (position, Solr's answer) of the refused ones; none where both
    halves go through by themselves.
    """
    left = [(0, len(batch))]
    while left:
        first, last = left.pop()
        try:
            core.update(b"[" + b",".join(batch[first:last]) + b"]")
        except Refused as refused:
            if refused.status != BAD_REQUEST:
                raise
            if last - first == 1:
                yield first, refused
                continue
            middle = (first + last) // 2
            left += [(middle, last), (first, middle)]


def _restarted(name: str) -> Failure:
    return Failure(
        "Solr was started again while the core {} was loaded".format(name),
        cause="it was killed or ended (out of memory?); documents that it had not committed are lost",
        step="look at its log, give it more memory (index.heap) and load again",
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
            step="give user and password as a pair while indexing",
        )
    token = base64.b64encode("{}:{}".format(*auth).encode()).decode()
    return {"Authorization": "Basic " + token}


def _connection(parts: Any, verify: Any) -> http.client.HTTPConnection:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Failure(
            "the Haystack connection's URL is no URL of a Solr core: {!r}".format(
                parts.geturl().rpartition("@")[2]
            ),
            step="give it as http://HOST:8983/solr/CORE",
        )
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port)
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(parts.hostname, parts.port, context=context)
