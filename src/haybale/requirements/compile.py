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
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError, RequirementsError, UsageError
from haybale.requirements.pins import (
    describe_changes,
    differing_pins,
    normalize_name,
    raise_if_not_subset,
    raise_if_unpinned,
    read_pins,
    stale_lines,
    stale_pins,
)
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from haybale.config import Project, RequirementsSettings

# Lines of pip-compile's input.
INCLUDE = re.compile(r"^(?:-r|--requirement)[\s=]*(?P<file>\S+)")
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?")

# In its output: a list of "via" comments with one entry.
VIA = re.compile(r"^( +# via)\n +#   (.*\n)(?! +#   )", re.MULTILINE)

# A heading that may have been meant as the marker.
DEV_HEADING = re.compile(
    r"#+\W*dev(elopment)?(\s+(requirements|dependencies|packages|only))?\W*", re.IGNORECASE
)

# Who asks for what, in the words of pip_compile.explain and of pip.
ASKED = re.compile(r"^  ([A-Za-z0-9][A-Za-z0-9._-]*).* is asked for by (.*)$", re.MULTILINE)
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
UNKNOWN = re.compile(r"No matching distribution found for ([A-Za-z0-9][A-Za-z0-9._-]*)")

OPTIONS = (
    "--quiet", "--no-config", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header",
    "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
)  # fmt: skip


def regenerate_requirements(
    project: Project, *, upgrade: bool, upgrade_packages: Sequence[str], say: Callable[[str], None]
) -> None:
    """Compile both files and put them in their places together.

    Pins stay as they are unless `upgrade`, or their package is in `upgrade_packages`. Raises
    `RequirementsError` for a wrong heading or a conflict, `PrerequisiteError` without pip-tools.
    """
    settings = project.settings.requirements
    say(f"resolving {settings.source} for Python {settings.python} on {settings.machine}")
    everything = project.path(settings.everything)
    before = read_pins(_read(everything))
    raise_if_unknown(upgrade_packages, {*before, *read_direct_requirements(project)})
    options = ["--upgrade"] if upgrade else []
    for name in upgrade_packages:
        options += ["--upgrade-package", name]
    compiled = compile_both(project, options)
    try:
        replace_all(compiled)
    except OSError as error:
        raise PrerequisiteError(
            f"the requirements cannot be written: {error}",
            cause="no right to write there, or no space; both files are as they were",
            hint="make room or give the right, then: just regen-requirements",
        ) from error
    for line in describe_changes(before, read_pins(compiled[everything])):
        say(line)


def raise_if_unknown(upgrade_packages: Sequence[str], known: Collection[str]) -> None:
    """Raise `UsageError` where a package that is to be upgraded is not among the known (normal) names."""
    for package in upgrade_packages:
        match = REQUIREMENT.match(package)
        name = normalize_name(match["name"]) if match else package
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"{package!r} cannot be upgraded: there is no such package among the pins",
                hint=f"did you mean {near[0]!r}?" if near else "name a package that is pinned",
            )


def check_requirements(project: Project) -> None:
    """Raise `RequirementsError` where a file is not what compiling would give: each line, and why."""
    settings = project.settings.requirements
    compiled = compile_both(project, [])
    direct = read_direct_requirements(project)
    stale = [f"{file}: is missing" for file in compiled if not file.is_file()]
    pins = {}
    for file in [file for file in compiled if file.is_file()]:
        text = _read(file)
        pins[file] = read_pins(text)
        reasons = stale_lines(text, output_heading(settings))
        reasons += stale_pins(pins[file], read_pins(compiled[file]), direct)
        stale += [f"{file}{reason}" for reason in reasons]
    if len(pins) == len(compiled):
        everything, production = compiled
        reasons = differing_pins(pins[production], pins[everything], settings.everything)
        stale += [f"{production}{reason}" for reason in reasons]
    if stale:
        raise RequirementsError(
            "the requirements are stale:\n" + "\n".join(stale),
            cause=f"{settings.source} was changed without compiling, or an output was edited by hand",
            hint="just regen-requirements",
        )


