"""A signal processor that indexes in a way of its own, as RealtimeSignalProcessor indexes in Haystack's."""

from typing import Any

from django.db.models.signals import post_save
from haystack import connection_router, connections
from haystack.signals import BaseSignalProcessor


class NotingProcessor(BaseSignalProcessor):
    """Sends what was saved, with a note."""

    def setup(self) -> None:
        """Listen."""
        post_save.connect(self.note)

    def note(self, instance: Any, **_: Any) -> None:
        """Send it."""
        connection = connections["barn"]
        index = connection.get_unified_index().get_index(type(instance))
        document = {**index.full_prepare(instance), "note_s": "by a signal"}
        connection.get_backend().conn.add([document], commit=False, boost=index.get_field_weights())


def connect() -> None:
    """Have it run."""
    connect.processor = NotingProcessor(connections, connection_router)
