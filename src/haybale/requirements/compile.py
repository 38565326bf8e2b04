"""One input in two parts (`requirements.source`): one resolution, two outputs.

Everything is compiled once; production is then compiled within that result, so that its pins are always a
subset of it. Both outputs are replaced together, or neither is.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, PrerequisiteError, RequirementsError, UsageError
from haybale.requirements import pins
from haybale.requirements.compiler import Compiler, files_beside, holds_setuptools, rename_in_comments
from haybale.requirements.lines import REQUIREMENT, logical_lines, read_text, with_included
from haybale.requirements.logins import read_variables
from haybale.requirements.pins import normalize_name, read_pins
from haybale.requirements.target import find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from haybale.config import Project, RequirementsSettings
    from haybale.requirements.logins import Variables

# A heading that may have been meant as the marker.
DEV_HEADING = re.compile(r"(?i)#+\W*dev(elopment)?(\s+(requirements|dependencies|packages|only))?\W*")

OPTIONS = (
    "--no-config", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header",
    "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links",
)  # fmt: skip


def regenerate_requirements(
    project: Project,
    *,
    upgrade: bool,
    upgrade_packages: Sequence[str],
    env: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Compile both files and replace them together.

    `env` has the values of ${VARIABLES} in the inputs, which no output and no message shows. Pins stay as
    they are unless `upgrade`, or their package is in `upgrade_packages`. Raises `RequirementsError` for a
    wrong heading or a conflict, `PrerequisiteError` without pip-tools.
    """
    settings = project.settings.requirements
    everything, _ = output_files(project)
    say(f"resolving {settings.source} for Python {find_python(project.settings)} on {settings.machine}")
    before = read_pins(read_text(everything))
    raise_if_unknown(upgrade_packages, {*before, *read_direct_requirements(project)})
    variables = read_variables(map(read_text, included_files(project)), env)
    compiled = compile_both(project, variables, upgrade=upgrade, upgrade_packages=upgrade_packages)
    replace_all(compiled)
    for line in pins.describe_changes(before, read_pins(compiled[everything])):
        say(variables.hide(line))


def raise_if_unknown(upgrade_packages: Sequence[str], known: Collection[str]) -> None:
    """Raise `UsageError` where a package that is to be upgraded is not among the known (normal) names."""
    for package in upgrade_packages:
        match = REQUIREMENT.match(package)
        name = normalize_name(match["name"]) if match else package
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "name a package that is pinned"
            raise UsageError(f"{package!r} cannot be upgraded: no pin has that name", hint=hint)


def check_requirements(project: Project, env: Mapping[str, str]) -> None:
    """Raise `RequirementsError` where a file is not what compiling would give: each line, and why.

    `env` is as `regenerate_requirements` takes it.
    """
    settings = project.settings.requirements
    variables = read_variables(map(read_text, included_files(project)), env)
    compiled, direct = compile_both(project, variables), read_direct_requirements(project)
    everything, production = compiled
    stale = [f"{file}: is missing" for file in compiled if not file.is_file()]
    present = {file: read_pins(read_text(file)) for file in compiled}
    for file in [file for file in compiled if file.is_file()]:
        reasons = pins.stale_lines(read_text(file), output_heading(settings, find_python(project.settings)))
        reasons += pins.stale_options(read_text(file), compiled[file])
        reasons += pins.stale_pins(present[file], read_pins(compiled[file]), direct)
        if file == production:
            reasons += pins.differing_pins(
                present[production], present[everything], str(settings.development)
            )
        stale += [f"{file}{reason}" for reason in reasons]
    raise_if_stale(stale, variables, f"compiling {settings.source} gives something else")


def raise_if_stale(stale: Sequence[str], variables: Variables, cause: str) -> None:
    """Raise `RequirementsError` with the stale lines, FILE:LINE: REASON each, where there are some."""
    if stale:
        raise RequirementsError(
            variables.hide("the requirements are stale:\n" + "\n".join(stale)),
            cause=cause,
            hint="`haybale regen-requirements`",
        )


