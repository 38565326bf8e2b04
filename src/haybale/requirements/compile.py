"""The site's requirements: one input, one resolution, two outputs.

Everything is compiled once; production is then compiled within that result, so that its pins are always a
subset of it. Both outputs are replaced together, or neither is.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import os
import re
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError, RequirementsError, UsageError
from haybale.files import write_atomically
from haybale.requirements import pins
from haybale.requirements.lines import NAME, REQUIREMENT, logical_lines, read_text, with_included
from haybale.requirements.logins import read_variables
from haybale.requirements.pins import normalize_name, read_pins
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from haybale.config import Project, RequirementsSettings
    from haybale.requirements.logins import Variables

# In its output: a list of "via" comments with one entry.
VIA = re.compile(r"^( +# via)\n +#   (.*\n)(?! +#   )", re.MULTILINE)

# A heading that may have been meant as the marker.
DEV_HEADING = re.compile(r"(?i)#+\W*dev(elopment)?(\s+(requirements|dependencies|packages|only))?\W*")

# Who asks for what, in the words of pip_compile.explain and of pip.
ASKED = re.compile(rf"^  ({NAME}).* is asked for by (.*)$", re.MULTILINE)
UNKNOWN = re.compile(rf"No matching distribution found for ({NAME})")

OPTIONS = (
    "--quiet", "--no-config", "--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header",
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
    say(f"resolving {settings.source} for Python {settings.python} on {settings.machine}")
    everything = project.path(settings.everything)
    before = read_pins(read_text(everything))
    raise_if_unknown(upgrade_packages, {*before, *read_direct_requirements(project)})
    options = ["--upgrade"] if upgrade else []
    variables = read_variables(map(read_text, included_files(project)), env)
    options += [f"--upgrade-package={name}" for name in upgrade_packages]
    compiled = compile_both(project, options, variables)
    try:
        replace_all(compiled)
    except OSError as error:
        raise PrerequisiteError(
            f"the requirements cannot be written: {error}",
            cause="no permission to write there, or no space; both files are as they were",
            hint="make room or give the permission, then: just regen-requirements",
        ) from error
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
    compiled, direct = compile_both(project, [], variables), read_direct_requirements(project)
    everything, production = compiled
    stale = [f"{file}: is missing" for file in compiled if not file.is_file()]
    present = {file: read_pins(read_text(file)) for file in compiled}
    for file in [file for file in compiled if file.is_file()]:
        reasons = pins.stale_lines(read_text(file), output_heading(settings))
        reasons += pins.stale_options(read_text(file), compiled[file])
        reasons += pins.stale_pins(present[file], read_pins(compiled[file]), direct)
        if file == production:
            reasons += pins.differing_pins(present[production], present[everything], settings.everything)
        stale += [f"{file}{reason}" for reason in reasons]
    if stale:
        raise RequirementsError(
            variables.hide("the requirements are stale:\n" + "\n".join(stale)),
            cause=f"{settings.source} was changed without compiling, or an output was edited by hand",
            hint="just regen-requirements",
        )


def compile_both(project: Project, options: Sequence[str], variables: Variables) -> dict[Path, str]:
    """Return the texts that both files should have, everything's first, without touching them."""
    settings = project.settings.requirements
    source, *more = input_files(project)
    if more:
        raise_if_heading(source, read_text(source), settings.marker)
    part = None if more else production_part(source, read_text(source), settings.marker)
    if importlib.util.find_spec("piptools") is None:
        raise PrerequisiteError(
            "pip-tools is not in this environment",
            cause="the verb was run outside of its nox session",
            hint="just regen-requirements",
        )
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        full, part_only = Path(folder, "everything.txt"), Path(folder, "production.txt")
        # pip-compile keeps the pins that it finds in its output. They get no hashes: it would keep a wrong
        # one, and miss that of a wheel that was uploaded later.
        kept = read_pins(read_text(project.path(settings.everything))).values()
        full.write_text("".join(f"{pin}\n" for pin in kept if not pin.is_address), encoding="utf-8")
        # Relative to the input's folder: pip-compile writes the inputs' names into its comments.
        names = [os.path.relpath(file, source.parent) for file in (source, *more)]
        _pip_compile(project, ["--output-file", str(full), *options, *names], variables)
        # What is asked for anywhere holds for both: hashes depend on it.
        asked = " ".join(pins.option_lines(read_text(full)))
        # Here the hashes are kept too; the constraint excludes all other versions.
        shutil.copyfile(full, part_only)
        with file_beside(source, part) as name:
            within = ["--constraint", str(full), *([f"--pip-args={asked}"] if asked else [])]
            _pip_compile(project, [*within, "--output-file", str(part_only), name], variables)
        renamed = {f"-r {name}": f"-r {source.name}", f"-c {full}": None}
        everything, production = (
            output_heading(settings) + variables.restore(rename_in_comments(read_text(file), renamed))
            for file in (full, part_only)
        )
    variables.raise_if_shown(everything)
    direct = {name: variables.hide(place) for name, place in read_direct_requirements(project).items()}
    pins.raise_if_unpinned(everything, direct)
    pins.raise_if_not_subset(production, everything)
    return {project.path(settings.everything): everything, project.path(settings.production): production}


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


