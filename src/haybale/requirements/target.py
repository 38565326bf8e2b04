"""pip-compile for another Python than its own: `python -m haybale.pipcompile 3.13 x86_64 ARGUMENTS`.

pip resolves for its own interpreter. It can be told another target, but only where it downloads, and never
for environment markers; pip-compile hands neither on. So the three places where pip asks what it resolves for
are answered here: the tags of wheels, Requires-Python, and markers (pip: PackageFinder's target_python, the
resolver's py_version_info, packaging's default_environment).
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

# glibc versions (2.N) whose wheels are taken: up to what the image's distribution has.
OLDEST_GLIBC, NEWEST_GLIBC = 5, 36

# Older names of three of them (PEP 600, "Legacy manylinux tags").
LEGACY = ("manylinux2014", "manylinux2010", "manylinux1")


def platforms(machine: str) -> list[str]:
    """Return the platform tags of Linux wheels, best first (PEP 600)."""
    numbered = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    return [*numbered, *(f"{name}_{machine}" for name in LEGACY), f"linux_{machine}"]


def environment(python: str, machine: str) -> dict[str, str]:
    """Return the marker environment of CPython on Linux (PEP 508, "Environment Markers").

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


def aim(python: str, machine: str) -> None:
    """Make pip, in this process, resolve for that Python on that machine."""
    # pip is there only in the environment that compiles; its internals have no types.
    command: Any = importlib.import_module("pip._internal.cli.req_command").RequirementCommand
    target: Any = importlib.import_module("pip._internal.models.target_python").TargetPython
    version = tuple(int(part) for part in python.split("."))
    make_resolver, make_finder = command.make_resolver, command._build_package_finder  # noqa: SLF001

    def resolver(*arguments: Any, **named: Any) -> Any:
        return make_resolver(*arguments, **named | {"py_version_info": version})

    def finder(*arguments: Any, **named: Any) -> Any:
        aimed = target(platforms=platforms(machine), py_version_info=version, implementation="cp")
        return make_finder(*arguments, **named | {"target_python": aimed})

    # Bound to its class already, as a class method is.
    command.make_resolver = staticmethod(resolver)
    command._build_package_finder = finder  # noqa: SLF001
    wanted = environment(python, machine)
    for name in ("pip._vendor.packaging.markers", "packaging.markers"):
        module: Any = importlib.import_module(name)
        module.default_environment = lambda: dict(wanted)


def explained(error: BaseException) -> str:
    """Return what pip can't do, and where it is a conflict who asks for what, each on a line.

    pip logs that only when it is told to log everything; its exception has it (resolvelib: "causes").
    """
    lines = {"": str(error)}
    for cause in getattr(error.__cause__, "causes", ()):
        wish = cause.requirement.format_for_error()
        if cause.parent is None:
            lines[wish] = f"  {wish} is asked for by the input"
            continue
        found = cause.parent.get_install_requirement()
        path = f" ({found.from_path()})" if found else ""
        # Of all the versions that were tried the first, the newest, says enough.
        lines.setdefault(
            f"{wish} {cause.parent.name}",
            f"  {wish} is asked for by {cause.parent.name} {cause.parent.version}{path}",
        )
    return "\n".join(lines.values())


def main() -> None:
    """Run pip-compile with the rest of the command line."""
    python, machine, *arguments = sys.argv[1:]
    aim(python, machine)
    failed: Any = importlib.import_module("pip._internal.exceptions").PipError
    sys.argv = ["pip-compile", *arguments]
    try:
        importlib.import_module("piptools.scripts.compile").cli()
    except failed as error:
        # pip-compile leaves pip's errors to the interpreter, which shows its inside and no explanation.
        print(explained(error), file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
