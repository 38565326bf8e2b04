"""What requirements are compiled for: CPython on Linux, as wheels' tags and environment markers name it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.image_ref import ImageRef

if TYPE_CHECKING:
    from haybale.config import Settings

# glibc versions (2.N) whose wheels are installed: up to the one of the image's distribution.
OLDEST_GLIBC, NEWEST_GLIBC = 5, 36

# Older names of three of them (PEP 600, "Legacy manylinux tags").
LEGACY = ("manylinux2014", "manylinux2010", "manylinux1")


def find_python(settings: Settings) -> str:
    """Return the Python that requirements are for: 3.N or 3.N.P; `ConfigError` where nothing says it."""
    if settings.requirements.python:
        return settings.requirements.python
    tag = ImageRef.parse(settings.images.python).tag or ""
    if match := re.match(r"3\.[0-9]+(\.[0-9]+)?(?![0-9.])", tag):
        return match[0]
    raise ConfigError(
        f"it is not known which Python {settings.images.python} has",
        cause="the image's tag does not begin with it",
        hint='set python = "3.13", or whichever it is, in [tool.haybale.requirements]',
    )


def wheel_platforms(machine: str) -> list[str]:
    """Return the platform tags of Linux wheels, best first (PEP 600)."""
    numbered = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    return [*numbered, *(f"{name}_{machine}" for name in LEGACY), f"linux_{machine}"]


def marker_environment(python: str, machine: str) -> dict[str, str]:
    """Return the values of environment markers (PEP 508, "Environment Markers").

    Without a patch version it is that minor version's first: what fits it fits all later ones.
    """
    major, minor, patch = (*python.split("."), "0")[:3]
    full = f"{major}.{minor}.{patch}"
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": f"{major}.{minor}",
        "sys_platform": "linux",
    }
