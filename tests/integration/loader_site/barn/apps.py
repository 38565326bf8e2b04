"""Puts old faults of the loader back, by BARN_MUTATION: the verification must find what they make."""

import os

from django.apps import AppConfig

from barn.faults import FAULT

MUTATION = os.environ.get("BARN_MUTATION")


class BarnConfig(AppConfig):
    """The app."""

    name = "barn"

    def ready(self) -> None:
        """Put a fault back."""
        if FAULT in ("patched-command", "patched-add"):
            from barn import patches  # noqa: PLC0415 - models come after the apps

            patches.apply(FAULT)
        if MUTATION:
            from haybale_loader import worker  # noqa: PLC0415 - only in the loader
            from haybale_loader.documents import site  # noqa: PLC0415 - only in the loader

            if MUTATION == "reading":
                site.find_dependence = lambda _: None
            if MUTATION == "hash-seed":
                # For the workers that are spawned from now on.
                os.environ["PYTHONHASHSEED"] = "random"
            if MUTATION == "signals":
                from barn import signals  # noqa: PLC0415 - models come after the apps

                signals.connect()
            if MUTATION == "update":
                find = worker.find_sources

                def find_plain(note):  # noqa: ANN001, ANN202 - as it is there
                    return [source._replace(own_update=False) for source in find(note)]

                worker.find_sources = find_plain
