"""The site's requirements: one input, one resolution, two outputs.

Everything is compiled once; production is then compiled within that result, so that its pins are a subset of
it, always. Both outputs are replaced together, or neither is.
"""

from __future__ import annotations

import contextlib
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
VIA = re.compile(r"^( +# via)\n +#   (.*\n)(?! +#   )", re.MULTILINE)
HASH = re.compile(r"--hash=(\S+)")

# What somebody may have meant by a heading that is not quite the marker.
MEANT = re.compile(r"^#+\s*(dev|development)\b", re.IGNORECASE)

# Who asks for what, in the words of pipcompile.explained and of pip.
ASKED = re.compile(r"^  ([A-Za-z0-9][A-Za-z0-9._-]*).* is asked for by (.*)$", re.MULTILINE)
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
UNKNOWN = re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)")

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
    try:
        replace_both(
            {
                project.path(settings.everything): compiled.everything,
                project.path(settings.production): compiled.production,
            }
        )
    except OSError as error:
        raise MachineError(
            f"the requirements can't be written: {error}",
            cause="no right to write there, or no space; both files are as they were",
            step="make room or give the right, then: just regen-requirements",
        ) from error
    for line in changes(before, pins(compiled.everything)):
        say(line)


def check(project: Project) -> None:
    """Raise `RequirementsError` where a file is not what compiling would give: each line, and why."""
    settings = project.settings.requirements
    compiled = compile_both(project, [])
    asked = asked_for(project)
    files = {name: project.path(name) for name in (settings.everything, settings.production)}
    stale = [f"{file}: is missing" for file in files.values() if not file.is_file()]
    present = {name: pins(_text(file)) for name, file in files.items() if file.is_file()}
    for name, wanted in (
        (settings.everything, compiled.everything),
        (settings.production, compiled.production),
    ):
        if name in present:
            reasons = stale_lines(present[name], pins(wanted), asked)
            stale += [f"{files[name]}{reason}" for reason in reasons]
    if len(present) == len(files):
        reasons = differing(present[settings.production], present[settings.everything], settings.everything)
        stale += [f"{files[settings.production]}{reason}" for reason in reasons]
    if stale:
        raise RequirementsError(
            "the requirements are stale:\n" + "\n".join(stale),
            cause=f"{settings.source} was changed without compiling, or an output was edited by hand",
            step="just regen-requirements",
        )


def compile_both(project: Project, asked: Sequence[str]) -> Compiled:
    """Return what both files should be, without touching them."""
    settings = project.settings.requirements
    source, *more = inputs(project)
    part = None if more else split(source, _text(source), settings.marker)
    if importlib.util.find_spec("piptools") is None:
        raise MachineError(
            "pip-tools is not in this environment",
            cause="the verb was started outside of its session",
            step="just regen-requirements",
        )
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        everything = Path(folder, "everything.txt")
        # pip-compile keeps the pins that it finds in its output. Their hashes are asked for anew: it would
        # keep a wrong one, and the lack of one for a wheel that was uploaded later.
        kept = pins(_text(project.path(settings.everything))).values()
        everything.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in kept), encoding="utf-8")
        _pip_compile(project, ["--output-file", str(everything), *asked, source.name, *map(str, more)])
        production = Path(folder, "production.txt")
        # Here the hashes are kept too; the constraint rules out all other versions.
        shutil.copyfile(everything, production)
        with beside(source, part) as name:
            _pip_compile(project, ["--constraint", str(everything), "--output-file", str(production), name])
        renamed = {f"-r {name}": f"-r {source.name}", f"-c {everything}": ""}
        renamed |= {f"-r {file}": f"-r {file.name}" for file in more}
        compiled = Compiled(
            everything=heading(settings, source) + tidy(_text(everything), renamed),
            production=heading(settings, source) + tidy(_text(production), renamed),
        )
    check_subset(compiled)
    return compiled


def inputs(project: Project) -> list[Path]:
    """Return the input, and the second one if there is one; `RequirementsError` where a file is missing."""
    settings = project.settings.requirements
    files = [project.path(name) for name in (settings.source, settings.dev_source) if name]
    for file in files:
        if not file.is_file():
            raise RequirementsError(f"{file} does not exist", step="write what the site asks for into it")
    return files


def asked_for(project: Project) -> dict[str, str]:
    """Return what the inputs ask for themselves: normal name -> "REQUIREMENT in FILE:LINE"."""
    return {
        normal(name): f"{wish} in {file}:{line}"
        for file in inputs(project)
        for name, wish, line in _requested(_text(file))
    }


