"""A Solr backend with an `update` of its own, as sites with several languages have it."""

from typing import Any

from django.utils import translation
from haystack.backends.solr_backend import SolrEngine, SolrSearchBackend


class GermanBackend(SolrSearchBackend):
    """Indexes in German."""

    def update(self, index: Any, iterable: Any, commit: bool = True) -> None:
        """Activate the language, and never leave it."""
        translation.activate("de")
        super().update(index, iterable, commit=commit)


class GermanEngine(SolrEngine):
    """Has the backend."""

    backend = GermanBackend
