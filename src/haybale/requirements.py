"""The site's requirements: one input, one resolution, two outputs.

Everything is compiled once; production is then compiled within that result, so that its pins are a subset of
it, always. Both outputs are replaced together, or neither is.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import MachineError, RequirementsError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from haybale.config import Project, Requirements

# A pin of pip-compile's output, and a requirement of its input.
PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(?P<rest>.*)$")
HASH = re.compile(r"--hash=(\S+)")

# What somebody may have meant by a heading that is not quite the marker.
MEANT = re.compile(r"^#+\s*(dev|development)\b", re.IGNORECASE)

OPTIONS = (
    "--quiet", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header",
    "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pinned package: its version, its hashes, and its line (from 1) in the file."""

    name: str
    version: str
    hashes: frozenset[str]
    line: int


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """The two outputs, as text."""

    everything: str
    production: str


def regenerate(
    project: Project, *, upgrade: bool, upgrade_packages: Sequence[str], say: Callable[[str], None]
) -> None:
    """Compile both files and put them in their places together.

    Pins stay as they are unless `upgrade`, or their package is in `upgrade_packages`. Raises
    `RequirementsError` for a wrong marker or a conflict, `MachineError` without pip-tools.
    """
    settings = project.settings.requirements
    say(f"resolving {settings.source} for Python {settings.python} on {settings.machine}")
    asked = ["--upgrade"] if upgrade else []
    for name in upgrade_packages:
        asked += ["--upgrade-package", name]
    compiled = compile_both(project, asked)
    before = pins(_text(project.path(settings.everything)))
    replace_both(
        {
            project.path(settings.everything): compiled.everything,
            project.path(settings.production): compiled.production,
        }
    )
    for line in changes(before, pins(compiled.everything)):
        say(line)


def check(project: Project) -> None:
    """Raise `RequirementsError` where a file is not what compiling would give: each line, and why."""
    settings = project.settings.requirements
    compiled = compile_both(project, [])
    stale = []
    for name, wanted in (
        (settings.everything, compiled.everything),
        (settings.production, compiled.production),
    ):
        file = project.path(name)
        if not file.is_file():
            stale.append(f"{file}: is missing")
            continue
        stale += [f"{file}{reason}" for reason in stale_lines(pins(_text(file)), pins(wanted))]
    if stale:
        raise RequirementsError(
            "the requirements are stale:\n" + "\n".join(stale),
            cause=f"{settings.source} was changed without compiling, or an output was edited by hand",
            step="just regen-requirements",
        )


def compile_both(project: Project, asked: Sequence[str]) -> Compiled:
    """Return what both files should be, without touching them."""
    settings = project.settings.requirements
    source = project.path(settings.source)
    dev_source = project.path(settings.dev_source) if settings.dev_source else None
    for file in (source, *([dev_source] if dev_source else [])):
        if not file.is_file():
            raise RequirementsError(f"{file} does not exist", step="write what the site asks for into it")
    production_part = _text(source) if dev_source else split(source, _text(source), settings.marker)
    if importlib.util.find_spec("piptools") is None:
        raise MachineError(
            "pip-tools is not in this environment",
            cause="the verb was started outside of its session",
            step="just regen-requirements",
        )
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        everything = Path(folder, "everything.txt")
        if project.path(settings.everything).is_file():
            # pip-compile keeps the pins that it finds in its output.
            shutil.copyfile(project.path(settings.everything), everything)
        inputs = [source.name, *([str(dev_source)] if dev_source else [])]
        _pip_compile(settings, source, [*asked, "--output-file", str(everything), *inputs])
        production = Path(folder, "production.txt")
        _pip_compile(
            settings, source, ["--constraint", str(everything), "--output-file", str(production), "-"],
            stdin=production_part,
        )  # fmt: skip
        renamed = {"-r -": f"-r {source.name}", f"-c {everything}": ""}
        if dev_source:
            renamed[f"-r {dev_source}"] = f"-r {dev_source.name}"
        compiled = Compiled(
            everything=heading(settings, source) + tidy(_text(everything), renamed),
            production=heading(settings, source) + tidy(_text(production), renamed),
        )
    check_subset(compiled)
    return compiled


def heading(settings: Requirements, source: Path) -> str:
    """Return the comment that begins an output."""
    return (
        f"# Compiled from {source.name} by `just regen-requirements`, for Python {settings.python}"
        f" on {settings.machine}. Not to be edited.\n"
    )


def split(file: Path, text: str, marker: str) -> str:
    """Return the part before the marker; raises `RequirementsError` with the line of a wrong one."""
    lines = text.splitlines()
    found = [number for number, line in enumerate(lines, start=1) if line.strip() == marker]
    alike = [n for n, line in enumerate(lines, start=1) if MEANT.match(line.strip()) and n not in found]
    if len(found) > 1:
        raise RequirementsError(
            f"{file}:{found[1]}: the heading {marker!r} is there already, in line {found[0]}",
            cause="only one can begin the development part",
            step="remove one of them",
        )
    if alike and not found:
        raise RequirementsError(
            f"{file}:{alike[0]}: {lines[alike[0] - 1].strip()!r} is not the heading {marker!r}",
            cause="it begins the development part only when it is written just so",
            step=f"write {marker}",
        )
    if alike:
        raise RequirementsError(
            f"{file}:{alike[0]}: {lines[alike[0] - 1].strip()!r} looks like the heading in line {found[0]}",
            cause="which part is which can't be told for sure",
            step="word that comment in another way, or remove it",
        )
    if not found:
        raise RequirementsError(
            f"{file}:{len(lines) or 1}: the heading {marker!r} is missing",
            cause="nothing says where the development part begins",
            step=f"write {marker} on a line of its own, or set requirements.dev_source",
        )
    return "\n".join([*lines[: found[0] - 1], ""])