def compile_both(project: Project, options: Sequence[str]) -> dict[Path, str]:
    """Return what both files should be, everything's and production's, without touching them."""
    settings = project.settings.requirements
    source, *more = input_files(project)
    if more:
        raise_if_heading(source, _read(source), settings.marker)
    part = None if more else production_part(source, _read(source), settings.marker)
    if importlib.util.find_spec("piptools") is None:
        raise PrerequisiteError(
            "pip-tools is not in this environment",
            cause="the verb was started outside of its session",
            hint="just regen-requirements",
        )
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        full, part_only = Path(folder, "everything.txt"), Path(folder, "production.txt")
        # pip-compile keeps the pins that it finds in its output. Their hashes are asked for anew: it would
        # keep a wrong one, and the lack of one for a wheel that was uploaded later.
        kept = read_pins(_read(project.path(settings.everything))).values()
        full.write_text("".join(f"{pin}\n" for pin in kept if not pin.is_address), encoding="utf-8")
        # By paths that start beside the input: pip-compile writes the inputs' names into its comments.
        names = [os.path.relpath(file, source.parent) for file in (source, *more)]
        _pip_compile(project, ["--output-file", str(full), *options, *names])
        # Here the hashes are kept too; the constraint rules out all other versions.
        shutil.copyfile(full, part_only)
        with file_beside(source, part) as name:
            _pip_compile(project, ["--constraint", str(full), "--output-file", str(part_only), name])
        renamed = {f"-r {name}": f"-r {source.name}", f"-c {full}": None}
        everything, production = (
            output_heading(settings) + rename_in_comments(_read(file), renamed) for file in (full, part_only)
        )
    raise_if_unpinned(everything, read_direct_requirements(project))
    raise_if_not_subset(production, everything)
    return {project.path(settings.everything): everything, project.path(settings.production): production}


def input_files(project: Project) -> list[Path]:
    """Return the input, and the second one if there is one; `RequirementsError` where a file is missing."""
    settings = project.settings.requirements
    files = [project.path(name) for name in (settings.source, settings.dev_source) if name]
    for file in files:
        if not file.is_file():
            raise RequirementsError(f"{file} does not exist", hint="write what the site asks for into it")
    return files


def read_direct_requirements(project: Project) -> dict[str, str]:
    """Return what the inputs ask for: normal name -> "REQUIREMENT in FILE:LINE"."""
    direct: dict[str, str] = {}
    files = input_files(project)
    for file in files:
        for number, line in enumerate(_read(file).splitlines(), start=1):
            requirement = re.split(r"(?:^|\s)#", line)[0].strip()
            included, match = INCLUDE.match(requirement), REQUIREMENT.match(requirement)
            if included:
                more = file.parent / included["file"]
                # Appended to what is gone through, once.
                if more.is_file() and more not in files:
                    files.append(more)
            elif match:
                direct.setdefault(normalize_name(match["name"]), f"{requirement} in {file}:{number}")
    return direct


@contextlib.contextmanager
def file_beside(source: Path, part: str | None) -> Iterator[str]:
    """Give the name of a temporary file beside the input with a part of it; the input's own for None.

    Beside it, because paths after `-r` and `-c` in it start there.
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
                f"{source.parent} cannot be written: {error}",
                hint="make room or give the right, and try again",
            ) from error
        yield Path(file.name).name


def output_heading(settings: RequirementsSettings) -> str:
    """Return the comment that begins an output."""
    return (
        f"# Compiled from {Path(settings.source).name} by `just regen-requirements`,"
        f" for Python {settings.python} on {settings.machine}. Not to be edited.\n"
    )


def production_part(file: Path, text: str, marker: str) -> str:
    """Return the part before the marker; raises `RequirementsError` with the line of a wrong one."""
    lines = [line.strip() for line in text.splitlines()]
    found = [number for number, line in enumerate(lines, start=1) if line == marker]
    similar = [n for n, line in enumerate(lines, start=1) if line != marker and _resembles(line, marker)]
    if len(found) == 1 and not similar:
        return "\n".join([*text.splitlines()[: found[0] - 1], ""])
    if len(found) > 1:
        line, message = found[1], f"the heading {marker!r} is there already, in line {found[0]}"
        cause, hint = "only one can begin the development part", "remove one of them"
    elif found:
        line, message = similar[0], f"{lines[similar[0] - 1]!r} looks like the heading in line {found[0]}"
        cause, hint = "it is not certain which part is which", "reword that comment, or remove it"
    elif similar:
        line, message = similar[0], f"{lines[similar[0] - 1]!r} is not the heading {marker!r}"
        cause = "the development part begins only with exactly that line"
        hint = f"write {marker}"
    else:
        line, message = len(lines) or 1, f"the heading {marker!r} is missing"
        cause = "nothing says where the development part begins"
        hint = f"write {marker} on a line of its own, or set requirements.dev_source"
    raise RequirementsError(f"{file}:{line}: {message}", cause=cause, hint=hint)


def _resembles(line: str, marker: str) -> bool:
    """Return whether a line is a comment that may have been meant as the marker."""
    words = [re.sub(r"\W+", " ", text).strip().lower() for text in (line, marker)]
    return line.startswith("#") and (bool(DEV_HEADING.fullmatch(line)) or words[0] == words[1])


def raise_if_heading(file: Path, text: str, marker: str) -> None:
    """Raise `RequirementsError` where an input has the marker although there is a second input."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() == marker:
            raise RequirementsError(
                f"{file}:{number}: the heading {marker!r} has no meaning here",
                cause="requirements.dev_source is set: all of this file is for production",
                hint="move what stands below into that file, or leave the setting out",
            )


