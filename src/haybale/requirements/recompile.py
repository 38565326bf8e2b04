"""A repository's own compiled files: pip-compile is run as their headings say."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.requirements import pins
from haybale.requirements.compiler import MARK, Compiler, files_beside, holds_setuptools
from haybale.requirements.layout import CONSTRAINT, CompiledFile, for_python, is_compiled, split_option
from haybale.requirements.lines import (
    REQUIREMENT,
    included_by,
    logical_lines,
    normal_path,
    read_text,
    with_included,
)
from haybale.requirements.pins import normalize_name, read_all_pins, unpinned_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.requirements.logins import Variables

# Where a machine finds packages is its own business, unless the file says it already.
EMITTED = {
    "--no-emit-index-url": ("-i ", "--index-url", "--extra-index-url"),
    "--no-emit-trusted-host": ("--trusted-host",),
    "--no-emit-find-links": ("-f ", "--find-links"),
}
CONFIGURATION = (".pip-tools.toml", "pyproject.toml")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What compiling is to do: for which Python and machine, and which pins may move."""

    root: Path
    python: str
    machine: str
    variables: Variables
    upgrade: bool = False
    upgrade_packages: Sequence[str] = ()


def compile_file(made: CompiledFile, request: Request, texts: Mapping[Path, str]) -> str:
    """Return the text that a file should have, without touching any.

    `texts` are those that the files before it will have. Raises `RequirementsError` for a conflict.
    """
    changed = {file: new for file, new in texts.items() if new != read_text(file)}
    text, direct = read_text(made.file), read_direct(made)
    present = read_all_pins(text)
    compiler = Compiler(
        python=request.python, machine=request.machine, variables=request.variables, direct=direct
    )
    options = [*options_for(made, request.root, text), *(["--upgrade"] if request.upgrade else [])]
    options += [
        f"--upgrade-package={package}"
        for package in request.upgrade_packages
        if package_name(package) in {*present, *direct}
    ]
    with (
        tempfile.TemporaryDirectory(prefix="haybale-") as place,
        files_beside(_replaced(made, changed)) as beside,
    ):
        output = Path(place, "output.txt")
        # pip-compile keeps the pins that it finds here; it would keep wrong hashes too.
        output.write_text("".join(f"{pin}\n" for pin in present.values()), encoding="utf-8")
        arguments = [_path_of(option, made.folder, beside) for option in options]
        arguments += [_path_of(name, made.folder, beside) for name in made.inputs]
        compiler.compile(
            made.folder,
            arguments,
            output=output,
            name=str(made.file),
            holds_setuptools=holds_setuptools(present, request.upgrade_packages),
        )
        body = MARK.sub("", read_text(output))
    request.variables.raise_if_shown(body)
    return for_python(made.heading, request.python) + request.variables.restore(body)


def options_for(made: CompiledFile, root: Path, text: str) -> list[str]:
    """Return pip-compile's options: those of the heading, and what makes the file look as it does now."""
    options = [*made.options, "--no-header"]
    lines = [line for _, line in logical_lines(text)]
    options += [
        option for option, starts in EMITTED.items() if not any(line.startswith(starts) for line in lines)
    ]
    is_said = {"--strip-extras", "--no-strip-extras"} & {*options} or _is_configured(made.folder, root)
    if not is_said:
        # Its default differs between pip-tools 7 and 8.
        present = read_all_pins(text)
        has_extras = any(pin.extras for pin in present.values())
        is_stripped = any(
            "[" in requirement.split(";")[0] and name in present
            for name, requirement in read_direct(made).items()
        )
        options.append("--strip-extras" if is_stripped and not has_extras else "--no-strip-extras")
    return options


def read_direct(made: CompiledFile) -> dict[str, str]:
    """Return what the inputs ask for: normal name -> "REQUIREMENT in FILE:LINE"."""
    direct: dict[str, str] = {}
    for file in with_included(made.sources):
        if file.suffix not in {".in", ".txt"} or is_compiled(file):
            continue  # a pyproject.toml has no such lines, and what is compiled asks for nothing by itself
        for number, line in logical_lines(read_text(file)):
            if match := REQUIREMENT.match(line):
                direct.setdefault(normalize_name(match["name"]), f"{line} in {file}:{number}")
    return direct


def package_name(package: str) -> str:
    """Return the normal name in an argument of --upgrade-package."""
    match = REQUIREMENT.match(package)
    return normalize_name(match["name"]) if match else package


def stale_reasons(made: CompiledFile, wanted: str) -> list[str]:
    """Return ":LINE: REASON" for each line of a file that compiling would change, comments apart."""
    text = read_text(made.file)
    if not made.file.is_file():
        return [": is missing"]
    reasons = pins.stale_pins(read_all_pins(text), read_all_pins(wanted), read_direct(made))
    present, expected = dict(map(_turned, unpinned_lines(text))), dict(map(_turned, unpinned_lines(wanted)))
    reasons += [
        f":{number}: {line!r} is not needed any more"
        for line, number in present.items()
        if line not in expected
    ]
    return reasons + [f": {line!r} is missing" for line in expected if line not in present]


def _turned(numbered: tuple[int, str]) -> tuple[str, int]:
    number, line = numbered
    return line, number


def _replaced(made: CompiledFile, changed: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files not to be read as they are: those that have changed, and who includes them."""
    read = with_included(made.sources)
    texts = {file: changed[normal_path(file)] for file in read if normal_path(file) in changed}
    while more := [file for file in read if file not in texts and {*included_by(file)} & {*texts}]:
        texts |= {file: read_text(file) for file in more}
    return texts


def _path_of(argument: str, folder: Path, beside: Mapping[Path, Path]) -> str:
    """Return an option or an input with the temporary file in place of the one that it names."""
    name, value = split_option(argument) if argument.startswith("-") else ("", argument)
    if argument.startswith("-") and name != CONSTRAINT:
        return argument
    temporary = {normal_path(file): made for file, made in beside.items()}.get(normal_path(folder / value))
    if temporary is None:
        return argument
    renamed = str(Path(value).with_name(temporary.name))
    return f"{name}={renamed}" if name else renamed


def _is_configured(folder: Path, root: Path) -> bool:
    """Whether a file of settings says something to pip-compile."""
    places = [place for place in (folder, *folder.parents) if place == root or root in place.parents]
    return any("tool.pip-tools" in read_text(place / name) for place in places for name in CONFIGURATION)
