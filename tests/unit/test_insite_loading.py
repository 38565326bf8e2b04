"""How many documents the loader puts into a request."""

from __future__ import annotations

import sys
from pathlib import Path

import haybale

sys.path.append(str(Path(haybale.__file__).parent / "loader"))

from haybale_loading import ANSWER, BODY, FIRST, LEAST, MOST, Pace


def paced(document: int, speed: float, requests: int = 30) -> Pace:
    """Send requests of documents of so many bytes, of which Solr takes `speed` a second."""
    pace = Pace(0)
    for _ in range(requests):
        # As the sender does: so many, or as many as have the bytes.
        documents = min(pace.size, -(-BODY // document))
        pace.took(documents, documents * document, documents / speed)
    return pace


def test_a_request_takes_solr_the_time_it_should_whatever_solr_s_speed() -> None:
    assert paced(document=100, speed=1000).size == 1000 * ANSWER
    assert paced(document=100, speed=5000).size == 5000 * ANSWER


def test_no_request_has_more_bytes_however_fast_solr_is() -> None:
    for document in (1300, 10_000, BODY // LEAST):
        assert 0.9 * BODY <= paced(document, speed=1e9).size * document <= BODY


def test_it_has_never_more_or_fewer_documents_than_it_may() -> None:
    assert paced(document=1, speed=1e9).size == MOST
    assert paced(document=100, speed=0.1).size == LEAST
    assert paced(document=2 * BODY, speed=1e9).size == LEAST


def test_one_answer_changes_it_by_a_factor_of_two_at_most() -> None:
    quick, slow = Pace(0), Pace(0)
    quick.took(FIRST, FIRST, 1e-6)
    slow.took(FIRST, FIRST, 1e6)
    assert (quick.size, slow.size) == (2 * FIRST, FIRST // 2)


def test_the_rest_of_a_partition_teaches_nothing() -> None:
    pace = Pace(0)
    pace.took(1, 1000, 10.0)
    assert pace.size == FIRST


def test_what_the_user_fixed_stays() -> None:
    pace = Pace(700)
    pace.took(700, 7 * BODY, 100.0)
    assert pace.size == 700
