"""Requirements files that are kept by hand: only versions of pins move in them, those that were asked for."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.requirements.compiler import Compiler, files_beside, holds_setuptools
from haybale.requirements.lines import NAME, logical_lines
from haybale.requirements.pins import Pin, normalize_name, read_all_pins, read_pin, unpinned_lines
from haybale.requirements.recompile import package_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.requirements.recompile import Request

OPTIONS = (
    "--no-config", "--allow-unsafe", "--strip-extras", "--no-header", "--no-annotate",
    "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links", "--no-emit-options",
)  # fmt: skip

# The version of a pin, on the line that it begins with; and one hash with what joins it to the next.
VERSION = re.compile(
    rf"^(?P<before>\s*(?P<name>{NAME})\s*(?:\[[^]]*\])?\s*={{2,3}}\s*)(?P<version>[^\s;,\\#]+)"
)
HASH = re.compile(r"(\s|\\\r?\n)*--hash=\S+")


def resolve(
    roots: Sequence[Path], texts: Mapping[Path, str], request: Request, compiled: Mapping[Path, str]
) -> dict[str, Pin]:
    """Return what pip would install of files together: normal name -> pin.

    `texts` are those of all files that are kept by hand, the roots and what they include; `compiled` those
    that compiled files among the included ones will have. Pins that are to move are freed before. Raises
    `RequirementsError` where the others do not go together.
    """
    pins = all_pins(texts)
    freed = freed_names(texts, upgrade=request.upgrade, upgrade_packages=request.upgrade_packages)
    bounds = {package_name(package): bound(package) for package in request.upgrade_packages}
    freely = {name: bounds.get(name, "") for name in freed}
    loosened = {file: loosen(text, freely) for file, text in texts.items()}
    compiler = Compiler(
        python=request.python, machine=request.machine, variables=request.variables, direct=read_places(texts)
    )
    hashes = ["--generate-hashes"] if freed and any("--hash=" in text for text in texts.values()) else []
    with (
        tempfile.TemporaryDirectory(prefix="haybale-") as place,
        files_beside({**compiled, **loosened}) as beside,
    ):
        output = Path(place, "output.txt")
        compiler.compile(
            request.root,
            [*OPTIONS, *hashes, *(str(beside[file]) for file in roots)],
            output=output,
            name=" and ".join(file.name for file in roots),
            holds_setuptools=holds_setuptools(pins, request.upgrade_packages),
        )
        return read_all_pins(output.read_text(encoding="utf-8"))


def freed_names(texts: Mapping[Path, str], *, upgrade: bool, upgrade_packages: Sequence[str]) -> set[str]:
    """Return the names of the pins that are to move; one that is pinned twice, for two cases, does not."""
    known = {name for name, places in pin_places(texts).items() if len(places) == 1}
    return known if upgrade else known & {package_name(package) for package in upgrade_packages}


def pin_places(texts: Mapping[Path, str]) -> dict[str, list[str]]:
    """Return where each package is pinned: normal name -> FILE:LINE, in their order."""
    places: dict[str, list[str]] = {}
    for file, text in texts.items():
        for number, line in logical_lines(text):
            if pin := read_pin(line, number):
                places.setdefault(pin.name, []).append(f"{file}:{number}")
    return places


def all_pins(texts: Mapping[Path, str]) -> dict[str, Pin]:
    """Return the pins of several files: normal name -> the first pin of it."""
    found: dict[str, Pin] = {}
    for text in texts.values():
        found = read_all_pins(text) | found
    return found


def read_places(texts: Mapping[Path, str]) -> dict[str, str]:
    """Return what the files ask for: normal name -> "REQUIREMENT in FILE:LINE"."""
    direct: dict[str, str] = {}
    for file, text in texts.items():
        for number, line in logical_lines(text):
            if match := re.match(NAME, line):
                direct.setdefault(normalize_name(match[0]), f"{line} in {file}:{number}")
    return direct


def bound(package: str) -> str:
    """Return what an argument of --upgrade-package says after the name and its extras, such as <5."""
    return re.sub(rf"^{NAME}\s*(\[[^]]*\])?", "", package).strip()


def loosen(text: str, freely: Mapping[str, str]) -> str:
    """Return a file for pip-compile: without comments and hashes, and some packages without their versions.

    `freely` maps their names to what holds in place of that: a bound such as <5, or "".
    """
    lines = []
    for number, line in logical_lines(text):
        plain = HASH.sub("", line)
        pin = read_pin(line, number)
        if pin and pin.name in freely:
            plain = f"{pin.name}{pin.extras}{freely[pin.name]}" + (f" ; {pin.marker}" if pin.marker else "")
        lines.append(plain)
    return "\n".join([*lines, ""])


def move_pins(text: str, pins: Mapping[str, Pin]) -> str:
    """Return a file with these pins' versions, and their hashes where it has some; all else stays."""
    lines = text.splitlines(keepends=True)
    moved: list[str] = []
    while lines:
        block = [lines.pop(0)]
        while lines and block[-1].rstrip("\r\n").endswith("\\") and not block[0].lstrip().startswith("#"):
            block.append(lines.pop(0))
        moved.append(_move("".join(block), pins))
    return "".join(moved)


def _move(block: str, pins: Mapping[str, Pin]) -> str:
    """Return a requirement, with the lines that continue it, as `move_pins` does."""
    match = VERSION.match(block)
    pin = pins.get(normalize_name(match["name"])) if match else None
    if match is None or pin is None or pin.version == match["version"]:
        return block
    block = f"{match['before']}{pin.version}{block[match.end() :]}"
    if not pin.hashes or not (first := HASH.search(block)):
        return block
    end = "\r\n" if "\r\n" in block else "\n"
    joined = "".join(f" \\{end}    --hash={each}" for each in sorted(pin.hashes))
    rest = HASH.sub("", block[first.start() :])
    return block[: first.start()] + joined + rest


def describe(texts: Mapping[Path, str], resolved: Mapping[str, Pin]) -> list[str]:
    """Return what is not pinned in these files, a line each, for people."""
    lines = []
    for file, text in texts.items():
        for number, line in unpinned_lines(text):
            if re.match(NAME, line):
                lines.append(f"{file}:{number}: {line} is not pinned: each build takes what is newest then")
    missing = sorted({*resolved} - {*read_places(texts)})
    if missing:
        lines.append(f"not pinned, but needed by what is: {', '.join(missing)}")
    return lines
