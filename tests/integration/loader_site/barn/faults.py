"""What can go wrong in a site, switched on by BARN_FAULT."""

import os
from typing import Any

FAULT = os.environ.get("BARN_FAULT", "")


def same_id(row: Any) -> str:
    """Give two rows one id."""
    if isinstance(row, str):
        return row
    key = row.pk if row.pk != 7 else 3
    return f"{row._meta.label_lower}.{key}"
