"""Which documents are compared with Solr's: a random sample of each model, or all of them."""

from __future__ import annotations

import itertools
import random
from typing import Any, Iterator, NamedTuple, Sequence

from ..documents.site import Partition, Source, split_by_key
from ..options import ALL_DOCUMENTS

# Keys of a sample that a worker is given at once.
TASK_KEYS = 100

# Rows of a partition, where every document is compared.
PARTITION_ROWS = 5000


class CompareTask(NamedTuple):
    """What is to be compared: a partition, or just these keys of it."""

    partition: Partition
    keys: tuple[Any, ...] | None = None


def random_seed() -> int:
    """Return a seed by chance."""
    return random.SystemRandom().randrange(2**32)


def compare_tasks(sources: Sequence[Source], size: int, seed: int) -> Iterator[CompareTask]:
    """Yield what is to be compared of every index: `size` documents of each (ALL_DOCUMENTS: all).

    The same seed chooses the same documents of the same database.
    """
    for number, source in enumerate(sources):
        if size == ALL_DOCUMENTS:
            yield from (CompareTask(partition) for partition in split_by_key(source, lambda: PARTITION_ROWS))
            continue
        keys = sample(source.queryset(), size, random.Random(seed + number))  # noqa: S311 - no secret
        for start in range(0, len(keys), TASK_KEYS):
            yield CompareTask(source.whole(), tuple(keys[start : start + TASK_KEYS]))


def sample(queryset: Any, size: int, chance: random.Random) -> list[Any]:
    """Return `size` keys by chance (all where there are fewer), reading every key once, in bounded memory.

    Reservoir sampling, Algorithm R (J. Vitter, Random Sampling with a Reservoir, 1985).
    """
    chosen: list[Any] = []
    keys = queryset.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=10_000)
    # A join may repeat a key, one after the other in this order.
    for number, (key, _) in enumerate(itertools.groupby(keys)):
        if number < size:
            chosen.append(key)
        else:
            place = chance.randint(0, number)
            if place < size:
                chosen[place] = key
    return chosen
