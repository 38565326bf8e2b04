"""Run a backend's `update` as update_index does, and take the documents that it gives to pysolr.

A site's backend may have an `update` of its own: it activates the language of its connection, say. Whatever
it does, its documents go through pysolr's `add`; here they are taken from there, and nothing is sent.
"""

from __future__ import annotations

import contextlib
from typing import Any, Iterable, Iterator, Mapping

import pysolr
from django.utils import translation
from haystack.backends import solr_backend
from haystack.constants import ID

from ..events import Failure
from .client_methods import changed_methods, is_from
from .encoding import build_document

# What is replaced in pysolr's own class while an `update` runs: what the site put there would be lost.
TAKEN = ("add", "delete", "commit", "optimize")


def has_own_update(alias: str, backend: Any) -> bool:
    """Return whether documents are sent otherwise than by Haystack's own `update`. Raises `Failure`."""
    client = getattr(backend, "conn", None)
    changed = changed_methods(client, pysolr)
    changed += [name for name in TAKEN if not is_from(pysolr, getattr(pysolr.Solr, name))]
    if not isinstance(client, pysolr.Solr) or changed:
        raise Failure(
            "connection {}: {}.conn is a {} that sends documents in a way of its own{}".format(
                alias,
                type(backend).__name__,
                type(client).__name__,
                " ({})".format(", ".join(changed)) if changed else "",
            ),
            cause="the loader takes documents where they are given to pysolr's own Solr.add",
            hint="change documents in the backend's `update`, in `add`, or in the index's `prepare`",
        )
    return not (is_from(solr_backend, backend.update) and is_from(pysolr, client.add))


def is_followed(alias: str, backend: Any, url: str) -> bool:
    """Return whether a connection is Solr's, by Haystack's backend or one made of it; `url` is its setting.

    Raises `Failure` for one that writes into Solr in another way.
    """
    client = getattr(backend, "conn", None)
    if not isinstance(backend, solr_backend.SolrSearchBackend):
        if isinstance(client, pysolr.Solr):
            raise _not_followed(alias, backend, "is not made of Haystack's SolrSearchBackend")
        return False
    if isinstance(client, pysolr.Solr) and client.url.rstrip("/") != url.rstrip("/"):
        core = client.url.rstrip("/").rpartition("/")[2]
        raise _not_followed(alias, backend, "writes into another core than its URL names: " + core)
    return True


def updated_documents(alias: str, backend: Any, index: Any, rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the documents that the backend's `update` makes of rows (see build_document), each id once.

    Raises what the site's code raises, and `Failure` for what cannot be followed.
    """
    documents: dict[str, dict[str, Any]] = {}

    def add(solr: Any, docs: Iterable[Mapping[str, Any]], *args: Any, **options: Any) -> None:
        if solr.url != backend.conn.url:
            raise _not_followed(alias, backend, "updates another core: " + solr.url.rpartition("/")[2])
        # The second positional argument behind the documents is `fieldUpdates`.
        if options.get("fieldUpdates") or any(args[1:2]) or options.get("handler", "update") != "update":
            raise _not_followed(alias, backend, "updates fields or uses another handler")
        for each in docs:
            document = build_document(each)
            documents.pop(str(document.get(ID)), None)
            documents[str(document.get(ID))] = document

    def delete(_: Any, id: Any = None, q: Any = None, **__: Any) -> None:  # noqa: A002 - pysolr's name
        if q is not None:
            raise _not_followed(alias, backend, "deletes by a query")
        # In a fresh core there is nothing but these documents.
        for each in id if isinstance(id, (list, tuple, set)) else [id]:
            documents.pop(str(each), None)

    def nothing(*_: Any, **__: Any) -> None:
        """Commit nothing."""

    def refuse(*_: Any, **__: Any) -> None:
        raise _not_followed(alias, backend, "asks Solr, or writes into it past pysolr's Solr.add")

    silent = backend.silently_fail
    backend.silently_fail = False
    try:
        # Whatever language it leaves behind: others prepare in this process, too.
        language = translation.override(translation.get_language())
        replaced = _replaced(add=add, delete=delete, commit=nothing, optimize=nothing, _send_request=refuse)
        with language, replaced:
            # As update_index gives it.
            backend.update(index, list(rows), commit=True)
    finally:
        backend.silently_fail = silent
    return list(documents.values())


@contextlib.contextmanager
def _replaced(**methods: Any) -> Iterator[None]:
    """Replace methods of pysolr's client for the length of the block."""
    before = {name: getattr(pysolr.Solr, name) for name in methods}
    try:
        for name, method in methods.items():
            setattr(pysolr.Solr, name, method)
        yield
    finally:
        for name, method in before.items():
            setattr(pysolr.Solr, name, method)


def _not_followed(alias: str, backend: Any, what: str) -> Failure:
    return Failure(
        "connection {}: {} {}".format(alias, type(backend).__name__, what),
        cause="the loader sends what an `update` adds to its own core, and nothing else",
        hint="let each connection of HAYSTACK_CONNECTIONS add its own documents",
    )
