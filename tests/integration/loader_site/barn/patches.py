"""Changes other people's classes, as sites do when their apps start."""

from typing import Any

import pysolr
from haystack.management.commands.rebuild_index import Command


def apply(fault: str) -> None:
    """Replace a method."""
    if fault == "patched-command":
        handle = Command.handle

        def twice(self: Any, **options: Any) -> None:
            handle(self, **options)
            handle(self, **options)

        Command.handle = twice
    else:
        add = pysolr.Solr.add

        def adding(self: Any, docs: Any, *args: Any, **options: Any) -> Any:
            return add(self, [{**each, "note_s": "by a patch"} for each in docs], *args, **options)

        pysolr.Solr.add = adding
