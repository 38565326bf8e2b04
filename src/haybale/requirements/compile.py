"""The site's requirements: one input, one resolution, two outputs.

Everything is compiled once; production is then compiled within that result, so that its pins are a subset of
it, always. Both outputs are replaced together, or neither is.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError, RequirementsError, UsageError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from haybale.config import Project, Requirements

# A pin of pip-compile's output (by version, or by the address of an archive), and a requirement of its input.
PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==(?P<version>[^\s;\\]+)| @ (?P<address>[^\s\\]+))"
    r"(?:\s*;\s*(?P<marker>[^\\]*?))?\s*\\?$"
)
INCLUDE = re.compile(r"^(?:-r|--requirement)[\s=]*(?P<file>\S+)")
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(?P<rest>.*)$")
VIA = re.compile(r"^( +# via)\n +#   (.*\n)(?! +#   )", re.MULTILINE)
HASH = re.compile(r"--hash=(\S+)")

# What somebody may have meant by a heading that is not quite the marker.
MEANT = re.compile(r"#+\W*dev(elopment)?(\s+(requirements|dependencies|packages|only))?\W*", re.IGNORECASE)

# Who asks for what, in the words of pipcompile.explained and of pip.
ASKED = re.compile(r"^  ([A-Za-z0-9][A-Za-z0-9._-]*).* is asked for by (.*)$", re.MULTILINE)
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
UNKNOWN = re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)")

# What belongs to an output, besides pins: their hashes, and comments.
REST = re.compile(r"^((\s+--hash=\S+)+( \\)?|\s*(#.*)?)$")

OPTIONS = (
    "--quiet", "--no-config", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header",
    "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pinned package: version (or address), marker, hashes, and its line (from 1) in the file."""

    name: str
    version: str
    hashes: frozenset[str]
    line: int
    address: bool = False
    marker: str = ""

    def __str__(self) -> str:
        return f"{self.name} @ {self.version}" if self.address else f"{self.name}=={self.version}"


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
    `RequirementsError` for a wrong marker or a conflict, `PrerequisiteError` without pip-tools.
    """
    settings = project.settings.requirements
    say(f"resolving {settings.source} for Python {settings.python} on {settings.machine}")
    before = pins(_text(project.path(settings.everything)))
    check_known(upgrade_packages, {*before, *asked_for(project)})
    asked = ["--upgrade"] if upgrade else []
    for name in upgrade_packages:
        asked += ["--upgrade-package", name]
    compiled = compile_both(project, asked)
    try:
        replace_both(
            {
                project.path(settings.everything): compiled.everything,
                project.path(settings.production): compiled.production,
            }
        )
    except OSError as error:
        raise PrerequisiteError(
            f"the requirements can't be written: {error}",
            cause="no right to write there, or no space; both files are as they were",
            hint="make room or give the right, then: just regen-requirements",
        ) from error
    for line in changes(before, pins(compiled.everything)):
        say(line)


def check_known(upgrade_packages: Sequence[str], known: Collection[str]) -> None:
    """Raise `UsageError` where a package that is to be upgraded is not among the known (normal) names."""
    for wish in upgrade_packages:
        match = REQUIREMENT.match(wish)
        name = normal(match["name"]) if match else wish
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"{wish!r} can't be upgraded: there is no such package among the pins",
                hint=f"did you mean {near[0]!r}?" if near else "name a package that is pinned",
            )


def check(project: Project) -> None:
    """Raise `RequirementsError` where a file is not what compiling would give: each line, and why."""
    settings = project.settings.requirements
    compiled = compile_both(project, [])
    asked = asked_for(project)
    files = {name: project.path(name) for name in (settings.everything, settings.production)}
    stale = [f"{file}: is missing" for file in files.values() if not file.is_file()]
    present = {name: pins(_text(file)) for name, file in files.items() if file.is_file()}
    for name in present:
        stale += [f"{files[name]}{reason}" for reason in foreign(_text(files[name]), heading(settings))]
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
            hint="just regen-requirements",
        )


def compile_both(project: Project, asked: Sequence[str]) -> Compiled:
    """Return what both files should be, without touching them."""
    settings = project.settings.requirements
    source, *more = inputs(project)
    if more:
        check_no_heading(source, _text(source), settings.marker)
    part = None if more else split(source, _text(source), settings.marker)
    if importlib.util.find_spec("piptools") is None:
        raise PrerequisiteError(
            "pip-tools is not in this environment",
            cause="the verb was started outside of its session",
            hint="just regen-requirements",
        )
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        everything = Path(folder, "everything.txt")
        # pip-compile keeps the pins that it finds in its output. Their hashes are asked for anew: it would
        # keep a wrong one, and the lack of one for a wheel that was uploaded later.
        kept = pins(_text(project.path(settings.everything))).values()
        lines = [f"{pin}\n" for pin in kept if not pin.address]
        everything.write_text("".join(lines), encoding="utf-8")
        # By ways that start beside the input: pip-compile writes the inputs' names into its comments.
        names = [os.path.relpath(file, source.parent) for file in (source, *more)]
        _pip_compile(project, ["--output-file", str(everything), *asked, *names])
        production = Path(folder, "production.txt")
        # Here the hashes are kept too; the constraint rules out all other versions.
        shutil.copyfile(everything, production)
        with beside(source, part) as name:
            _pip_compile(project, ["--constraint", str(everything), "--output-file", str(production), name])
        renamed = {f"-r {name}": f"-r {source.name}", f"-c {everything}": ""}
        compiled = Compiled(
            everything=heading(settings) + tidy(_text(everything), renamed),
            production=heading(settings) + tidy(_text(production), renamed),
        )
    check_pinned(compiled.everything, asked_for(project))
    check_subset(compiled)
    return compiled


def inputs(project: Project) -> list[Path]:
    """Return the input, and the second one if there is one; `RequirementsError` where a file is missing."""
    settings = project.settings.requirements
    files = [project.path(name) for name in (settings.source, settings.dev_source) if name]
    for file in files:
        if not file.is_file():
            raise RequirementsError(f"{file} does not exist", hint="write what the site asks for into it")
    return files


def asked_for(project: Project) -> dict[str, str]:
    """Return what the inputs ask for themselves: normal name -> "REQUIREMENT in FILE:LINE"."""
    asked: dict[str, str] = {}
    files = inputs(project)
    for file in files:
        for number, line in _wishes(_text(file)):
            included, match = INCLUDE.match(line), REQUIREMENT.match(line)
            if included:
                more = file.parent / included["file"]
                # Appended to what is gone through, once.
                if more.is_file() and more not in files:
                    files.append(more)
            elif match:
                asked.setdefault(normal(match["name"]), f"{line} in {file}:{number}")
    return asked


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
            raise PrerequisiteError(
                f"{source.parent} can't be written: {error}",
                hint="make room or give the right, and try again",
            ) from error
        yield Path(file.name).name


def heading(settings: Requirements) -> str:
    """Return the comment that begins an output."""
    return (
        f"# Compiled from {Path(settings.source).name} by `just regen-requirements`,"
        f" for Python {settings.python} on {settings.machine}. Not to be edited.\n"
    )


def split(file: Path, text: str, marker: str) -> str:
    """Return the part before the marker; raises `RequirementsError` with the line of a wrong one."""
    lines = text.splitlines()
    found = [number for number, line in enumerate(lines, start=1) if line.strip() == marker]
    alike = [n for n, line in enumerate(lines, start=1) if n not in found and _means(line.strip(), marker)]
    if len(found) > 1:
        raise RequirementsError(
            f"{file}:{found[1]}: the heading {marker!r} is there already, in line {found[0]}",
            cause="only one can begin the development part",
            hint="remove one of them",
        )
    if alike and not found:
        raise RequirementsError(
            f"{file}:{alike[0]}: {lines[alike[0] - 1].strip()!r} is not the heading {marker!r}",
            cause="it begins the development part only when it is written just so",
            hint=f"write {marker}",
        )
    if alike:
        raise RequirementsError(
            f"{file}:{alike[0]}: {lines[alike[0] - 1].strip()!r} looks like the heading in line {found[0]}",
            cause="which part is which can't be told for sure",
            hint="word that comment in another way, or remove it",
        )
    if not found:
        raise RequirementsError(
            f"{file}:{len(lines) or 1}: the heading {marker!r} is missing",
            cause="nothing says where the development part begins",
            hint=f"write {marker} on a line of its own, or set requirements.dev_source",
        )
    return "\n".join([*lines[: found[0] - 1], ""])


def _means(line: str, marker: str) -> bool:
    """Return whether a comment is the marker, but for its spelling."""
    spelt = [re.sub(r"\W+", " ", text).strip().lower() for text in (line, marker)]
    return line.startswith("#") and (bool(MEANT.fullmatch(line)) or spelt[0] == spelt[1])


def check_no_heading(file: Path, text: str, marker: str) -> None:
    """Raise `RequirementsError` where an input has the marker although there is a second input."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() == marker:
            raise RequirementsError(
                f"{file}:{number}: the heading {marker!r} has no meaning here",
                cause="requirements.dev_source is set: all of this file is for production",
                hint="move what stands below into that file, or leave the setting out",
            )


