"""Send documents to a core in batches. While Solr indexes one, the next one is being prepared."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from .encoding import update_body
from .solr import BAD_REQUEST, Core, SolrError, resend_in_halves

if TYPE_CHECKING:
    from .site import Source

# Bytes of a request, about: more make it no quicker, and a worker holds two of them.
REQUEST_BYTES = 1_000_000

# Seconds that Solr's answer to a request should take. Requests are then few enough to cost nothing, and short
# enough for the first documents to be on their way at once and the last ones to end together.
REQUEST_SECONDS = 0.3

# Documents a request, at first and at the least and most.
FIRST, LEAST, MOST = 100, 20, 5000


class EncodedDocument(NamedTuple):
    """A document on its way: of which row, and its JSON."""

    source: Source
    key: Any
    data: bytes


class BatchSize:
    """How many documents go into a request: those that Solr takes in `REQUEST_SECONDS`, or `fixed` ones.

    They have `REQUEST_BYTES` at most. As many rows are read at once, so this bounds what a worker holds,
    however large the documents are.
    """

    def __init__(self, fixed: int) -> None:
        self._fixed = fixed
        self.documents = fixed or FIRST

    def adapt(self, documents: int, size: int, seconds: float) -> None:
        """Learn from a request of `size` bytes; at most twice or half as many the next time."""
        if self._fixed or (documents < self.documents and size < REQUEST_BYTES):
            return
        fitting = int(documents * min(REQUEST_SECONDS / max(seconds, 0.001), REQUEST_BYTES / size))
        self.documents = max(LEAST, min(MOST, max(documents // 2, min(documents * 2, fitting))))


class Sender:
    """Sends batches to a core, one at a time; `refused` is called for each document that Solr refuses."""

    def __init__(
        self, core: Core, batch_size: BatchSize, refused: Callable[[EncodedDocument, str], None]
    ) -> None:
        self._core = core
        self._batch_size = batch_size
        self._refused = refused
        self._thread = ThreadPoolExecutor(1)
        self._in_flight: tuple[list[EncodedDocument], Future[None]] | None = None
        self._batch: list[EncodedDocument] = []
        self._bytes = 0

    def add(self, document: EncodedDocument) -> None:
        """Take a document; sends when there are enough."""
        self._batch.append(document)
        self._bytes += len(document.data)
        if len(self._batch) >= self._batch_size.documents or self._bytes >= REQUEST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what there is, once the batch before is answered."""
        batch, self._batch, self._bytes = self._batch, [], 0
        self._wait()
        if batch:
            self._in_flight = (batch, self._thread.submit(self._send, batch))

    def close(self) -> None:
        """Send the rest, wait for it and close the connection."""
        self.flush()
        self._wait()
        self._thread.shutdown()
        self._core.close()

    def _wait(self) -> None:
        """Wait for the batch that is on its way."""
        if self._in_flight is None:
            return
        batch, answer = self._in_flight
        self._in_flight = None
        try:
            answer.result()
        except SolrError as error:
            if error.status != BAD_REQUEST:
                raise
            for position, each in resend_in_halves(self._core, [document.data for document in batch]):
                self._refused(batch[position], each.reason)

    def _send(self, batch: list[EncodedDocument]) -> None:
        body = update_body(document.data for document in batch)
        started = time.perf_counter()
        self._core.update(body)
        self._batch_size.adapt(len(batch), len(body), time.perf_counter() - started)
