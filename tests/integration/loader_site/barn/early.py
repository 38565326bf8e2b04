"""Imported with the site, and run while documents are prepared."""

from typing import Any


def rank(row: Any) -> int:
    """Return a number."""
    return int(row.pk)