def _pip_compile(project: Project, arguments: Sequence[str]) -> None:
    """Run pip-compile beside the input, for the image's Python; raises `RequirementsError` with its words."""
    settings = project.settings.requirements
    # -P: a module of the site's, beside the input, is none of pip's.
    command = [
        sys.executable, "-P", "-m", "haybale.requirements.target", settings.python, settings.machine,
        *OPTIONS, *arguments,
    ]  # fmt: skip
    done = process.run(
        command, cwd=project.path(settings.source).parent, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    if not done.ok:
        cause, step = advice(done.output, asked_for(project))
        raise RequirementsError(
            f"{settings.source} can't be resolved", cause=cause, hint=step, log=done.output
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


def _wishes(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of an input that are not empty, without comments, with their numbers."""
    for number, line in enumerate(text.splitlines(), start=1):
        wish = re.split(r"(?:^|\s)#", line)[0].strip()
        if wish:
            yield number, wish


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
            found[name] = Pin(
                name=name,
                version=match["version"] or match["address"],
                hashes=frozenset(),
                line=number,
                address=match["address"] is not None,
                marker=match["marker"] or "",
            )
        elif not REST.match(line):
            name = ""
        if name:
            hashes = found[name].hashes | set(HASH.findall(line))
            found[name] = replace(found[name], hashes=hashes)
    return found


def strange(text: str) -> list[tuple[int, str]]:
    """Return the lines of a compiled file that are neither pins, nor hashes or comments: (number, line)."""
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in lines if not PIN.match(line) and not REST.match(line)]


def check_subset(compiled: Compiled) -> None:
    """Raise `RequirementsError` where production has a pin, or a hash, that everything has not."""
    everything, production = pins(compiled.everything), pins(compiled.production)
    others = [
        str(pin)
        for pin in production.values()
        if pin.name not in everything or not _same(pin, everything[pin.name])
    ]
    if others:
        raise RequirementsError(
            f"production's pins are not among all pins: {', '.join(others)}",
            cause="the package index changed while it was asked",
            hint="just regen-requirements, again",
        )


def check_pinned(text: str, asked: Mapping[str, str]) -> None:
    """Raise `RequirementsError` where something in a compiled file can't be installed alike everywhere."""
    loose = [asked.get(pin.name, str(pin)) for pin in pins(text).values() if not pin.hashes]
    loose += [asked.get(pin.name, pin.name) for pin in pins(text).values() if pin.version.startswith("file:")]
    loose += [line for _, line in strange(text)]
    if loose:
        raise RequirementsError(
            f"can't be pinned with hashes: {', '.join(loose)}",
            cause="a folder, an editable install or a version control system gives no archive to pin",
            hint="ask for a released version, or for the https address of an archive",
        )


def _same(one: Pin, other: Pin) -> bool:
    return (one.version, one.marker, one.hashes) == (other.version, other.marker, other.hashes)


def differing(production: Mapping[str, Pin], everything: Mapping[str, Pin], name: str) -> list[str]:
    """Return ":LINE: REASON" for each of production's pins that is not the same among all pins, in `name`."""
    return [
        f":{pin.line}: {pin} is not as in {name}:{everything[pin.name].line}"
        for pin in production.values()
        if pin.name in everything and not _same(pin, everything[pin.name])
    ]


def stale_lines(present: Mapping[str, Pin], wanted: Mapping[str, Pin], asked: Mapping[str, str]) -> list[str]:
    """Return ":LINE: REASON" for each pin that compiling would change; `asked` is what the inputs ask for."""
    reasons = []
    for name, pin in present.items():
        here = f":{pin.line}: {pin}"
        if name not in wanted:
            reasons.append(f"{here} is not needed any more")
        elif wanted[name].version != pin.version:
            rule = asked.get(name, "what the other packages ask for")
            reasons.append(f"{here} does not fit {rule}; {wanted[name].version} does")
        elif wanted[name].marker != pin.marker:
            was, is_now = pin.marker or "always", wanted[name].marker or "always"
            reasons.append(f"{here} is for another case: {was}, not {is_now}")
        elif not pin.hashes:
            reasons.append(f"{here} has no hashes")
        elif not pin.hashes <= wanted[name].hashes:
            reasons.append(f"{here} has a hash that the package index does not know")
    reasons += [
        f": {pin} is missing, needed for {asked.get(name, 'another package')}"
        for name, pin in wanted.items()
        if name not in present
    ]
    return reasons


def foreign(text: str, heading: str) -> list[str]:
    """Return ":LINE: REASON" for each line of an output that compiling would not write, pins apart."""
    reasons = [f":{number}: {line.strip()!r} is no pin" for number, line in strange(text)]
    if not text.startswith(heading):
        reasons.insert(0, f":1: does not begin with {heading.strip()!r}: it was compiled for something else")
    return reasons


def changes(before: Mapping[str, Pin], after: Mapping[str, Pin]) -> list[str]:
    """Return what a compilation changed, a line for each package."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None and new is not None:
            lines.append(f"+ {new}")
        elif new is None and old is not None:
            lines.append(f"- {old}")
        elif old is not None and new is not None and old.version != new.version:
            lines.append(f"  {old} -> {new.version}")
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
    try:
        return file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    except UnicodeDecodeError as error:
        raise RequirementsError(f"{file} is not UTF-8: {error}", hint="save it as UTF-8") from error
