"""Which documents are compared with Solr's: a random sample of each model, or all of them."""

from __future__ import annotations

import itertools
import random
from typing import Any, Iterator, NamedTuple, Sequence

from ..documents.site import Partition, Source, split_by_key
from ..options import ALL_DOCUMENTS
from .dependence import depends_on_reading

# Keys of a sample that a worker is given at once.
TASK_KEYS = 100

# Rows of a partition, where every document is compared.
PARTITION_ROWS = 5000


class CompareTask(NamedTuple):
    """What is to be compared: a partition, or just these keys of it."""

    partition: Partition
    keys: tuple[Any, ...] | None = None
    pages: str | None = None  # of Haystack's: "first" or "all"; None where rows are read by key


def random_seed() -> int:
    """Return a seed by chance."""
    return random.SystemRandom().randrange(2**32)


def compare_tasks(sources: Sequence[Source], size: int, seed: int) -> Iterator[CompareTask]:
    """Yield what is to be compared of every index: `size` documents of each (ALL_DOCUMENTS: all).

    The same seed chooses the same documents of the same database.
    """
    for number, source in enumerate(sources):
        dependent = depends_on_reading(source)
        if size == ALL_DOCUMENTS:
            if dependent or source.own_update:
                yield CompareTask(source.whole(), pages="all")
            else:
                yield from _whole_tasks(source)
            continue
        chosen = sample(source.queryset(), size, random.Random(seed + number))  # noqa: S311 - no secret
        # Not in order: those that make room below are any of them.
        keys = tuple(chosen)
        if dependent:
            yield CompareTask(source.whole(), keys, pages="all")
            continue
        # Some of them are always of Haystack's first page, where there are so many.
        first = first_keys(source)
        inside = [key for key in keys if key in first]
        missing = max(0, size // 10 - len(inside))
        spare = [key for key in first if key not in inside]
        if first and len(keys) > len(inside) and missing:
            step = max(1, len(spare) // missing)
            inside += spare[step - 1 :: step][:missing]
        others = [key for key in keys if key not in first][: max(0, len(keys) - len(inside))]
        if inside:
            yield CompareTask(source.whole(), tuple(inside), pages="first")
        for start in range(0, len(others), TASK_KEYS):
            yield CompareTask(source.whole(), tuple(others[start : start + TASK_KEYS]))


def first_keys(source: Source) -> dict[Any, None]:
    """Return the keys of the first page of update_index, in order."""
    keys = source.queryset().order_by("pk").values_list("pk", flat=True)
    return dict.fromkeys(keys[: source.backend.batch_size])


def _whole_tasks(source: Source) -> Iterator[CompareTask]:
    """Yield what compares all rows: the first page as Haystack reads it, the others by key."""
    first = list(first_keys(source))
    if not first:
        return
    yield CompareTask(Partition(source.alias, source.label, until=first[-1]), pages="first")
    for partition in split_by_key(source, lambda: PARTITION_ROWS, first[-1]):
        yield CompareTask(partition)


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
