"""A command of the site in the place of Haystack's."""

from typing import Any

from django.utils import translation
from haystack.management.commands import update_index


class Command(update_index.Command):
    """Indexes in German."""

    def handle(self, **options: Any) -> None:
        """Index."""
        with translation.override("de"):
            super().handle(**options)
