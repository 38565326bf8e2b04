"""A Solr backend with an `update` of its own, as sites with several languages have it."""

from typing import Any

import pysolr
from django.utils import translation
from haystack.backends.solr_backend import SolrEngine, SolrSearchBackend

from barn.faults import FAULT


class GermanBackend(SolrSearchBackend):
    """Indexes in German."""

    def update(self, index: Any, iterable: Any, commit: bool = True) -> None:
        """Activate the language, and never leave it."""
        translation.activate("de")
        super().update(index, iterable, commit=commit)


class GermanEngine(SolrEngine):
    """Has the backend."""

    backend = GermanBackend


class Client(pysolr.Solr):
    """Adds a field to each document."""

    def add(self, docs: Any, *args: Any, **options: Any) -> Any:
        """Add them."""
        return super().add([{**each, "note_s": "by the client"} for each in docs], *args, **options)


class EncodingClient(pysolr.Solr):
    """Has values of its own."""

    def _from_python(self, value: Any) -> Any:
        return str(super()._from_python(value)).upper()


class ClientBackend(SolrSearchBackend):
    """Has a client of its own."""

    def __init__(self, alias: str, **options: Any) -> None:
        super().__init__(alias, **options)
        if FAULT == "own-url":
            options["URL"] += "_de"
        kind = Client if FAULT == "own-client" else EncodingClient
        self.conn = kind(options["URL"], timeout=self.timeout, **options.get("KWARGS", {}))


class ClientEngine(SolrEngine):
    """Has the backend."""

    backend = ClientBackend


class AskingBackend(SolrSearchBackend):
    """Asks Solr while it updates, or adds by the method that its client had before."""

    def __init__(self, alias: str, **options: Any) -> None:
        super().__init__(alias, **options)
        self._add = self.conn.add

    def update(self, index: Any, iterable: Any, commit: bool = True) -> None:
        """Update."""
        if FAULT == "asking":
            self.conn.search("*:*")
            super().update(index, iterable, commit=commit)
        else:
            self._add([index.full_prepare(row) for row in iterable], commit=commit)


class AskingEngine(SolrEngine):
    """Has the backend."""

    backend = AskingBackend
