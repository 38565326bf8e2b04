"""What requirements are compiled for: CPython on Linux, as wheels' tags and environment markers name it."""

from __future__ import annotations

# glibc versions (2.N) whose wheels are installed: up to the one of the image's distribution.
OLDEST_GLIBC, NEWEST_GLIBC = 5, 36

# Older names of three of them (PEP 600, "Legacy manylinux tags").
LEGACY = ("manylinux2014", "manylinux2010", "manylinux1")


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