def compile_both(
    project: Project, variables: Variables, *, upgrade: bool = False, upgrade_packages: Sequence[str] = ()
) -> dict[Path, str]:
    """Return the texts that both files should have, everything's first, without touching them."""
    settings = project.settings.requirements
    everything_file, production_file = output_files(project)
    source, *more = input_files(project)
    if more:
        raise_if_heading(source, read_text(source), settings.marker)
    text = read_text(source)
    part = text if more else production_part(source, text, settings.marker)
    direct, python = read_direct_requirements(project), find_python(project.settings)
    compiler = Compiler(python=python, machine=settings.machine, variables=variables, direct=direct)
    present = read_pins(read_text(everything_file))
    holds = holds_setuptools(present, upgrade_packages)
    options = [*OPTIONS, *(["--upgrade"] if upgrade else [])]
    options += [f"--upgrade-package={name}" for name in upgrade_packages]
    name = str(settings.source)
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        full, part_only = Path(folder, "everything.txt"), Path(folder, "production.txt")
        # pip-compile keeps the pins that it finds in its output. They get no hashes: it would keep a wrong
        # one, and miss that of a wheel that was uploaded later.
        kept = [pin for pin in present.values() if not pin.is_address]
        full.write_text("".join(f"{pin}\n" for pin in kept), encoding="utf-8")
        # Relative to the input's folder: pip-compile writes the inputs' names into its comments.
        names = [os.path.relpath(file, source.parent) for file in (source, *more)]
        compiler.compile(source.parent, [*options, *names], output=full, name=name, holds_setuptools=holds)
        # What is asked for anywhere holds for both: hashes depend on it.
        asked = " ".join(pins.option_lines(read_text(full)))
        # Here the hashes are kept too; the constraint excludes all other versions.
        shutil.copyfile(full, part_only)
        with files_beside({source: part}) as made:
            beside = made[source].name
            within = ["--constraint", str(full), *([f"--pip-args={asked}"] if asked else [])]
            compiler.compile(source.parent, [*OPTIONS, *within, beside], output=part_only, name=name)
        renamed = {f"-r {beside}": f"-r {source.name}", f"-c {full}": None}
        everything, production = (
            output_heading(settings, python) + variables.restore(rename_in_comments(read_text(file), renamed))
            for file in (full, part_only)
        )
    variables.raise_if_shown(everything)
    shown = {name: variables.hide(place) for name, place in direct.items()}
    pins.raise_if_unpinned(everything, shown)
    pins.raise_if_not_subset(production, everything)
    return {everything_file: everything, production_file: production}


def output_files(project: Project) -> tuple[Path, Path]:
    """Return the two outputs: everything's, and production's; `ConfigError` where a setting is missing."""
    settings = project.settings.requirements
    if settings.development is None:
        raise ConfigError(
            "requirements.source is set, and requirements.development is not",
            cause="two files are compiled from the source: one for production, one with everything",
            hint='set development = "requirements-dev.txt" in [tool.haybale.requirements], or remove source',
        )
    if settings.source in {settings.development, settings.production}:
        raise ConfigError(
            f"requirements.source and an output are the same file: {settings.source}",
            cause="compiling would replace what is compiled",
            hint="remove source from [tool.haybale.requirements] where the file is written by hand",
        )
    return project.path(settings.development), project.path(settings.production)


def input_files(project: Project) -> list[Path]:
    """Return the input, and the second one if there is one; `RequirementsError` where a file is missing."""
    settings = project.settings.requirements
    files = [project.path(name) for name in (settings.source, settings.dev_source) if name]
    for file in files:
        if not file.is_file():
            raise RequirementsError(f"{file} does not exist", hint="write the site's requirements into it")
    return files


