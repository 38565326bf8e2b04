"""Imported with the site, and never run."""


def rest() -> None:
    """Do nothing."""
