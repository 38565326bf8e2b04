"""Imported while documents are prepared, by a computed name."""

from typing import Any


def weigh(row: Any) -> int:
    """Return a number."""
    return int(row.pk)
