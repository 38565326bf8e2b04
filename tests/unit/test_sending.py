"""How many documents the loader puts into a request."""

from __future__ import annotations

from haybale.loader.documents.sending import (
    FIRST,
    LEAST,
    MOST,
    REQUEST_BYTES,
    REQUEST_SECONDS,
    BatchSize,
)


def adapted(document: int, speed: float, requests: int = 30) -> BatchSize:
    """Send requests of documents of so many bytes, of which Solr takes `speed` a second."""
    batch_size = BatchSize(0)
    for _ in range(requests):
        # As the sender does: so many, or as many as have the bytes.
        documents = min(batch_size.documents, -(-REQUEST_BYTES // document))
        batch_size.adapt(documents, documents * document, documents / speed)
    return batch_size


def test_batch_size_adapts_to_the_seconds_that_solr_takes() -> None:
    assert adapted(document=100, speed=1000).documents == 1000 * REQUEST_SECONDS
    assert adapted(document=100, speed=5000).documents == 5000 * REQUEST_SECONDS


def test_batch_size_is_bounded_by_bytes() -> None:
    for document in (1300, 10_000, REQUEST_BYTES // LEAST):
        assert 0.9 * REQUEST_BYTES <= adapted(document, speed=1e9).documents * document <= REQUEST_BYTES


def test_batch_size_is_bounded_by_documents() -> None:
    assert adapted(document=1, speed=1e9).documents == MOST
    assert adapted(document=100, speed=0.1).documents == LEAST
    assert adapted(document=2 * REQUEST_BYTES, speed=1e9).documents == LEAST


def test_batch_size_changes_by_a_factor_of_two_at_most() -> None:
    quick, slow = BatchSize(0), BatchSize(0)
    quick.adapt(FIRST, FIRST, 1e-6)
    slow.adapt(FIRST, FIRST, 1e6)
    assert (quick.documents, slow.documents) == (2 * FIRST, FIRST // 2)


def test_batch_size_ignores_the_rest_of_a_partition() -> None:
    batch_size = BatchSize(0)
    batch_size.adapt(1, 1000, 10.0)
    assert batch_size.documents == FIRST


def test_batch_size_stays_where_it_is_fixed() -> None:
    batch_size = BatchSize(700)
    batch_size.adapt(700, 7 * REQUEST_BYTES, 100.0)
    assert batch_size.documents == 700