def read_direct_requirements(project: Project) -> dict[str, str]:
    """Return what the inputs ask for: normal name -> "REQUIREMENT in FILE:LINE"."""
    direct: dict[str, str] = {}
    for file in included_files(project):
        for number, requirement in logical_lines(read_text(file)):
            if match := REQUIREMENT.match(requirement):
                direct.setdefault(normalize_name(match["name"]), f"{requirement} in {file}:{number}")
    return direct


def included_files(project: Project) -> list[Path]:
    """Return the inputs, and what they include with -r and -c, each once."""
    return with_included(input_files(project))


def output_heading(settings: RequirementsSettings, python: str) -> str:
    """Return the comment that begins an output."""
    return (
        f"# Compiled from {Path(settings.source or '').name} by `haybale regen-requirements`,"
        f" for Python {python} on {settings.machine}. Not to be edited.\n"
    )


def production_part(file: Path, text: str, marker: str) -> str:
    """Return the part before the heading `marker`; raises `RequirementsError` with a wrong one's line."""
    lines = [line.strip() for line in text.splitlines()]
    found = [number for number, line in enumerate(lines, start=1) if line == marker]
    similar = [number for number, line in enumerate(lines, start=1) if _is_similar(line, marker)]
    if len(found) == 1 and not similar:
        return "\n".join([*text.splitlines()[: found[0] - 1], ""])
    if len(found) > 1:
        line, message = found[1], f"the heading {marker!r} exists already, in line {found[0]}"
        cause, hint = "only one can begin the development part", "remove one of them"
    elif found:
        line, message = similar[0], f"{lines[similar[0] - 1]!r} looks like the heading in line {found[0]}"
        cause, hint = "it is not certain which part is which", "reword that comment, or remove it"
    elif similar:
        line, message = similar[0], f"{lines[similar[0] - 1]!r} is not the heading {marker!r}"
        cause, hint = "the development part begins only with exactly that line", f"write {marker}"
    else:
        line, message = len(lines) or 1, f"the heading {marker!r} is missing"
        cause = "nothing says where the development part begins"
        hint = f"write {marker} on a line of its own, or set requirements.dev_source"
    raise RequirementsError(f"{file}:{line}: {message}", cause=cause, hint=hint)


def _is_similar(line: str, marker: str) -> bool:
    """Whether a line is a comment that may have been meant as the marker, but is not."""
    words, wanted = (re.sub(r"\W+", " ", text).strip().lower() for text in (line, marker))
    is_similar = words == wanted or DEV_HEADING.fullmatch(line) is not None
    return line.startswith("#") and line != marker and is_similar


def raise_if_heading(file: Path, text: str, marker: str) -> None:
    """Raise `RequirementsError` where an input has the heading although there is a second input."""
    lines = [line.strip() for line in text.splitlines()]
    if marker in lines:
        raise RequirementsError(
            f"{file}:{lines.index(marker) + 1}: the heading {marker!r} has no meaning here",
            cause="requirements.dev_source is set: all of this file is for production",
            hint="move what follows it into that file, or remove the setting",
        )


def replace_all(texts: Mapping[Path, str]) -> None:
    """Write several files: all of them, or the old texts stay and `PrerequisiteError` is raised."""
    # All are written before any is replaced: a full disk shows by then.
    temporary = {file: file.with_name(f".{file.name}.new") for file in texts}
    replaced: list[Path] = []
    before: dict[Path, bytes] = {}
    try:
        before = {file: file.read_bytes() for file in texts if file.is_file()}
        for file, text in texts.items():
            temporary[file].write_text(text, encoding="utf-8")
        for file in texts:
            temporary[file].replace(file)
            replaced.append(file)
    except BaseException as error:
        for file in replaced:
            file.write_bytes(before[file]) if file in before else file.unlink()
        if not isinstance(error, OSError):
            raise
        raise PrerequisiteError(
            f"the requirements cannot be written: {error}",
            cause="the system says that; all files are as they were",
            hint="correct that, then: `haybale regen-requirements`",
        ) from error
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)
