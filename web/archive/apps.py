"""The app's configuration."""

from django.apps import AppConfig


class ArchiveConfig(AppConfig):
    """The archive of State of the Union addresses."""

    name = "archive"
