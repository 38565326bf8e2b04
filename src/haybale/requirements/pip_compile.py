"""pip-compile for another Python than its own: `python -m haybale.requirements.pip_compile 3.13 x86_64 ...`.

pip resolves for its own interpreter. It takes another target only where it downloads, never for environment
markers, and pip-compile passes neither on. So the three things that pip resolves for are replaced here: the
tags of wheels, Requires-Python, and markers (pip: PackageFinder's target_python, the resolver's
py_version_info, packaging's default_environment).

Runs in the environment that has pip-tools; no module of haybale imports it.
"""

from __future__ import annotations

import sys
from typing import Any

import packaging.markers
from pip._internal.cli.req_command import RequirementCommand
from pip._internal.exceptions import PipError
from pip._internal.models.target_python import TargetPython
from pip._vendor.packaging import markers as pip_markers
from piptools.scripts import compile as piptools_compile

from haybale.requirements.target import marker_environment, wheel_platforms


def resolve_for(python: str, machine: str) -> None:
    """Make pip, in this process, resolve for that Python on that machine."""
    version = tuple(int(part) for part in python.split("."))
    make_resolver, make_finder = RequirementCommand.make_resolver, RequirementCommand._build_package_finder  # noqa: SLF001

    def resolver(*arguments: Any, **named: Any) -> Any:
        return make_resolver(*arguments, **named | {"py_version_info": version})

    def finder(*arguments: Any, **named: Any) -> Any:
        platforms = wheel_platforms(machine)
        target = TargetPython(platforms=platforms, py_version_info=version, implementation="cp")
        return make_finder(*arguments, **named | {"target_python": target})

    # `make_resolver` is a class method, bound already.
    RequirementCommand.make_resolver = staticmethod(resolver)
    RequirementCommand._build_package_finder = finder  # noqa: SLF001
    environment = marker_environment(python, machine)
    modules: tuple[Any, ...] = (packaging.markers, pip_markers)
    for module in modules:
        module.default_environment = lambda: dict(environment)


def explain(error: PipError) -> str:
    """Return pip's error, and for a conflict who asks for what, each on a line.

    pip logs that only when it logs everything, but its exception has it (resolvelib: "causes").
    """
    lines = {"": str(error)}
    for cause in getattr(error.__cause__, "causes", ()):
        requirement, parent = cause.requirement.format_for_error(), cause.parent
        if parent is None:
            lines[requirement] = f"  {requirement} is asked for by the input"
            continue
        found = parent.get_install_requirement()
        path = f" ({found.from_path()})" if found else ""
        line = f"  {requirement} is asked for by {parent.name} {parent.version}{path}"
        # Of all the versions that were tried the first, the newest, says enough.
        lines.setdefault(f"{requirement} {parent.name}", line)
    return "\n".join(lines.values())


def main() -> None:
    """Run pip-compile with the rest of the command line."""
    python, machine, *arguments = sys.argv[1:]
    resolve_for(python, machine)
    sys.argv = ["pip-compile", *arguments]
    try:
        piptools_compile.cli()
    except PipError as error:
        # pip-compile does not catch pip's errors: Python would print a traceback without an explanation.
        print(explain(error), file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