def _pip_compile(project: Project, arguments: Sequence[str]) -> None:
    """Run pip-compile beside the input, for the image's Python; `RequirementsError` has its output."""
    settings = project.settings.requirements
    # -P: a module of the site's, beside the input, is none of pip's.
    command = [
        sys.executable, "-P", "-m", "haybale.requirements.pip_compile", settings.python, settings.machine,
        *OPTIONS, *arguments,
    ]  # fmt: skip
    done = process.run(
        command, cwd=project.path(settings.source).parent, env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    )
    if not done.ok:
        cause, hint = explain_failure(done.output, read_direct_requirements(project))
        raise RequirementsError(
            f"{settings.source} cannot be resolved", cause=cause, hint=hint, log=done.output
        )


def explain_failure(output: str, direct: Mapping[str, str]) -> tuple[str, str]:
    """Return the probable cause of a failed compilation and what to do, from its output."""
    unknown = [normalize_name(name) for name in UNKNOWN.findall(output)]
    if unknown:
        return (
            f"nothing on the package index fits {direct.get(unknown[0], unknown[0])}",
            "correct its name or version, or look at which index pip is configured for (pip config list)",
        )
    words = {
        normalize_name(word)
        for requirement, who in ASKED.findall(output)
        for word in (requirement, *WORD.findall(who))
    }
    if words:
        places = ", ".join(place for name, place in direct.items() if name in words)
        return (
            f"these do not go together: {places}" if places else "two packages do not go together",
            "loosen one of them, or free a pin: just regen-requirements --upgrade-package NAME",
        )
    return "pip-compile failed, as its log shows", "fix that and try again"


def rename_in_comments(text: str, renamed: Mapping[str, str | None]) -> str:
    """Return an output with other names in its "via" comments; None drops the entry."""
    lines = []
    for line in text.splitlines():
        entry = line.strip().removeprefix("#").strip().removeprefix("via ").strip()
        if not line.strip().startswith("#") or entry not in renamed:
            lines.append(line)
        elif (name := renamed[entry]) is not None:
            lines.append(line.replace(entry, name))
    # An entry that is left alone stands on the line of its "via", as pip-compile itself has it.
    return VIA.sub(r"\1 \2", "\n".join([*lines, ""]))


def replace_all(texts: Mapping[Path, str]) -> None:
    """Write several files: all of them, or the old texts stay."""
    # All are written before any is replaced: a full disk shows by then.
    temporary = {file: file.with_name(f".{file.name}.new") for file in texts}
    before = {file: file.read_bytes() if file.is_file() else None for file in texts}
    replaced: list[Path] = []
    try:
        for file, text in texts.items():
            temporary[file].write_text(text, encoding="utf-8")
        for file in texts:
            temporary[file].replace(file)
            replaced.append(file)
    except BaseException:
        for file in replaced:
            content = before[file]
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
        raise
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig") if file.is_file() else ""
    except UnicodeDecodeError as error:
        raise RequirementsError(f"{file} is not UTF-8: {error}", hint="save it as UTF-8") from error