@contextlib.contextmanager
def file_beside(source: Path, part: str | None) -> Iterator[str]:
    """Give the name of a temporary file beside the input with a part of it; the input's own for None.

    Beside it, because paths after `-r` and `-c` in it are relative to it.
    """
    if part is None:
        yield source.name
        return
    file = source.with_name(f".haybale-{secrets.token_hex(4)}.in")
    try:
        write_atomically(file, part)
    except OSError as error:
        hint = "make room or give the permission, and try again"
        raise PrerequisiteError(f"{source.parent} cannot be written: {error}", hint=hint) from error
    try:
        yield file.name
    finally:
        file.unlink()


def output_heading(settings: RequirementsSettings) -> str:
    """Return the comment that begins an output."""
    return (
        f"# Compiled from {Path(settings.source).name} by `just regen-requirements`,"
        f" for Python {settings.python} on {settings.machine}. Not to be edited.\n"
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


def _pip_compile(project: Project, arguments: Sequence[str], variables: Variables) -> None:
    """Run pip-compile beside the input, for the image's Python; `RequirementsError` has its output."""
    settings = project.settings.requirements
    # -P: a module of the site, beside the input, is not to be imported in place of pip's.
    python = [sys.executable, "-P", "-m", "haybale.requirements.pip_compile"]
    done = process.run(
        [*python, settings.python, settings.machine, *OPTIONS, *arguments],
        cwd=project.path(settings.source).parent,
        env={**variables.environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    if not done.ok:
        cause, hint = explain_failure(done.output, read_direct_requirements(project))
        message = f"{settings.source} cannot be resolved"
        log = variables.hide(done.output)
        raise RequirementsError(message, cause=variables.hide(cause), hint=hint, log=log)


def explain_failure(output: str, direct: Mapping[str, str]) -> tuple[str, str]:
    """Return the cause that pip-compile's output shows, and what to do; `direct` are the inputs' own."""
    unknown = [normalize_name(name) for name in UNKNOWN.findall(output)]
    if unknown:
        wanted = direct.get(unknown[0], f"{unknown[0]}, which another package needs")
        return (
            f"nothing on the package index fits {wanted}",
            "correct its name or version, or check which index pip uses (pip config list)",
        )
    words = {
        normalize_name(word)
        for requirement, who in ASKED.findall(output)
        for word in (requirement, *re.findall(NAME, who))
    }
    if words:
        places = ", ".join(place for name, place in direct.items() if name in words)
        return (
            f"these do not go together: {places}" if places else "two packages do not go together",
            "loosen one of them, or free a pin: just regen-requirements --upgrade-package NAME",
        )
    return "pip-compile failed, as its log shows", "fix that and try again"


def rename_in_comments(text: str, renamed: Mapping[str, str | None]) -> str:
    """Return an output with other names in its "via" comments; None removes the entry."""
    lines = []
    for line in text.splitlines():
        entry = line.strip().removeprefix("#").strip().removeprefix("via ").strip()
        if not line.strip().startswith("#") or entry not in renamed:
            lines.append(line)
        elif (name := renamed[entry]) is not None:
            lines.append(line.replace(entry, name))
    # A single entry stands on the line of its "via", as pip-compile itself writes it.
    return VIA.sub(r"\1 \2", "\n".join([*lines, ""]))


def replace_all(texts: Mapping[Path, str]) -> None:
    """Write several files: all of them, or the old texts stay."""
    # All are written before any is replaced: a full disk shows by then.
    temporary = {file: file.with_name(f".{file.name}.new") for file in texts}
    before = {file: file.read_bytes() for file in texts if file.is_file()}
    replaced: list[Path] = []
    try:
        for file, text in texts.items():
            temporary[file].write_text(text, encoding="utf-8")
        for file in texts:
            temporary[file].replace(file)
            replaced.append(file)
    except BaseException:
        for file in replaced:
            file.write_bytes(before[file]) if file in before else file.unlink()
        raise
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)