def _pip_compile(
    settings: Requirements, source: Path, arguments: Sequence[str], stdin: str | None = None
) -> None:
    """Run pip-compile beside the input, for the image's Python; raises `RequirementsError` with its words."""
    command = [
        sys.executable, "-m", "haybale.pipcompile", settings.python, settings.machine, *OPTIONS, *arguments,
    ]  # fmt: skip
    done = process.run(command, cwd=source.parent, stdin=stdin, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    if not done.ok:
        at = conflicting(source, _text(source), done.output)
        raise RequirementsError(
            f"{settings.source} can't be resolved",
            cause="these ask for what does not go together: " + ", ".join(at) if at else "see above",
            step="loosen one of them, or free a pin: just regen-requirements --upgrade-package NAME",
            log=done.output,
        )


def conflicting(file: Path, text: str, said: str) -> list[str]:
    """Return FILE:LINE (NAME) of the input's requirements that a failed resolution speaks of.

    pip names them as "The user requested NAME" and "NAME VERSION depends on"; the first two lead to the rest.
    """
    words = {normal(word) for word in re.findall(r"[A-Za-z0-9][A-Za-z0-9._-]*", said)}
    return [f"{file}:{line} ({name})" for name, line in _requested(text) if normal(name) in words]


def _requested(text: str) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.partition("#")[0].strip()
        match = REQUIREMENT.match(stripped) if stripped and not stripped.startswith("-") else None
        if match:
            yield match["name"], number


def normal(name: str) -> str:
    """Return a package's normal name (PyPA, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower().strip("-")


def tidy(text: str, renamed: Mapping[str, str]) -> str:
    """Return an output with plain names in its "via" comments; an empty new name drops the entry."""
    lines = []
    for line in text.splitlines():
        comment = line.strip().removeprefix("#").strip().removeprefix("via ").strip()
        if comment not in renamed or not line.strip().startswith("#"):
            lines.append(line)
        elif renamed[comment]:
            lines.append(line.replace(comment, renamed[comment]))
    return "\n".join([*lines, ""])


def pins(text: str) -> dict[str, Pin]:
    """Return the pins of a compiled file: normal name -> pin."""
    found: dict[str, Pin] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), start=1):
        match = PIN.match(line)
        if match:
            name = normal(match["name"])
            found[name] = Pin(name=name, version=match["version"], hashes=frozenset(), line=number)
        if name:
            pin = found[name]
            hashes = pin.hashes | set(HASH.findall(line))
            found[name] = Pin(name=name, version=pin.version, hashes=hashes, line=pin.line)
    return found


def check_subset(compiled: Compiled) -> None:
    """Raise `RequirementsError` where production has a pin, or a hash, that everything has not."""
    everything, production = pins(compiled.everything), pins(compiled.production)
    strange = [
        f"{pin.name}=={pin.version}"
        for pin in production.values()
        if pin.name not in everything
        or (everything[pin.name].version, everything[pin.name].hashes) != (pin.version, pin.hashes)
    ]
    if strange:
        raise RequirementsError(
            f"production's pins are not among all pins: {', '.join(strange)}",
            cause="the package index changed while it was asked",
            step="just regen-requirements, again",
        )


def stale_lines(present: Mapping[str, Pin], wanted: Mapping[str, Pin]) -> list[str]:
    """Return ":LINE: REASON" for each pin that compiling would change."""
    reasons = []
    for name, pin in present.items():
        if name not in wanted:
            reasons.append(f":{pin.line}: {name}=={pin.version} is not asked for any more")
        elif wanted[name].version != pin.version:
            reasons.append(
                f":{pin.line}: {name}=={pin.version} does not fit any more; {wanted[name].version} does"
            )
        elif not pin.hashes:
            reasons.append(f":{pin.line}: {name}=={pin.version} has no hashes")
        elif not pin.hashes <= wanted[name].hashes:
            reasons.append(
                f":{pin.line}: {name}=={pin.version} has a hash that the package index does not know"
            )
    reasons += [
        f": {name}=={pin.version} is asked for and missing"
        for name, pin in wanted.items()
        if name not in present
    ]
    return reasons


def changes(before: Mapping[str, Pin], after: Mapping[str, Pin]) -> list[str]:
    """Return what a compilation changed, a line for each package."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None and new is not None:
            lines.append(f"+ {name}=={new.version}")
        elif new is None and old is not None:
            lines.append(f"- {name}=={old.version}")
        elif old is not None and new is not None and old.version != new.version:
            lines.append(f"  {name}=={old.version} -> {new.version}")
    return lines or ["no pin changed"]


def replace_both(texts: Mapping[Path, str]) -> None:
    """Write files aside and put them in their places; all of them, or the old texts stay."""
    aside = {file: file.with_name(f".{file.name}.new") for file in texts}
    before = {file: file.read_bytes() if file.is_file() else None for file in texts}
    replaced: list[Path] = []
    try:
        for file, text in texts.items():
            aside[file].write_text(text, encoding="utf-8")
        for file in texts:
            aside[file].replace(file)
            replaced.append(file)
    except BaseException:
        for file in replaced:
            old = before[file]
            if old is None:
                file.unlink()
            else:
                file.write_bytes(old)
        raise
    finally:
        for temporary in aside.values():
            temporary.unlink(missing_ok=True)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""
