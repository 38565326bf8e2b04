"""buildx: which builder it builds with."""

from __future__ import annotations

import re

from haybale.tools import process

DRIVER = re.compile(r"^Driver:\s*(?P<name>\S+)", re.MULTILINE)


def read_driver() -> str | None:
    """Return the driver of the builder that is chosen, None where buildx does not say it."""
    found = DRIVER.search(process.run(["docker", "buildx", "inspect"]).stdout)
    return found["name"] if found else None
