"""The corpus: a database of made-up notes, the same ones for the same size every time.

Words follow Zipf's law, as those of a language do: Solr gets as many different terms as from real texts.
"""

from __future__ import annotations

import csv
import itertools
import random
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 2026
VOCABULARY = 40_000

# Words of a note's body: a document of about 1.3 KB then, as it is sent to Solr.
BODY = 135

# `time` is the database's own type of a time.
TABLE = """
CREATE TABLE notes_note (
    id integer PRIMARY KEY, title varchar(200) NOT NULL, author varchar(100) NOT NULL,
    body text NOT NULL, created {time} NOT NULL, rating integer NOT NULL
)
"""

Note = tuple[int, str, str, str, str, int]


def make_notes(size: int) -> Iterator[Note]:
    """Yield the rows: key, title, author, body, time of creation, rating."""
    chance = random.Random(SEED)  # noqa: S311 - a corpus, not a secret
    vocabulary = sorted({_word(chance) for _ in range(VOCABULARY)})
    chance.shuffle(vocabulary)
    weights = list(itertools.accumulate(1 / (rank + 2) ** 0.95 for rank in range(len(vocabulary))))

    def words(number: int) -> str:
        return " ".join(chance.choices(vocabulary, cum_weights=weights, k=number))

    for key in range(1, size + 1):
        created = f"{2000 + key % 25}-{key % 12 + 1:02}-{key % 28 + 1:02} {key % 24:02}:{key % 60:02}:00"
        yield key, words(6).capitalize(), words(2).title(), words(BODY), created, key % 10


def _word(chance: random.Random) -> str:
    syllables = (
        chance.choice("bcdfghklmnprstvw") + chance.choice("aeiou") for _ in range(chance.randint(1, 4))
    )
    return "".join(syllables) + chance.choice(["", "s", "ing", "ed", "n", "r"])


def write_rows(file: Path, size: int) -> None:
    """Write the rows alone, as CSV (RFC 4180), for another database to take."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(make_notes(size))


def write_sqlite(file: Path, size: int) -> None:
    """Write the database."""
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode = OFF")
    with database:
        database.execute(TABLE.format(time="datetime"))
        database.executemany("INSERT INTO notes_note VALUES (?, ?, ?, ?, ?, ?)", make_notes(size))
    database.close()
    file.chmod(0o644)