@contextlib.contextmanager
def beside(source: Path, part: str | None) -> Iterator[str]:
    """Give the name of a passing file beside the input with a part of it; the input's own for None.

    Beside it, because `-r` and `-c` in it lead to files from there.
    """
    if part is None:
        yield source.name
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(
                tempfile.NamedTemporaryFile(
                    "w", dir=source.parent, prefix=".haybale-", suffix=".in", encoding="utf-8"
                )
            )
            file.write(part)
            file.flush()
        except OSError as error:
            raise MachineError(
                f"{source.parent} can't be written: {error}",
                step="make room or give the right, and try again",
            ) from error
        yield Path(file.name).name


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


def _pip_compile(project: Project, arguments: Sequence[str]) -> None:
    """Run pip-compile beside the input, for the image's Python; raises `RequirementsError` with its words."""
    settings = project.settings.requirements
    command = [
        sys.executable, "-m", "haybale.pipcompile", settings.python, settings.machine, *OPTIONS, *arguments,
    ]  # fmt: skip
    done = process.run(
        command, cwd=project.path(settings.source).parent, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    if not done.ok:
        cause, step = advice(done.output, asked_for(project))
        raise RequirementsError(
            f"{settings.source} can't be resolved", cause=cause, step=step, log=done.output
        )


def advice(said: str, asked: Mapping[str, str]) -> tuple[str, str]:
    """Return the probable cause of a failed compilation and the next step, from what was said."""
    unknown = [normal(name) for name in UNKNOWN.findall(said)]
    if unknown:
        return (
            f"nothing on the package index fits {asked.get(unknown[0], unknown[0])}",
            "correct its name or version, or look at which index pip is configured for (pip config list)",
        )
    words = {normal(word) for wish, who in ASKED.findall(said) for word in (wish, *WORD.findall(who))}
    if words:
        at = ", ".join(place for name, place in asked.items() if name in words)
        return (
            f"these do not go together: {at}" if at else "two packages do not go together",
            "loosen one of them, or free a pin: just regen-requirements --upgrade-package NAME",
        )
    return "the log shows it", "mend that and try again"


def _requested(text: str) -> Iterator[tuple[str, str, int]]:
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = re.split(r"(?:^|\s)#", line)[0].strip()
        match = REQUIREMENT.match(stripped) if stripped and not stripped.startswith("-") else None
        if match:
            yield match["name"], stripped, number


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
    # An entry that is left alone stands on the line of its "via", as pip-compile itself has it.
    return VIA.sub(r"\1 \2", "\n".join([*lines, ""]))


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
        if pin.name not in everything or not _same(pin, everything[pin.name])
    ]
    if strange:
        raise RequirementsError(
            f"production's pins are not among all pins: {', '.join(strange)}",
            cause="the package index changed while it was asked",
            step="just regen-requirements, again",
        )


def _same(one: Pin, other: Pin) -> bool:
    return (one.version, one.hashes) == (other.version, other.hashes)


def differing(production: Mapping[str, Pin], everything: Mapping[str, Pin], name: str) -> list[str]:
    """Return ":LINE: REASON" for each of production's pins that is not the same among all pins, in `name`."""
    return [
        f":{pin.line}: {pin.name}=={pin.version} is not as in {name}:{everything[pin.name].line}"
        for pin in production.values()
        if pin.name in everything and not _same(pin, everything[pin.name])
    ]


def stale_lines(present: Mapping[str, Pin], wanted: Mapping[str, Pin], asked: Mapping[str, str]) -> list[str]:
    """Return ":LINE: REASON" for each pin that compiling would change; `asked` is what the inputs ask for."""
    reasons = []
    for name, pin in present.items():
        here = f":{pin.line}: {name}=={pin.version}"
        if name not in wanted:
            reasons.append(f"{here} is not needed any more")
        elif wanted[name].version != pin.version:
            rule = asked.get(name, "what the other packages ask for")
            reasons.append(f"{here} does not fit {rule}; {wanted[name].version} does")
        elif not pin.hashes:
            reasons.append(f"{here} has no hashes")
        elif not pin.hashes <= wanted[name].hashes:
            reasons.append(f"{here} has a hash that the package index does not know")
    reasons += [
        f": {name}=={pin.version} is missing, needed for {asked.get(name, 'another package')}"
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
